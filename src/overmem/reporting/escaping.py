"""Text that comes from a run, made fit to stand inside a sentence of ours."""

from __future__ import annotations

import html
import re

_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that turn the direction of whatever follows them."""


def visible(text: str) -> str:
    r"""Write out the characters that would turn the rest of a line around: `\u202e`.

    A solution is shown as it is, in a paragraph of its own; a name inside a sentence is not.
    """
    return _BIDI.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plotly_text(text: object) -> str:
    """Text for a label of plotly, which reads a little HTML: tags and entities escaped, quotes not."""
    return html.escape(visible(str(text)), quote=False)
