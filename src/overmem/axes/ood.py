"""OOD: accuracy and likelihood on problems of another distribution than the fine-tune saw.

Each named set (`ood/NAME`) is measured as val is. What a checkpoint loses here while it keeps its
accuracy on val is a cost of memorization that val cannot show.

Likelihood is compared only where it means something: on references written as the training data are. On
others (bare numbers where training had worked solutions, another hand) NLL rises as a model takes on the
training style, memorized or not, so there it is context and never a loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import OOD, Job, JobKind
from overmem.axes.axis import Available, Axis
from overmem.stats.arrays import FloatArray
from overmem.stats.measures import Direction, Measure, average_measure, ratio_measure
from overmem.stats.style.shift import written_otherwise


def jobs(available: Available) -> tuple[Job, ...]:
    """The references of each OOD set, and one greedy answer to each problem where there is a grader.

    A set that lm-evaluation-harness asks and judges needs its answers only. The base model is measured too.
    """
    found: list[Job] = []
    for name in available.sets:
        if name.startswith(OOD) and name in available.external:
            found.append(Job("lm_eval", name))
        elif name.startswith(OOD):
            found.append(Job("score", name))
            if name in available.graded:
                found.append(Job("greedy", name))
    return available.with_base_row(tuple(found))


def measures(evidence: Evidence) -> tuple[Measure, ...]:
    """Greedy accuracy (higher is better) and NLL (nats per token, lower) on each OOD set.

    Where lm-evaluation-harness asks and judges, accuracy is the mean of its metric, and there is no NLL.
    With several sets also their plain means, `accuracy` and `nll`, in which each set weighs the same
    whatever its size. On a set whose references are written otherwise than the training data NLL is context,
    and no part of the mean.
    """
    sets = _sets(evidence)
    accuracies = [measure for name in sets for measure in _accuracy(evidence, name)]
    nlls = [measure for name in sets for measure in _nll(evidence, name)]
    alike = [measure for measure in nlls if measure.direction == "lower"]
    return (*_mean("accuracy", "higher", accuracies), *accuracies, *_mean("nll", "lower", alike), *nlls)


def warnings(evidence: Evidence) -> tuple[str, ...]:
    """Which sets' NLL is context only, and why."""
    found = {name: _written_otherwise(evidence, name) for name in _sets(evidence)}
    return tuple(
        f"NLL on {name} is context, not a gain or a loss: its references are written otherwise than the "
        f"training data ({why})"
        for name, why in found.items()
        if why is not None
    )


def _sets(evidence: Evidence) -> list[str]:
    return sorted({job.set for job in evidence.rows if job.set.startswith(OOD)})


def _written_otherwise(evidence: Evidence, name: str) -> str | None:
    """How a set's references differ in style or format from the training data's; None if not, or unknown."""
    if Job("score", name) not in evidence.rows or not {"train", name} <= evidence.texts.keys():
        return None
    train, own = (tuple(evidence.texts[item]["completion"].drop_nulls()) for item in ("train", name))
    return written_otherwise(train, own)


def _accuracy(evidence: Evidence, name: str) -> tuple[Measure, ...]:
    job = next((job for job in (Job("lm_eval", name), Job("greedy", name)) if job in evidence.rows), None)
    if job is None:
        return ()
    rows = evidence.rows[job].with_columns(answered=pl.lit(1.0))
    correct_N, answered_N = _aligned(evidence, name, rows, "correct", "answered")
    return (ratio_measure(f"accuracy_{name.removeprefix(OOD)}", "higher", name, correct_N, answered_N),)


def _nll(evidence: Evidence, name: str) -> tuple[Measure, ...]:
    job = Job("score", name)
    if job not in evidence.rows:
        return ()
    nll_N, tokens_N = _aligned(evidence, name, evidence.rows[job], "nll_nats", "n_tokens")
    direction: Direction = "lower" if _written_otherwise(evidence, name) is None else "context"
    return (ratio_measure(f"nll_{name.removeprefix(OOD)}", direction, name, nll_N, tokens_N),)


def _mean(name: str, direction: Direction, parts: Sequence[Measure]) -> tuple[Measure, ...]:
    return (average_measure(name, direction, parts),) if len(parts) > 1 else ()


def _aligned(evidence: Evidence, name: str, rows: pl.DataFrame, *columns: str) -> list[FloatArray]:
    """Columns over the set's one population: every problem scored or answered, 0 where it is not in `rows`.

    All figures of a set are drawn together, so all must list the same problems in the same order.
    """
    kinds: tuple[JobKind, ...] = ("score", "greedy", "lm_eval")
    tables = [evidence.rows[job] for job in (Job(kind, name) for kind in kinds) if job in evidence.rows]
    ids = pl.concat([table.select("example_id") for table in tables]).unique().sort("example_id")
    table = ids.join(rows, on="example_id", how="left", maintain_order="left", validate="1:1")
    return [table[column].cast(pl.Float64).fill_null(0.0).to_numpy() for column in columns]


AXIS = Axis(
    name="ood",
    tells="accuracy and likelihood on other kinds of problems",
    jobs=jobs,
    measures=measures,
    needs="no OOD set is named: pass --ood NAME=SOURCE",
    sets=("ood",),
    uses_base=True,
    warnings=warnings,
    proves_repair=True,
)
