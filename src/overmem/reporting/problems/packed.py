"""A list in the page: compressed, so that thousands of texts fit, and without a character that ends a script.

Answers of one problem at several checkpoints lie side by side, where gzip finds what they share.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

HEAD = 0.6
"""Share of a shortened text that is its beginning; the rest is its end, where an answer mostly stands."""
FEWEST = 200
"""Characters that are kept of every text, however many there are."""


def pack(value: Mapping[str, Any]) -> str:
    """JSON, gzipped, in base64: what a page reads back with DecompressionStream and no request.

    Args:
        value: of plain values; NaN is refused.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    # Half of a surrogate pair, which a model's bytes can give, has no UTF-8; browsers show the same sign.
    whole = text.encode("utf-8", "replace")
    return base64.b64encode(gzip.compress(whole, compresslevel=6, mtime=0)).decode("ascii")


def longest_kept(lengths: Iterable[int], budget: int) -> int:
    """The longest that texts may stay, so that all of them together fit a budget.

    Args:
        lengths: of the texts, characters.
        budget: characters in all.

    Returns:
        A length, the largest there is where all fit as they are; never less than `FEWEST`.
    """
    ordered = sorted(lengths)
    left = budget
    for i, length in enumerate(ordered):
        if length * (len(ordered) - i) > left:
            return max(FEWEST, left // (len(ordered) - i))
        left -= length
    return max(FEWEST, ordered[-1] if ordered else 0)


def shortened(text: str, longest: int) -> str:
    """The beginning and the end of a text that is longer than it may stay, with what was left out between."""
    if len(text) <= longest:
        return text
    head = int(HEAD * longest)
    tail = longest - head
    return f"{text[:head]}\n[… {len(text) - longest:,} characters are not shown …]\n{text[-tail:]}"


def without_end(text: str, special: Collection[str]) -> str:
    """A reference as one reads it: without the special tokens that end a turn, and blanks around it.

    Args:
        text: as it was scored.
        special: the tokenizer's special tokens.
    """
    if not special:
        return text.strip()
    ends = "|".join(map(re.escape, sorted(special)))
    return re.sub(rf"(?:\s*(?:{ends}))+\s*\Z", "", text).strip()


def rounded(values: Sequence[float | None], digits: int = 3) -> list[float | None]:
    """Figures as the page has them; None where they are undefined."""
    return [None if value is None or value != value else round(value, digits) for value in values]
