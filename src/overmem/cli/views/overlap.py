"""What val has of training data, in 80 columns of terminal: counts, problems side by side, what to do."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from overmem.cli.views.tables import plain_table
from overmem.contamination.policy import LEAKS
from overmem.contamination.record import KINDS, Contamination, SetOverlap

LINES = 6
"""Lines of a problem that are shown."""


def render_overlap(record: Contamination, refused: str | None, console: Console) -> None:
    """Print counts by kind, examples side by side, and the next step.

    Args:
        record: what was found.
        refused: why no verdict could rest on this val, or None.
        console: where to; 80 columns are enough.
    """
    table = plain_table("problems", "against", numbers=("of", *KINDS))
    for item in record.sets:
        name = "itself" if item.against == item.set else f"{item.against} ({item.n_against:,})"
        table.add_row(item.set, name, f"{item.n:,}", *(f"{item.counts.get(kind, 0):,}" for kind in KINDS))
    console.print(table)
    for item in record.sets:
        _render_examples(item, console)
    for line in next_steps(record, refused):
        console.print(Padding(Text(line), (0, 1)))


def next_steps(record: Contamination, refused: str | None) -> list[str]:
    """What to do about what was found, a paragraph each."""
    found = record.of("val", "train")
    counts = found.counts if found else {}
    leaks = sum(counts.get(kind, 0) for kind in LEAKS)
    lines = []
    if record.not_checked is not None:
        lines.append(f"val was not compared with training data: {record.not_checked} (--train).")
    elif refused is not None:
        lines.append(f"No verdict can rest on this val: {refused.removeprefix('insufficient evidence: ')}.")
    elif leaks:
        lines.append(
            f"{leaks:,} val problems are training problems. An audit leaves them out by itself. Remove "
            "them from the training data before the next fine-tune."
        )
    else:
        lines.append("No val problem is a training problem, copied or reworded.")
    if counts.get("renumbered"):
        lines.append(
            f"{counts['renumbered']:,} share a template with training problems. If the task is made from "
            "templates, this is normal; otherwise audit with --strict-overlap."
        )
    if record.groups:
        lines.append(
            f"{sum(map(len, record.groups)):,} val problems share {len(record.groups):,} templates with "
            "each other, so they tell as much as fewer problems."
        )
    return lines


def _render_examples(item: SetOverlap, console: Console) -> None:
    if not item.examples:
        return
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(ratio=1)
    table.add_column(ratio=1)
    width = max(20, console.width // 2 - 3)
    other = item.set if item.against == item.set else item.against
    table.add_row(Text(item.set, style="bold"), Text(other, style="bold"))
    for pair in item.examples:
        table.add_row(Text(pair.kind, style="dim"), "")
        table.add_row(_short(pair.text, width), _short(pair.other, width))
    console.print(Padding(table, (0, 1, 1, 1)))


def _short(text: str, width: int) -> Text:
    """At most so many lines of a text."""
    most = LINES * (width - 4)
    return Text(text if len(text) <= most else f"{text[: most - 3]}...")
