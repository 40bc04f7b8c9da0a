"""What one tool measured of one model on one task: a row a sample, or a share right alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from overmem.artifacts.manifest_parts.imported import Score
from overmem.errors import DataError
from overmem.parsing import finite_number

SAMPLES: dict[str, Any] = {
    "id": pl.String,
    "sha": pl.String,
    "asked": pl.String,
    "correct": pl.Float64,
    "nll_nats": pl.Float64,
    "n_tokens": pl.Int64,
    "prompt": pl.String,
    "completion": pl.String,
    "answer": pl.String,
    "text": pl.String,
    "group": pl.String,
}
"""Columns of samples: the problem's id, a hash of it, a hash of what was asked; whether the answer is right,
in [0, 1]; the reference's NLL, summed over so many tokens; texts where they were kept. Only `id` must be
there."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One model on one task."""

    source: str
    """The file."""
    model: str
    """As the tool names it: a path, or a name."""
    tool: str
    version: str = ""
    task: str
    metric: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """What must be equal among checkpoints, such as the task's version and the number of shots."""
    when: str = ""
    """Sorts results of one model and task by time; the newest counts."""
    samples: pl.DataFrame | None = None
    """Columns of `SAMPLES`; None where the tool kept aggregates alone."""
    score: Score | None = None
    """The share right, where there are no samples."""
    notes: tuple[str, ...] = ()

    def has(self, column: str) -> bool:
        """Whether every sample has a value in a column."""
        return self.samples is not None and len(self.samples) > 0 and not self.samples[column].null_count()

    def has_some(self, column: str) -> bool:
        """Whether any sample has a value in a column."""
        return self.samples is not None and self.samples[column].null_count() < len(self.samples)


def samples_table(rows: Sequence[Mapping[str, Any]], source: str) -> pl.DataFrame:
    """Samples as a table, checked.

    Raises:
        DataError: none, a value out of range, or two samples of one id.
    """
    if not rows:
        raise DataError(f"{source} holds no sample", next_step="was the evaluation stopped? Run it again")
    table = pl.DataFrame([{name: row.get(name) for name in SAMPLES} for row in rows], schema=SAMPLES)
    wrong = {
        "correct": ~pl.col("correct").is_between(0, 1),
        "nll_nats": ~pl.col("nll_nats").is_finite() | (pl.col("nll_nats") < 0),
        "n_tokens": pl.col("n_tokens") < 1,
    }
    expected = {"correct": "0 to 1", "nll_nats": "nats, summed, at least 0", "n_tokens": "at least 1"}
    for name, is_wrong in wrong.items():
        found = table.filter(is_wrong)
        if len(found):
            raise DataError(
                f"{source}: `{name}` of {len(found)} samples is out of range",
                got=f"{found[name][0]} of sample {found['id'][0]}",
                expected=expected[name],
            )
    twice = table.filter(pl.col("id").is_duplicated())
    if len(twice):
        raise DataError(f"{source} has a sample twice", got=twice["id"][0], expected="one row a problem")
    return table.sort("id")


def share(value: object) -> float | None:
    """A figure between 0 and 1, or true or false; None for anything else."""
    if isinstance(value, bool):
        return float(value)
    number = finite_number(value)
    return number if number is not None and 0 <= number <= 1 else None


def number_of(text: object) -> float:
    """A finite number, also where it stands as text, as sample files have it; NaN for anything else."""
    if isinstance(text, str):
        try:
            value = float(text)
        except ValueError:
            return math.nan
        return value if math.isfinite(value) else math.nan
    found = finite_number(text)
    return math.nan if found is None else found


def problem_hash(*parts: object) -> str:
    """A short hash of texts, for problems of which the tool keeps none."""
    import hashlib

    return hashlib.sha256("\0".join(map(str, parts)).encode(errors="surrogatepass")).hexdigest()[:16]
