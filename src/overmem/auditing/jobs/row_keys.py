"""What names the rows of a job: a key of the weights and of all else that decides them, but the problems.

Rows of any older version are found by these keys: what goes into one is never changed, only the number
behind an `axis` is raised where rows of before mean something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from overmem.artifacts.jobs import Job
from overmem.auditing.base_model import BaseModel
from overmem.auditing.jobs.answer_ends import AnswerEnds
from overmem.auditing.jobs.compute_rows import RECALL_TOKENS, is_remote
from overmem.auditing.measured_weights import MeasuredWeights
from overmem.auditing.options import AuditOptions
from overmem.auditing.problem_sets.problems import Problems
from overmem.models.engines.protocol import Engine
from overmem.models.likelihood.divergence import COMPARED_TOKENS
from overmem.models.likelihood.scoring import TEMPERATURES
from overmem.models.loading import ModelHost
from overmem.records import Checkpoint
from overmem.serialization import settings_key


@dataclass(frozen=True, kw_only=True)
class RowKeys:
    """The keys of the rows of an audit."""

    host: ModelHost
    engine: Engine
    options: AuditOptions
    problems: Mapping[str, Problems]
    """By `data_key`."""
    ends: AnswerEnds
    weights: MeasuredWeights
    base: BaseModel

    def of(self, job: Job, checkpoint: Checkpoint) -> str:
        """The key under which the rows of a job at a checkpoint are kept."""
        return settings_key({"weights": self.weights.fingerprint(checkpoint), **self.settings(job)})

    def settings(self, job: Job) -> dict[str, Any]:
        """What decides the rows of a job beside the weights and the problems."""
        settings: dict[str, Any] = {**self.host.precision, "attention": self.host.attention}
        if is_remote(job, self.engine):
            settings = dict(self.engine.settings)
        if job.kind == "score":
            settings |= {"axis": "likelihood/1", "temperatures": self.temperatures}
        elif job.kind == "continue":
            settings |= {"axis": "continuations/1", "tokens": RECALL_TOKENS}
        elif job.kind == "diverge":
            assert self.base.checkpoint is not None
            base = self.weights.fingerprint(self.base.checkpoint)
            settings |= {"axis": "divergences/1", "tokens": COMPARED_TOKENS, "base": base}
        elif job.kind == "lm_eval":
            task = self.problems[job.data].task
            assert task is not None
            settings |= {"axis": "lm_eval/1", **task.settings}
        else:
            settings |= {
                "axis": "generations/2",
                "max_new_tokens": self.ends.max_new_tokens(job.set),
                "temperature": 0.0,
                "end_of_completion": self.ends.end_of_turn(job.set),
            }
        if job.kind == "sample":
            settings |= {"temperature": self.options.temperature, "seed": self.options.seed}
        return settings

    @property
    def temperatures(self) -> tuple[float, ...]:
        """At which references are scored beside 1; an engine knows no other."""
        return () if self.engine.scores else TEMPERATURES
