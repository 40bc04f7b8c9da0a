"""Accuracy: the share of problems answered right at temperature 0, the figure everybody looks at."""

from __future__ import annotations

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import VAL_ANSWERS, Job
from overmem.axes.axis import Available, Axis
from overmem.stats.measures import Measure, mean_measure


def jobs(available: Available) -> tuple[Job, ...]:
    """One greedy answer to every val problem, by the base model too."""
    return available.with_base_row((VAL_ANSWERS,)) if "val" in available.graded else ()


def measures(evidence: Evidence) -> tuple[Measure, ...]:
    """Greedy accuracy on val, higher is better."""
    if VAL_ANSWERS not in evidence.rows:
        return ()
    return (mean_measure("accuracy", "higher", "val", evidence.rows[VAL_ANSWERS]["correct"].to_numpy()),)


AXIS = Axis(
    name="accuracy",
    tells="how many problems are solved greedily",
    jobs=jobs,
    measures=measures,
    uses_base=True,
)
