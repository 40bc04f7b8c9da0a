"""Jobs: the kinds of rows an audit computes, and the names they are saved and read by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from overmem.artifacts.tables import Rows

JobKind = Literal["score", "greedy", "sample", "continue", "lm_eval", "diverge"]


def data_key(set_name: str, variant: str) -> str:
    """How a set of problems in one wording is called: `val`, `val typo`."""
    return set_name if variant == "clean" else f"{set_name} {variant}"


@dataclass(frozen=True, order=True)
class Job:
    """One kind of rows over one set of problems: what an audit computes, and the name it is read by."""

    kind: JobKind
    """`score`: likelihood of the references; `greedy`: one answer at temperature 0; `sample`: k answers
    at a temperature; `continue`: the reference's second half, written greedily after its first; `lm_eval`:
    one answer, asked for and judged by lm-evaluation-harness; `diverge`: an answer of the base model, how
    probable the checkpoint finds it, and how far its predictions are from the base model's at each token."""
    set: str
    """`val`, `train`, `ood/NAME`, `references/NAME`, `retention/NAME`, `answers`, the right answers of one
    checkpoint, or `base_answers/SET`, the base model's own answers to a set."""
    variant: str = "clean"
    """How the problems are worded: `clean`, or the name of a perturbation."""
    model: str = "checkpoint"
    """`checkpoint`; `base` for the model that the fine-tune started from; or `early` for the run's first
    checkpoint, whose rows are read and never asked for, since likelihood is measured at every one."""

    @property
    def table(self) -> Rows:
        """Which row set its rows are kept in."""
        tables: dict[JobKind, Rows] = {
            "score": "likelihood",
            "continue": "continuations",
            "diverge": "divergences",
        }
        return tables.get(self.kind, "generations")

    @property
    def data(self) -> str:
        """How its problems are called in the manifest."""
        return data_key(self.set, self.variant)

    def __str__(self) -> str:
        """Short name for plans and progress: `greedy val preamble`."""
        parts = [self.kind, self.set, "" if self.variant == "clean" else self.variant]
        return " ".join(filter(None, [*parts, "" if self.model == "checkpoint" else f"({self.model})"]))


def kind_of(name: str) -> str:
    """The kind of work of a job by its name, such as `score` of `score val`."""
    return name.partition(" ")[0]


def on_base(job: Job) -> Job:
    """The same job, done on the model that the fine-tune started from."""
    return replace(job, model="base")


VAL_SCORES, VAL_ANSWERS, VAL_SAMPLES = Job("score", "val"), Job("greedy", "val"), Job("sample", "val")
TRAIN_SCORES = Job("score", "train")
ANSWERS_SCORES = Job("score", "answers")
"""Right answers of one checkpoint to val in place of its references; known once they are written."""
EARLY_TRAIN, EARLY_VAL = Job("score", "train", model="early"), Job("score", "val", model="early")
"""What the run's first checkpoint gives beside the rows of a later one."""
OOD, REFERENCES, RETENTION = "ood/", "references/", "retention/"
"""Prefixes of the names of OOD sets, of references in other styles, and of sets beside the task."""
BASE_ANSWERS = "base_answers/"
"""Prefix of the sets that are the base model's own answers; known once they are written."""


def base_answers_job(job: Job) -> Job | None:
    """The job that compares a checkpoint with the base model on the answers that a job lets it write.

    Args:
        job: any.

    Returns:
        None where the job is not the base model's greedy answers.
    """
    writes = job.kind == "greedy" and job.model == "base" and job.variant == "clean"
    return Job("diverge", f"{BASE_ANSWERS}{job.set}") if writes else None
