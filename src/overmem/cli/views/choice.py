"""The checkpoint to ship beside the most accurate one, and beside the base model, in 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from overmem.cli.views.tables import OUTCOME_STYLES, plain_table
from overmem.formatting import difference_text, short_number, spaced
from overmem.records import BaseModel, Cost, Trade


def render_trade(trade: Trade, console: Console) -> None:
    """Print the most accurate checkpoint beside the one to ship, and which of them each use would ship.

    Args:
        trade: of a verdict.
        console: where to.
    """
    console.print(Text(f" {trade.most_accurate} (most accurate) beside {trade.shipped} (ship)", style="bold"))
    console.print(_beside(trade.differences, "most acc.", "ship"))
    uses = plain_table("for", "ships", "because", numbers=())
    for use in trade.uses:
        uses.add_row(use.name, use.ships or "-", use.why)
    console.print(uses)


def render_base(base: BaseModel, console: Console) -> None:
    """Print the checkpoint to ship against the base model, and the last one where it came to something else.

    Args:
        base: of a verdict.
        console: where to.
    """
    for i, item in enumerate(base.comparisons):
        if i and item.outcome == base.comparisons[0].outcome:
            continue
        title = f" {item.checkpoint} against the base model: {item.outcome}"
        console.print(Text(title, style="bold"))
        console.print(_beside(item.differences, "value", "base"))
    console.print(Padding(Text(f"base model: {base.name}", style="dim"), (0, 1)))


def _beside(costs: Sequence[Cost], left: str, right: str) -> Table:
    table = plain_table("axis", "measure", numbers=(left, right))
    table.add_column("difference (95%)", justify="right", no_wrap=True)
    table.add_column("")
    for cost in costs:
        if cost.headline:
            reading = Text(cost.outcome, style=OUTCOME_STYLES.get(cost.outcome, "dim"))
            figures = short_number(cost.value), short_number(cost.reference_value), difference_text(cost)
            table.add_row(cost.axis, spaced(cost.measure), *figures, reading)
    return table
