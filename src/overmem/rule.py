"""The thresholds of the decision rule and of a verdict's confidence: one object, its defaults here alone.

It is passed whole from the command line to the posterior. What the thresholds mean is in docs/definitions.md,
"The decision rule"; the rule itself is `overmem.stats.stage_rule`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from overmem.errors import DataError
from overmem.keywords import names_its_fields


@names_its_fields
@dataclass(frozen=True, kw_only=True)
class Rule:
    """Thresholds of the decision rule.

    Raises:
        DataError: a threshold is out of its range.
    """

    accuracy_margin: float = 0.03
    """Accuracy below the peak that is still comparable, in [0, 1)."""
    perplexity_ratio: float = 1.10
    """Growth over the lowest perplexity that counts as inflated, above 1."""
    resamples: int = 2000
    """Draws of the true curves, at least 100."""
    seed: int = 0
    """Of the draws; the same seed gives the same figures."""
    confidence_threshold: float = 0.8
    """Least probability at which a stage is given, in (0, 1]."""

    def __post_init__(self) -> None:
        checks = (
            ("accuracy_margin", 0.0 <= self.accuracy_margin < 1.0, "0 <= margin < 1"),
            ("perplexity_ratio", 1.0 < self.perplexity_ratio < math.inf, "above 1 and finite"),
            ("resamples", self.resamples >= 100, "at least 100"),
            ("confidence_threshold", 0.0 < self.confidence_threshold <= 1.0, "0 < c <= 1"),
        )
        for name, passed, expected in checks:
            if not passed:
                raise DataError(
                    f"{name} is out of range",
                    got=getattr(self, name),
                    expected=expected,
                    next_step=f"the default is {getattr(type(self), name):g}",
                )

    def to_dict(self) -> dict[str, float | int]:
        """The thresholds as a verdict records them."""
        return dataclasses.asdict(self)


DEFAULT_RULE = Rule()
