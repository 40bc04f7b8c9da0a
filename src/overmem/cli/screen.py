r"""Where the command line speaks: plain lines for people, JSON for programs.

Names, ids, answers and messages of libraries come from runs and data that other people made. What a terminal
would obey (escape sequences, control characters, texts that turn a line around) is written out as `\x1b`
before it gets there: by the console for what we lay out, whose own colours stay, and by the two standard
streams for everything else, such as errors, warnings and what libraries print.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from overmem.formatting import unseen, visible


class Screen(Console):
    """A console on which only its own styles have an effect, whatever the texts hold; no markup is read."""

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as it is laid out: measured as what will be seen."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is written, in pieces; everything that is printed passes here."""
        if isinstance(renderable, Text):
            renderable = visible_text(renderable)
        for text, style, control in super().render(renderable, options):
            # Rich's own movements of the cursor hold no text of anyone.
            yield Segment(text if control else visible(text), style, control)


def visible_text(text: Text) -> Text:
    """A styled text with `visible` done to it, before it is wrapped, so that it keeps to its width."""
    found = unseen(text.plain)
    if not found:
        return text
    pieces = text.divide(sorted({edge for start, end in found for edge in (start, end)}))
    shown = text.blank_copy()
    for piece in pieces:
        shown.append_text(piece if not unseen(piece.plain) else Text(visible(piece.plain), piece.style))
    return shown


class VisibleStream:
    """A standard stream for texts of anyone: what a terminal would obey is written out."""

    def __init__(self, stream: TextIO) -> None:
        """Stand before a stream, which does all else."""
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text."""
        self.stream.write(visible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one after another."""
        for line in lines:
            self.write(line)


@contextmanager
def visible_streams() -> Iterator[None]:
    """Stand before both standard streams, also where a live display has taken their place."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, VisibleStream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def console(*, stderr: bool = False) -> Screen:
    """Where people read: a standard stream, of the first process where a launcher started several."""
    stream = sys.stderr if stderr else sys.stdout
    return Screen(
        file=stream.stream if isinstance(stream, VisibleStream) else stream,
        highlight=False,
        markup=False,
        emoji=False,
        quiet=not _is_first(),
    )


def say(screen: Console, text: str) -> None:
    """Print a line as it is: not wrapped, so that paths can be copied."""
    screen.print(text, soft_wrap=True)


def tell(screen: Console, text: str, style: str | None = None) -> None:
    """Print sentences: broken between words on a terminal, lines as they are where a program reads."""
    if screen.is_terminal:
        text = "\n".join(_broken(line, screen.width) for line in text.split("\n"))
    screen.print(text, style=style, soft_wrap=True)


def _broken(line: str, width: int) -> str:
    """A line in several, set in as it is; a word that is longer than the terminal stays whole."""
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def print_json(record: dict[str, Any]) -> None:
    """Print a record for a program, by the first process where a launcher started several."""
    if _is_first():
        print(json.dumps(record, indent=1))


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"
