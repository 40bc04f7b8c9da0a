"""Retention: what the model could do before the fine-tune, and no longer can.

Skills beside the task are looked at through prompts that were not trained for (`retention/NAME`), always
against the base model and paired prompt by prompt: how probable its own answers still are, how far each
prediction has moved, whether the same problems are solved, and whether answers are still answers. Every
figure is the checkpoint's minus the base model's, so that the base model itself would be at 0.

The distance on the task's own prompts is shown as well. It foretells forgetting (RL's Razor, 2509.04259), but
learning the task takes some of it, so it has no better side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import BASE_ANSWERS, RETENTION, VAL_ANSWERS, Job, JobKind, on_base
from overmem.axes.answer_format import keeps_format, loops
from overmem.axes.axis import Available, Axis
from overmem.stats.arrays import FloatArray
from overmem.stats.measures import Direction, Measure, average_measure, mean_measure, ratio_measure

VAL = "val"


def jobs(available: Available) -> tuple[Job, ...]:
    """Answers of checkpoint and base model to each set beside the task, and the base model's to val.

    What the checkpoint makes of the base model's answers is measured once they are there
    (`overmem.artifacts.jobs.base_answers_job`). Nothing without a base model that can be asked.
    """
    beside = [name for name in available.sets if name.startswith(RETENTION)]
    if not (available.has_base and available.base_answers) or not beside:
        return ()
    found: list[Job] = []
    for name in beside:
        kind: JobKind = "lm_eval" if name in available.external else "greedy"
        found += [Job(kind, name), on_base(Job(kind, name))]
    return (*found, on_base(VAL_ANSWERS))


def measures(evidence: Evidence) -> tuple[Measure, ...]:
    """What was lost on each set beside the task, then the distance on val; lower is better but for val's.

    What is lost in answers goes first: any fine-tune makes the base model's own words a little less probable,
    so the headline is a skill, or else the form of an answer. With several sets also their plain means, in
    which each set weighs the same whatever its size.
    """
    names = sorted({job.set for job in evidence.rows if job.set.startswith(RETENTION)})
    kinds: tuple[tuple[str, list[Measure]], ...] = (
        ("accuracy_loss", [m for name in names for m in accuracy_loss(evidence, name)]),
        ("format_loss", [m for name in names for m in format_loss(evidence, name)]),
        ("nll_rise", [m for name in names for m in nll_rise(evidence, name)]),
        ("kl", [m for name in names for m in kl(evidence, name)]),
        ("loop_rise", [m for name in names for m in loop_rise(evidence, name)]),
        ("endless_rise", [m for name in names for m in endless_rise(evidence, name)]),
    )
    beside = [m for kind, found in kinds for m in (*_mean(kind, found), *found)]
    return (*beside, *kl(evidence, VAL), *nll_rise(evidence, VAL))


def nll_rise(evidence: Evidence, name: str) -> tuple[Measure, ...]:
    """NLL of the base model's own greedy answers, minus what it was under the base model; nats per token.

    Above 0, what the model would have said before has grown less probable. Lower is better beside the task.
    """
    rows = _divergences(evidence, name)
    if rows is None:
        return ()
    rise_N = (rows["nll_nats"] - rows["base_nll_nats"]).to_numpy()
    return (_ratio("nll_rise", name, rise_N, rows["n_tokens"].to_numpy()),)


def kl(evidence: Evidence, name: str) -> tuple[Measure, ...]:
    """KL(base || checkpoint) at the base model's own greedy answers; nats per token, 0 where nothing moved.

    Exact over the vocabulary at each of an answer's first tokens. Lower is better beside the task.
    Source: 2509.04259, with the base model's greedy answer in the place of its samples.
    """
    rows = _divergences(evidence, name)
    if rows is None:
        return ()
    return (_ratio("kl", name, rows["kl_nats"].to_numpy(), rows["n_compared"].to_numpy()),)


def accuracy_loss(evidence: Evidence, name: str) -> tuple[Measure, ...]:
    """Accuracy of the base model minus the checkpoint's, where answers are graded; in [-1, 1]."""
    pair = _answers(evidence, name)
    if pair is None or pair["correct"].is_null().any() or pair["base_correct"].is_null().any():
        return ()
    lost_N = (pair["base_correct"] - pair["correct"]).to_numpy()
    return (mean_measure(f"accuracy_loss_{_short(name)}", "lower", f"{name}:answers", lost_N),)


def format_loss(evidence: Evidence, name: str) -> tuple[Measure, ...]:
    """Share of answers that keep the form of one, the base model's minus the checkpoint's; in [-1, 1]."""
    return _share(evidence, name, "format_loss", lambda text, finished: not keeps_format(text, finished))


def loop_rise(evidence: Evidence, name: str) -> tuple[Measure, ...]:
    """Share of answers that loop to their end, the checkpoint's minus the base model's; in [-1, 1]."""
    return _share(evidence, name, "loop_rise", lambda text, finished: loops(text))


def endless_rise(evidence: Evidence, name: str) -> tuple[Measure, ...]:
    """Share of answers that do not end within the longest one allowed, minus the base model's; in [-1, 1]."""
    return _share(evidence, name, "endless_rise", lambda text, finished: not finished)


def _share(evidence: Evidence, name: str, kind: str, has: Callable[[str, bool], bool]) -> tuple[Measure, ...]:
    """Share of answers that have something bad, minus the base model's, on the same prompts."""
    pair = _answers(evidence, name)
    if pair is None or Job("lm_eval", name) in evidence.rows:
        return ()

    def shown(side: str) -> FloatArray:
        texts, ended = pair[f"{side}text"].to_list(), pair[f"{side}finished"].to_list()
        return np.array([has(text, done) for text, done in zip(texts, ended, strict=True)], dtype=float)

    return (mean_measure(f"{kind}_{_short(name)}", "lower", f"{name}:answers", shown("") - shown("base_")),)


def _divergences(evidence: Evidence, name: str) -> pl.DataFrame | None:
    return evidence.rows.get(Job("diverge", f"{BASE_ANSWERS}{name}"))


def _answers(evidence: Evidence, name: str) -> pl.DataFrame | None:
    """Answers of the checkpoint and, under `base_`, of the base model, to the prompts that both have."""
    for kind in ("greedy", "lm_eval"):
        own, base = Job(kind, name), on_base(Job(kind, name))
        if own in evidence.rows and base in evidence.rows:
            kept = ["example_id", "correct", "text", "finished"]
            theirs = evidence.rows[base].select(kept).rename(_of_base)
            pair = evidence.rows[own].select(kept).join(theirs, on="example_id", validate="1:1")
            return pair.sort("example_id")
    return None


def _of_base(column: str) -> str:
    return column if column == "example_id" else f"base_{column}"


def _ratio(kind: str, name: str, over_N: FloatArray, under_N: FloatArray) -> Measure:
    direction: Direction = "context" if name == VAL else "lower"
    return ratio_measure(
        f"{kind}_{_short(name)}", direction, f"{name}:diverge", over_N, under_N.astype(float)
    )


def _short(name: str) -> str:
    return name.removeprefix(RETENTION)


def _mean(name: str, parts: Sequence[Measure]) -> tuple[Measure, ...]:
    return (average_measure(name, "lower", parts),) if len(parts) > 1 else ()


AXIS = Axis(
    name="retention",
    tells="which skills beside the task the fine-tune has taken from the base model",
    jobs=jobs,
    measures=measures,
    needs="it compares with the base model, which is not known or cannot be asked: pass --base-model",
    sets=("retention",),
    implied_by="retention",
    compares_base_answers=True,
    uses_base=True,
)
