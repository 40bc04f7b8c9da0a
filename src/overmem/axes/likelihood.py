"""Likelihood: how probable the references are, which is where over-memorization shows first."""

from __future__ import annotations

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import TRAIN_SCORES, VAL_SCORES, Job
from overmem.axes.axis import Available, Axis
from overmem.stats.measures import Measure, difference_measure, ratio_measure


def jobs(available: Available) -> tuple[Job, ...]:
    """The references of val, and of a training subset to see the gap; val's on the base model too."""
    return available.with_base_row(
        tuple(job for job in (VAL_SCORES, TRAIN_SCORES) if job.set in available.sets)
    )


def measures(evidence: Evidence) -> tuple[Measure, ...]:
    """NLL on val and on train, and the generalization gap between them; nats per token, lower is better."""
    found = []
    for job, name in ((VAL_SCORES, "nll"), (TRAIN_SCORES, "train_nll")):
        if job in evidence.rows:
            rows = evidence.rows[job]
            nll_N, tokens_N = rows["nll_nats"].to_numpy(), rows["n_tokens"].to_numpy().astype(float)
            found.append(
                ratio_measure(name, "lower" if job is VAL_SCORES else "context", job.set, nll_N, tokens_N)
            )
    if len(found) == 2:
        found.append(difference_measure("generalization_gap", "lower", *found))
    return tuple(found)


AXIS = Axis(
    name="likelihood",
    tells="how probable the references are (NLL, perplexity)",
    jobs=jobs,
    uses_base=True,
    measures=measures,
    proves_repair=True,
)
