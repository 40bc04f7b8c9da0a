"""Split a completion into the texts of its tokens, without loading a model.

Rows hold figures of each token but not its text, so the run's own `tokenizer.json` splits the text
again, the way the audit did (`overmem.rendering.render.render`). Whether the split is the audit's is
checked by its length; a text whose tokens do not add up is not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from overmem.boundary import library_call, unprinted_panics
from overmem.errors import DataError
from overmem.rendering.rendered import common_prefix_length

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


def load_tokenizer(folders: Sequence[Path]) -> Tokenizer | None:
    """The tokenizer of the first folder that holds a readable `tokenizer.json`, or None.

    Args:
        folders: where a run may keep it: its checkpoints, then the run folder.
    """
    from tokenizers import Tokenizer

    for folder in folders:
        path = folder / "tokenizer.json"
        if not path.is_file():
            continue
        with suppress(DataError), library_call(f"{path} cannot be read", DataError):
            # By its text: libraries in Rust open no name that is not UTF-8.
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
            tokenizer.no_truncation()
            tokenizer.no_padding()
            with unprinted_panics():
                tokenizer.encode("Is it 7?")
            return tokenizer
    return None


def special_tokens(tokenizer: Tokenizer | None) -> frozenset[str]:
    """The tokens of a tokenizer that are no text, such as the end of a turn; none without a tokenizer."""
    if tokenizer is None:
        return frozenset()
    return frozenset(
        token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special
    )


def completion_tokens(tokenizer: Tokenizer, prompt: str, completion: str, n_tokens: int) -> list[str] | None:
    """The text of each token of a completion; joined they give the completion back.

    Where a token lies across prompt and completion, they begin with the end of the prompt that is in it.

    Args:
        tokenizer: of the run.
        prompt: as the model saw it.
        completion: likewise, end of turn included.
        n_tokens: how many the audit scored.

    Returns:
        `n_tokens` texts, some of them empty where one character takes several tokens; None when the
        tokenizer splits the completion into another number of tokens.
    """
    head = tokenizer.encode(prompt, add_special_tokens=False)
    joint = tokenizer.encode(prompt + completion, add_special_tokens=False)
    start = common_prefix_length(head.ids, joint.ids)
    if len(joint.ids) - start != n_tokens:
        return None
    # A token across the boundary is the completion's, with the end of the prompt that lies in it.
    clean = start == len(head.ids)
    return _texts(joint, start, prompt + completion, len(prompt) if clean else joint.offsets[start][0])


def _texts(encoding: Encoding, first: int, text: str, start: int) -> list[str]:
    """Cut the text where tokens end; what no token covers goes to the next one."""
    ends = [end for _, end in encoding.offsets[first:]]
    cuts = [start]
    for end in ends:
        cuts.append(max(cuts[-1], end))
    cuts[-1] = len(text)
    return [text[a:b] for a, b in pairwise(cuts)]
