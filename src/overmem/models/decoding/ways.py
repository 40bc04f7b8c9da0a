"""Which decoding a model allows: ours where it gives the logits of plain `generate`, else a plainer one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch

from overmem.models.decoding.attention import can_share
from overmem.models.decoding.continuous import write_continuously
from overmem.models.decoding.kv_cache import can_batch_continuously
from overmem.models.decoding.plain import write_by_generate, write_without_cache
from overmem.models.decoding.positions import Group
from overmem.models.decoding.rows import Row, Writing
from overmem.models.pretrained import unwrap_adapter
from overmem.models.trials import Trials, few_tokens, first_that_agrees, log, pass_over, says_something

Way = Literal["continuous", "unshared", "batched", "one by one", "without cache"]
"""Our own decoding; the same with the model's own attention, which shares nothing between rows; `generate`
with padding; `generate` without; each token from the whole text again."""
OURS: tuple[Way, ...] = ("continuous", "unshared")
SHARED = 2
"""Tokens that the prompts of a trial share."""
LENGTHS = (9, 6, 4)
WRITTEN = (3, 1, 2)
"""Tokens of each prompt, and after it: the second row ends soon, and the third joins."""

_found = Trials()


def way_of(model: Any, prompts: Sequence[Sequence[int]]) -> Way:
    """The fastest way that is right, tried once for a kind of model; a plainer one is said once.

    Args:
        model: a language model in eval mode.
        prompts: token ids, of which some are tried.

    Raises:
        CheckpointError: the model fails on every way.
    """

    def attempt() -> tuple[Way, bool]:
        way, holds = _try_ways(model, few_tokens(prompts, max(LENGTHS) + 3))
        if holds and way not in OURS:
            name = type(unwrap_adapter(model)).__name__
            log.warning("%s: our decoding does not suit it; answers are written %s", name, _WORDS[way])
        return way, holds

    return _found.find(model, attempt)


_WORDS: dict[Way, str] = {
    "continuous": "in batches that rows join and leave",
    "unshared": "in batches that rows join and leave",
    "batched": "by transformers' generate, in padded batches",
    "one by one": "by transformers' generate, one by one, since padding changes them",
    "without cache": "one by one and without a cache, which takes long",
}


def _try_ways(model: Any, tokens: Sequence[int]) -> tuple[Way, bool]:
    """The way, and whether the trial could tell it from others."""
    prompts = [
        [*tokens[:SHARED], *(tokens[(at * 5 + length) % len(tokens)] for at in range(length - SHARED))]
        for length in LENGTHS
    ]
    writing = Writing(stops=frozenset(), max_new_tokens=max(WRITTEN))

    def logits(write: Callable[[list[Row]], None]) -> torch.Tensor:
        rows = [Row(at, forced=tokens[at : at + n]) for at, n in enumerate(WRITTEN)]
        write(rows)
        return torch.stack([of_token for row in rows for of_token in row.logits])

    def ours(shared: int | None) -> torch.Tensor:
        group = Group(range(len(prompts)))
        return logits(
            lambda rows: write_continuously(model, prompts, rows, writing, most=2, group=group, shared=shared)
        )

    last: Way = "one by one"
    try:
        expected = logits(lambda rows: write_by_generate(model, prompts, rows, writing, 1))
    except Exception as error:
        pass_over("one by one", model, error)
        last = "without cache"
        expected = logits(lambda rows: write_without_cache(model, prompts, rows, writing))
    if not says_something(expected):
        return last, False
    ways: list[tuple[Way, Callable[[], torch.Tensor]]] = []
    if can_batch_continuously(unwrap_adapter(model).config):
        ways.append(("continuous", lambda: ours(SHARED if can_share(model) else 0)))
        ways.append(("unshared", lambda: ours(None)))
    if last == "one by one":
        ways.append(
            ("batched", lambda: logits(lambda rows: write_by_generate(model, prompts, rows, writing, 3)))
        )
    return first_that_agrees(ways, expected, model, last), True
