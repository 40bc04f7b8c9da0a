"""Tables of measures for a terminal of 80 columns: differences, the costs of a verdict, two runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from overmem.formatting import difference_text, nats, short_number, spaced
from overmem.records import TOO_FEW_SEEDS, Comparison, Cost

if TYPE_CHECKING:  # a verdict from a log is shown without arrays
    import polars as pl

    from overmem.memorized.ranking import MemorizedRows

STAGE_STYLES = {
    "learning": "cyan",
    "fit": "green",
    "over-memorized": "yellow",
    "overfit": "red",
    "unstable": "magenta",
    "undetermined": "dim",
}
BEGINNING = 26
"""Characters of a completion that are shown."""
OUTCOME_STYLES = {"worse": "red", "better": "green", "changed": "yellow"}


def plain_table(*names: str, numbers: Sequence[str]) -> Table:
    """A table without a frame; numbers go to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for name in names:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def render_memorized(found: MemorizedRows, texts: pl.DataFrame | None, rows: int, console: Console) -> None:
    """Print the highest training rows with how their completions begin.

    Args:
        found: the ranked rows.
        texts: example_id, prompt and completion of train, if they were kept.
        rows: how many to show.
        console: where to.
    """
    written = {} if texts is None else dict(texts.select("example_id", "completion").iter_rows())
    table = plain_table("row", numbers=("excess", "NLL before", "NLL", "tokens"))
    table.add_column("verbatim")
    table.add_column("completion begins", no_wrap=True)
    for row in found.table.head(rows).iter_rows(named=True):
        figures = (nats(row[name]) for name in ("excess", "nll_before", "nll"))
        begins = " ".join(written.get(row["example_id"], "").split())
        table.add_row(
            Text(row["example_id"]),
            *figures,
            f"{row['n_tokens']}",
            "yes" if row["verbatim"] else "",
            Text(begins[:BEGINNING]),
        )
    console.print(Text(found.words))
    console.print(table)


def difference_table(costs: Sequence[Cost], left: str, right: str | None = None) -> Table:
    """Paired differences with their intervals and what they say.

    Args:
        costs: left minus right.
        left: what the left side is called.
        right: likewise; None where the text above the table has named it.
    """
    table = plain_table("axis", "measure", numbers=("n", left))
    table.add_column(
        "difference (95%)" if right is None else f"minus {right} (95%)", justify="right", no_wrap=True
    )
    table.add_column("")
    previous = None
    for cost in costs:
        axis = cost.axis if cost.axis != previous else ""
        previous = cost.axis
        clear, few = cost.outcome in OUTCOME_STYLES, cost.outcome == TOO_FEW_SEEDS
        outcome = Text(cost.outcome if clear or few else "", style=OUTCOME_STYLES.get(cost.outcome, "dim"))
        if cost.headline and not few:
            outcome.append(f"{' ' if clear else ''}{_p(cost.p_holm)}", style="dim")
        figures = short_number(cost.value), difference_text(cost)
        table.add_row(axis, spaced(cost.measure), f"{cost.difference.n}", *figures, outcome)
    return table


def _p(p: float) -> str:
    if not math.isfinite(p):
        return ""
    return "p<0.01" if p < 0.01 else f"p={p:.2f}"


def render_costs(costs: Sequence[Cost], last: str, console: Console, *, full: bool = False) -> None:
    """Print the headline of each axis at the last checkpoint against the first reference.

    Args:
        costs: of a verdict.
        last: name of the last checkpoint.
        console: where to.
        full: print every measure.
    """
    if not costs:
        return
    of_one = [cost for cost in costs if cost.against == costs[0].against]
    shown = [cost for cost in of_one if cost.headline or full]
    console.print(Text(f" {last} against {costs[0].against}", style="bold"))
    console.print(difference_table(shown, "last"))
    console.print(_below([cost for cost in of_one if cost not in shown]))


def render_comparison(found: Comparison, console: Console, *, full: bool = False) -> None:
    """Print the differences between two runs, and last which is better and why.

    Args:
        found: the comparison.
        console: where to.
        full: print every measure, not only the headlines and what clearly differs.
    """
    console.print(Text(f"A  {', '.join(found.a)}\nB  {', '.join(found.b)}"), soft_wrap=True)
    parts = (
        ("At the recommended checkpoints", found.at_recommended),
        ("At matched accuracy", found.differences if found.matched is not None else ()),
    )
    for title, costs in parts:
        if costs:
            shown = [cost for cost in costs if full or cost.headline or cost.outcome in OUTCOME_STYLES]
            console.print(Text(f"\n {title}", style="bold"))
            console.print(difference_table(shown, "A", "B"))
            console.print(_below([cost for cost in costs if cost not in shown]))
    if found.not_compared:
        commands = dict.fromkeys(found.not_compared.values())
        console.print(Text(f"Measured on one side only: {', '.join(found.not_compared)}. To compare them:"))
        for command in commands:
            console.print(Text(f"  {command}"), soft_wrap=True)
    first, *others = found.words
    console.print()
    console.print(Text(first, style="bold"))
    for text in others:
        console.print(Text(text))


def _below(hidden: Sequence[Cost]) -> Text:
    text = " p: adjusted over the headlines (Holm)."
    if hidden:
        worse = sum(cost.outcome == "worse" for cost in hidden)
        text += f" {len(hidden)} more measures{f' ({worse} worse)' if worse else ''}: --full."
    return Text(text, style="dim")
