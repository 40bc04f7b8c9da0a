"""The messages that docs/faq.md quotes are messages of overmem."""

import ast
import re
from functools import cache

import pytest

from tests.helpers.paths import ROOT, SRC

PAGE = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
QUOTED = [
    line.strip() for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]
SHORTEST = 4
"""Characters of a piece between two names that is looked for; a bracket alone is no evidence."""


@cache
def literals() -> tuple[str, ...]:
    """Every text in the source, those inside f-strings too."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in SRC.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return tuple(
        node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def known(message: str) -> bool:
    """Whether each piece of a message stands in one text of the source; `...` stands for names."""
    pieces = [piece for piece in message.split("...") if len(piece.strip()) >= SHORTEST]
    return bool(pieces) and all(any(piece in text for text in literals()) for piece in pieces)


@pytest.mark.parametrize("message", QUOTED)
def test_a_quoted_message_is_in_the_source(message):
    assert known(message)


def test_a_message_that_is_no_more_is_found():
    assert len(QUOTED) > 20
    assert not known("the run folder has gone for a walk")
    assert not known("...")
