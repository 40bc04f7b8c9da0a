"""Where rows come from that another tool measured, and what it says without rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from overmem.serialization import FieldError


@dataclass(frozen=True, kw_only=True)
class Score:
    """What another tool says of one model and no more: a share right, of so many problems."""

    accuracy: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Where rows come from that another tool measured (`overmem import`)."""

    tool: str
    """`lm-eval`, `inspect`, `lighteval`, `evalscope`, `csv` or `parquet`."""
    version: str = ""
    """Of the tool, where its files say so."""
    task: str
    metric: str
    sources: tuple[str, ...]
    """Files that were read."""
    eval_loss: Mapping[str, float] = field(default_factory=dict)
    """By checkpoint what training logged, in the place of likelihoods that were not measured."""
    scores: Mapping[str, Score] = field(default_factory=dict)
    """By checkpoint, where no sample was kept; the base model is called `base`."""
    notes: tuple[str, ...] = ()
    """What a reader must know of the import."""

    def check_read(self) -> None:
        """Refuse figures that are none.

        Raises:
            FieldError: so it is.
        """
        for name, score in self.scores.items():
            if not (0 <= score.accuracy <= 1 and score.n > 0):
                got = f"{score.accuracy} of {score.n}"
                raise FieldError(f"scores.{name}", "is no share", got, "0 to 1, of at least one problem")
        for name, loss in self.eval_loss.items():
            if not loss > 0:
                raise FieldError(f"eval_loss.{name}", "is no loss", loss, "a number above 0")
