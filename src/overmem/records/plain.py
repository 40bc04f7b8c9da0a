"""An estimate with its interval, and the JSON form of records: undefined figures become null."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overmem.serialization import from_plain


@dataclass(frozen=True)
class Estimate:
    """A number shown to a person: value, 95% interval, and the problems behind it."""

    value: float
    low: float
    high: float
    n: int
    """Problems (not samples, not tokens) the estimate rests on."""
    reason: str | None = None
    """Why the value is undefined, when it is NaN."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form; an undefined figure is null and `reason` says why."""
        out: dict[str, Any] = {
            "value": finite_or_none(self.value),
            "low": finite_or_none(self.low),
            "high": finite_or_none(self.high),
            "n": self.n,
        }
        if self.reason is not None:
            out["reason"] = self.reason
        return out

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Estimate:
        """Inverse of `to_dict`."""
        return from_plain(cls, record, what="an estimate", next_step="run the stage again")


def finite_or_none(value: float) -> float | None:
    """NaN and infinities have no JSON form; null stands for them."""
    return float(value) if math.isfinite(value) else None


def none_to_nan(value: float | None) -> float:
    """Inverse of `finite_or_none` for undefined figures."""
    return math.nan if value is None else float(value)


def to_plain(value: Any) -> Any:
    """The JSON form of a record and all it holds; undefined figures become null."""
    if isinstance(value, Estimate):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, Sequence):
        return [to_plain(item) for item in value]
    raise TypeError(f"no JSON form for {type(value).__name__}")
