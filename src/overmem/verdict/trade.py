"""The checkpoint to ship beside the most accurate one, and which of them each use would want.

Perplexity is a means: whoever ships a less accurate checkpoint for a lower one must see what for.
"""

from __future__ import annotations

from collections.abc import Sequence

from overmem.artifacts.evidence import MeasuredCheckpoint
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.store import Store
from overmem.formatting import cost_figure
from overmem.records import Cost, Trade, Use, Verdict
from overmem.verdict.costs import compare_places

USES = (
    ("answers alone", ("accuracy",)),
    ("sampling or RL", ("diversity",)),
    ("unlike data", ("ood", "robustness")),
    ("privacy", ("privacy", "recall")),
)
"""What a model is used for, and the axes that decide it."""


def measure_trade(store: Store, manifest: Manifest, verdict: Verdict, *, seed: int = 0) -> Trade | None:
    """The most accurate checkpoint minus the recommended one, on every axis measured at both.

    Args:
        store: the run's artifacts.
        manifest: of the audit.
        verdict: with its recommendation.
        seed: of the bootstrap draws.

    Returns:
        None where nothing is recommended, or where no other is more accurate.
    """
    most_accurate = verdict.alternatives.get("highest_accuracy")
    accuracy = {summary.name: summary.accuracy.value for summary in verdict.checkpoints}
    if verdict.recommended is None or most_accurate is None:
        return None
    if accuracy[most_accurate] <= accuracy[verdict.recommended.name]:
        return None
    shipped, other = (
        MeasuredCheckpoint(store, manifest, str(name)) for name in (verdict.recommended.name, most_accurate)
    )
    found = compare_places(other, shipped, against=shipped.name, axes=manifest.axes, seed=seed)
    return Trade(
        shipped=shipped.name,
        most_accurate=other.name,
        differences=found,
        uses=tuple(_use(name, axes, found, shipped.name, other.name) for name, axes in USES),
    )


def _use(name: str, axes: Sequence[str], differences: Sequence[Cost], shipped: str, other: str) -> Use:
    """Which of the two a use would ship, by the headlines of its axes."""
    decide = [cost for cost in differences if cost.headline and cost.axis in axes]
    if not decide:
        return Use(name=name, ships=None, why=f"not measured: --axes {','.join(axes)}")
    outcomes = {cost.outcome for cost in decide}
    figures = "; ".join(f"{cost_figure(cost)}: {cost.outcome}" for cost in decide)
    if {"better", "worse"} <= outcomes:
        return Use(name=name, ships=None, why=f"mixed: {figures}")
    ships = other if "better" in outcomes else shipped if "worse" in outcomes else None
    return Use(name=name, ships=ships, why=figures)


def speaks_for_shipped(trade: Trade) -> list[Cost]:
    """Measures beside likelihood in which the most accurate checkpoint is clearly worse."""
    return [c for c in trade.differences if c.axis != "likelihood" and c.outcome == "worse"]
