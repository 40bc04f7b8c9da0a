"""What `make docs` adds to the pages while it builds them: the options of every command, and the tutorial.

Nothing of it is committed, so it cannot be out of date. A page asks for a part by a comment on its own line:
`<!-- command: audit -->` is the usage and the options of `overmem audit`, read from the command line itself;
`<!-- notebook: tutorial.ipynb -->` is the notebook with the outputs that are saved in it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbconvert
import nbformat
import typer
import typer.main
from typer.core import TyperGroup

from overmem.cli.app import app
from overmem.cli.help import option_groups

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
    for heading, rows in option_groups(command.params, context).items():
        lines += [f"**{heading}**", "", "| | |", "| --- | --- |"]
        lines += [f"| `{_cell(names)}` | {_cell(text).replace('<', '&lt;')} |" for names, text in rows]
        lines += [""]
    examples = [line.strip() for line in getattr(command, "examples", "").splitlines()]
    if any(examples):
        lines += ["**Examples**", "", "```bash", *filter(None, examples), "```", ""]
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


def _cell(text: str) -> str:
    """Text that stays in one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
