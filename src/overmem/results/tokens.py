"""Count the tokens of a reference as lm-evaluation-harness scores them, by a checkpoint's own tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from overmem.boundary import library_call, unprinted_panics
from overmem.errors import DataError

FILE = "tokenizer.json"


def token_counter(folders: Sequence[Path]) -> Callable[[str, str], int | None]:
    """A counter by the first tokenizer that is found; it says None where there is none.

    Context and continuation are tokenized together, white space at the context's end with the continuation,
    as lm-eval does.

    Args:
        folders: where a `tokenizer.json` may lie.

    Raises:
        DataError: the tokenizer that is there cannot be read.
    """
    found = next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)
    if found is None:
        return lambda context, continuation: None
    from tokenizers import Tokenizer

    with library_call(f"{found} cannot be read as a tokenizer", DataError), unprinted_panics():
        tokenizer = Tokenizer.from_file(str(found))

    def count(context: str, continuation: str) -> int:
        start = context.rstrip()
        both = tokenizer.encode(context + continuation, add_special_tokens=False)
        return len(both.ids) - len(tokenizer.encode(start, add_special_tokens=False).ids)

    return count
