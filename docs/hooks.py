"""What `make docs` adds to the pages while it builds them: the options of every command, and the tutorial.

Nothing of it is committed, so it cannot be out of date. A page asks for a part by a comment on its own line:
`<!-- command: audit -->` is the usage and the options of `overmem audit`, read from the command line itself;
`<!-- notebook: tutorial.ipynb -->` is the notebook with the outputs that are saved in it.
"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from typing import Any

import nbconvert
import nbformat
import typer
import typer.main
from typer.core import TyperGroup

from overmem.cli.app import app

MARKER = re.compile(r"^<!-- (command|notebook): (.+?) -->$", flags=re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by MkDocs with the text of every page, before it becomes HTML."""
    folder = Path(page.file.abs_src_path).parent

    def part(marker: re.Match[str]) -> str:
        kind, name = marker.groups()
        return command_part(name) if kind == "command" else notebook_part(folder / name)

    return MARKER.sub(part, markdown)


def command_part(name: str) -> str:
    """What a command does, how it is called, and a table of its options for each group of them.

    Raises:
        KeyError: there is no such command.
    """
    command: Any = typer.main.get_command(app)
    for word in name.split():
        command = command.get_command(None, word) if isinstance(command, TyperGroup) else None
        if command is None:
            raise KeyError(f"a page asks for the options of `overmem {name}`, which is no command")
    context = typer.Context(command)
    usage = " ".join(["overmem", name, *command.collect_usage_pieces(context)])
    lines = [_sentences(command.help), "", "```text", usage, "```", ""]
    records = [(_panel(option), option.get_help_record(context)) for option in command.params]
    shown = sorted(((panel, record) for panel, record in records if record), key=lambda pair: pair[0] != "")
    for panel, group in groupby(shown, key=lambda pair: pair[0]):
        lines += [f"**{panel}**", ""] if panel else []
        lines += ["| option | meaning |", "| --- | --- |"]
        lines += [f"| `{_cell(names)}` | {_cell(text).replace('<', '&lt;')} |" for _, (names, text) in group]
        lines += [""]
    if command.epilog:
        lines += ["```text", command.epilog.replace("\b", "").strip(), "```", ""]
    return "\n".join(lines)


def notebook_part(path: Path) -> str:
    """A notebook as Markdown: its texts, its code, and what the code printed; not what it warned of."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    text, _ = nbconvert.MarkdownExporter().from_notebook_node(notebook)
    return str(text)


def _sentences(help_text: str | None) -> str:
    """The help of a command as paragraphs, without the marks that click lays it out by."""
    return (help_text or "").split("\f")[0].replace("\b", "").strip()


def _panel(option: Any) -> str:
    """The heading that an option stands under in the help; arguments come first, without one."""
    return getattr(option, "rich_help_panel", None) or ""


def _cell(text: str) -> str:
    """Text that stays in one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
