"""Does an answer keep the form of one: ended, not empty, no loop, and nobody else's turn in it.

Judged from the text alone, the same for every model and task.
"""

from __future__ import annotations

import re

import numpy as np

REPEATS = 3
"""Times in a row that a piece must stand at the end of a text to be a loop."""
LOOP_CHARACTERS = 40
"""Fewest characters that the repeated pieces must fill together, so that no ordinary ending is a loop."""
_TURN = re.compile(
    r"^[ \t]*(?:#{1,4} ?)?(?:user|human|assistant|system|instruction|question|q)[ \t]*:"
    r"|<\|[a-z_]{2,20}\|>|\[/?INST\]|<(?:start|end)_of_turn>",
    re.IGNORECASE | re.MULTILINE,
)


def loops(text: str) -> bool:
    """Whether a text ends in the same piece again and again, whatever its length: `so so so so`.

    True if the last characters have a period p: at least `REPEATS` times p of them and at least
    `LOOP_CHARACTERS`. The last piece may be cut short.
    """
    codes = np.frombuffer(text.rstrip().encode("utf-32-le"), dtype=np.uint32)[::-1]
    for period in range(1, len(codes) // REPEATS + 1):
        differ = codes[period:] != codes[:-period]
        same = int(differ.argmax()) if differ.any() else len(differ)
        if same + period >= max(REPEATS * period, LOOP_CHARACTERS):
            return True
    return False


def opens_a_turn(text: str) -> bool:
    """Whether an answer names a speaker or asks a question of its own, as `User:` or `<|im_start|>` do."""
    return _TURN.search(text) is not None


def keeps_format(text: str, finished: bool) -> bool:
    """Whether an answer is one: it ended by itself, says something, does not loop, and opens no other turn.

    Args:
        text: of the answer, special tokens left out.
        finished: whether it ended before the longest answer allowed.
    """
    return finished and bool(text.strip()) and not loops(text) and not opens_a_turn(text)
