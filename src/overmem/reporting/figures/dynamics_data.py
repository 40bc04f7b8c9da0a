"""The figures of every checkpoint as a table: what the dynamics figure draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overmem.reporting.exhibits.kinds import Cell, Table
from overmem.reporting.figures.curves import estimate_of

MEASURES = ("accuracy", "nll_nats", "perplexity", "train_nll_nats")


def dynamics_table(verdict: Mapping[str, Any]) -> Table:
    """One row a checkpoint: stage, confidence, and each measure with its interval and n.

    Args:
        verdict: an `overmem.verdict/1` record.
    """
    ends = [f"{measure}{end}" for measure in MEASURES for end in ("", "_low_95", "_high_95", "_problems")]
    rows: list[tuple[Cell, ...]] = []
    for record in verdict["checkpoints"]:
        found = [estimate_of(record.get(measure)) for measure in MEASURES]
        figures = [cell for e in found for cell in (e.value, e.low, e.high, e.n)]
        about = (*(record.get(key) for key in ("name", "step", "epoch", "stage", "leaning", "confidence")),)
        rows.append((*about, *figures))
    columns = ("checkpoint", "step", "epoch", "stage", "leaning", "confidence", *ends)
    return Table(columns=columns, rows=tuple(rows))
