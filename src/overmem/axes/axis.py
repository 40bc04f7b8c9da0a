"""What an axis is: the jobs it asks of an audit, and the measures it makes of the saved rows.

An axis is one module of this package. It declares jobs (which rows an audit has to produce) and turns
finished rows into measures (`overmem.stats.measures`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from overmem.artifacts.jobs import Job, on_base

if TYPE_CHECKING:
    from overmem.artifacts.evidence import Evidence
    from overmem.stats.measures import Measure


@dataclass(frozen=True, kw_only=True)
class Available:
    """What an audit has been given to work with; an axis asks for jobs on these only."""

    sets: tuple[str, ...]
    """`val`, perhaps `train`, `ood/NAME`, `references/NAME` and `retention/NAME` sets."""
    variants: tuple[str, ...] = ()
    """Perturbations of val, without `clean`."""
    graded: frozenset[str] = frozenset()
    """Sets whose problems have answers and a grader, so that answering them means something."""
    external: frozenset[str] = frozenset()
    """Sets that lm-evaluation-harness asks and judges by itself; they have no references to score."""
    has_base: bool = False
    """Whether the model that the fine-tune started from is known and can score the problems."""
    base_row: bool = False
    """Whether it is to be measured as the checkpoints are, as step 0."""
    base_answers: bool = True
    """Whether it can be asked too, and not only score."""

    def with_base_row(self, jobs: tuple[Job, ...]) -> tuple[Job, ...]:
        """Jobs, and those of them that are also done on the base model as step 0; not on training data."""
        if not (self.has_base and self.base_row):
            return jobs
        kept = [job for job in jobs if job.set != "train" and (self.base_answers or job.kind == "score")]
        return (*jobs, *map(on_base, kept))


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One side of what memorization costs."""

    name: str
    tells: str
    """What it tells, in a line."""
    jobs: Callable[[Available], tuple[Job, ...]]
    """The rows it needs, of what is available; empty when it cannot be measured here."""
    measures: Callable[[Evidence], tuple[Measure, ...]]
    """The figures that the rows allow, the axis's headline first; jobs that are missing leave theirs out."""
    needs: str = ""
    """What a user must give where it cannot be measured; by default that follows from val."""
    sets: tuple[str, ...] = ()
    """Options of an audit whose problems are loaded for it: `ood`, `references`, `retention`, `variants`,
    `canaries`."""
    implied_by: str | None = None
    """Option of an audit that asks for this axis by being given."""
    rescores_answers: bool = False
    """Whether right answers of one checkpoint are scored by all (`overmem.artifacts.jobs.ANSWERS_SCORES`)."""
    compares_base_answers: bool = False
    """Whether the base model's greedy answers, which its jobs ask for, are then compared with by all
    (`overmem.artifacts.jobs.base_answers_job`)."""
    uses_base: bool = False
    """Whether the base model is measured as well, where it is known and fits."""
    warnings: Callable[[Evidence], tuple[str, ...]] = lambda evidence: ()
    """What a reader of the figures must be warned of."""
    proves_repair: bool = False
    """Whether a repair may be accepted for being clearly better in this axis's headline."""
