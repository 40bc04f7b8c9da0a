"""Accuracy: the share of problems answered right at temperature 0, the figure everybody looks at."""

from __future__ import annotations

from overmem.axes.kinds import Available, Axis, Evidence, Job, Measure, mean_measure

VAL = Job("greedy", "val")


def jobs(available: Available) -> tuple[Job, ...]:
    """One greedy answer to every val problem."""
    return (VAL,) if "val" in available.graded else ()


def measures(evidence: Evidence) -> tuple[Measure, ...]:
    """Greedy accuracy on val, higher is better."""
    if VAL not in evidence.rows:
        return ()
    return (mean_measure("accuracy", "higher", "val", evidence.rows[VAL]["correct"].to_numpy()),)


AXIS = Axis(name="accuracy", tells="how many problems are solved greedily", jobs=jobs, measures=measures)
