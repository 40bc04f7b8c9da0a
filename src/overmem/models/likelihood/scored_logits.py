"""What a model predicts at the tokens of references: in padded batches where it allows them, else one by one.

Shapes: B sequences of a batch, L padded length, K positions scored, P of them in a piece, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import torch

from overmem.errors import CheckpointError
from overmem.models.batches import head_at_once, read_at_once
from overmem.models.decoding.kv_cache import cache_keyword, can_batch_continuously, pair_scores, piece_cache
from overmem.models.decoding.plain import write_by_generate
from overmem.models.decoding.positions import changing_rotations
from overmem.models.decoding.rows import Row, Writing
from overmem.models.likelihood.lm_head import HiddenStates, read_hidden_states
from overmem.models.memory import give_back_large_blocks
from overmem.models.placement import input_device
from overmem.models.pretrained import embedding_rows, run_model, unwrap_adapter
from overmem.models.quantization import reads_across_rows
from overmem.models.trials import Trials, agree, few_tokens, first_that_agrees, log, says_something

Way = Literal["in pieces", "padded", "all logits", "one by one", "one by one, all logits", "as answers"]
"""Padded batches, long texts in pieces behind the keys and values of what was read, and the LM head over few
positions at a time; the same with every text read at once; the same with the logits of all positions at once;
one text at a time, the head over few positions; with all logits; token by token behind the prompt, for models
that read the prompt in both directions (PaliGemma)."""
LENGTH, SHORTER, PIECE = 11, 6, 4
"""Tokens of the texts that are tried, and of a piece of them."""

IN_BATCHES: tuple[Way, ...] = ("in pieces", "padded", "all logits")

_found = Trials()


class TokenIds(Protocol):
    """What scoring needs of a rendered example."""

    @property
    def prompt_ids(self) -> Sequence[int]: ...  # noqa: D102

    @property
    def completion_ids(self) -> Sequence[int]: ...  # noqa: D102

    @property
    def scored_mask(self) -> Sequence[bool]: ...  # noqa: D102

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Piece:
    """What a model predicts at some of the scored tokens of one example."""

    item: int
    """Which of the batch."""
    logits_P_V: torch.Tensor
    """In the model's dtype."""
    targets_P: torch.Tensor
    """The tokens that stand there."""


def completion_logits(model: Any, batch: Sequence[TokenIds]) -> Iterator[Piece]:
    """What the model predicts at each scored token of a batch's completions, a piece of them at a time.

    Args:
        model: a language model in eval mode.
        batch: rendered examples; each completion has at least one token, each prompt too.

    Yields:
        Pieces, those of one example in the order of its tokens; pieces of others may stand between.

    Raises:
        CheckpointError: the model sees the tokens that it is to predict.
    """
    way = scoring_way(model, batch)
    device = input_device(model)
    tokens = [torch.tensor(list(item.completion_ids), device=device) for item in batch]
    scored = [
        None if all(mask) else torch.tensor(list(mask), device=device)
        for mask in (item.scored_mask for item in batch)
    ]
    for row, start, logits_P_V in _all_pieces(model, batch, way):
        part = slice(start, start + len(logits_P_V))
        targets_P, scored_P = tokens[row][part], scored[row]
        if scored_P is not None:
            targets_P, logits_P_V = targets_P[scored_P[part]], logits_P_V[scored_P[part]]
        yield Piece(row, logits_P_V, targets_P)


def scoring_way(model: Any, batch: Sequence[TokenIds]) -> Way:
    """The fastest way that is right, tried once for a kind of model; a plainer one is said once.

    Raises:
        CheckpointError: the model sees the tokens that it is to predict.
    """

    def attempt() -> tuple[Way, bool]:
        way, holds = _try_ways(model, few_tokens([item.prompt_ids for item in batch], LENGTH))
        if holds and way not in IN_BATCHES:
            name = type(unwrap_adapter(model)).__name__
            how = "token by token behind their prompts" if way == "as answers" else "one by one"
            log.warning("%s: padding or a single pass changes it; references are scored %s", name, how)
        return way, holds

    return _found.find(model, attempt)


def _all_pieces(model: Any, batch: Sequence[TokenIds], way: Way) -> Iterator[tuple[int, int, torch.Tensor]]:
    """Logits of the items' completions: which item, from which of its tokens on, and (P, V)."""
    texts = [[*item.prompt_ids, *item.completion_ids] for item in batch]
    prompts = [len(item.prompt_ids) for item in batch]
    if way == "as answers":
        for row, (text, prompt) in enumerate(zip(texts, prompts, strict=True)):
            yield row, 0, _as_answer(model, text, prompt)
        return
    for group in _read_together(model, list(map(len, texts)), way):
        first = min(prompts[row] for row in group) - 1
        for start, logits_B_P_V in padded_logits(model, [texts[row] for row in group], first, way):
            stop = start + logits_B_P_V.shape[1]
            for row, logits_P_V in zip(group, logits_B_P_V, strict=True):
                # Position t predicts token t + 1.
                begin, end = max(start, prompts[row] - 1), min(stop, len(texts[row]) - 1)
                if begin < end:
                    yield row, begin - prompts[row] + 1, logits_P_V[begin - start : end - start]


def _read_together(model: Any, lengths: Sequence[int], way: Way) -> list[list[int]]:
    """Texts that are read in one pass: a long one that stretches its rotations would stretch all others."""
    rows = range(len(lengths))
    if way not in IN_BATCHES:
        return [[row] for row in rows]
    limit = min(changing_rotations(model).values(), default=max(lengths))
    parted = ([row for row in rows if lengths[row] <= limit], [row for row in rows if lengths[row] > limit])
    return [group for group in parted if group]


def padded_logits(
    model: Any,
    texts: Sequence[Sequence[int]],
    first: int,
    way: Way,
    *,
    read: int | None = None,
    head: int | None = None,
) -> Iterator[tuple[int, torch.Tensor]]:
    """Logits from position `first` on, of all but the last token: each position, and (B, P, V) from it on.

    Args:
        model: a language model in eval mode.
        texts: token ids of each.
        first: the first position whose logits are needed.
        way: any but `as answers`.
        read: tokens of each text that are read at once; None follows the device.
        head: positions that go through the LM head at once; None follows the vocabulary.
    """
    device, rows = input_device(model), len(texts)
    longest = max(map(len, texts))
    # Padding is on the right, where causal attention never looks: any token will do that has an embedding.
    ids_B_L = torch.tensor([[*text] + [0] * (longest - len(text)) for text in texts], device=device)
    mask_B_L = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts], device=device)
    if way in ("all logits", "one by one, all logits"):
        inputs = {"attention_mask": mask_B_L} if rows > 1 else {}
        logits = run_model(model, input_ids=ids_B_L, use_cache=False, **inputs).logits
        yield first, torch.as_tensor(logits)[:, first : longest - 1]
        return
    head = head or head_at_once(rows, embedding_rows(model))
    base = unwrap_adapter(model)
    whole = way != "in pieces"
    size = longest if whole else read or read_at_once(device.type, rows, longest, pair_scores(base.config))
    for begin, hidden in _read(model, ids_B_L, mask_B_L, size):
        end = min(hidden.ids_B_L.shape[1], longest - 1 - begin)
        for start in range(max(0, first - begin), end, head):
            yield begin + start, hidden.logits(start, min(end, start + head))


def _read(
    model: Any, ids_B_L: torch.Tensor, mask_B_L: torch.Tensor, size: int
) -> Iterator[tuple[int, HiddenStates]]:
    """Hidden states of so many tokens at a time, each with the position at which they begin."""
    rows, longest = ids_B_L.shape
    if size >= longest:
        yield 0, read_hidden_states(model, ids_B_L, attention_mask=mask_B_L, use_cache=False)
        return
    if ids_B_L.device.type == "cpu":
        give_back_large_blocks()
    cache = {cache_keyword(model): piece_cache(unwrap_adapter(model).config, rows, longest)}
    for begin in range(0, longest, size):
        ids, mask_B_C = ids_B_L[:, begin : begin + size], mask_B_L[:, : begin + size]
        yield begin, read_hidden_states(model, ids, attention_mask=mask_B_C, use_cache=True, **cache)


def may_read_in_pieces(model: Any) -> bool:
    """Whether it is worth a trial: no, where rotations follow the longest text of a pass.

    They differ from piece to piece, and only in texts longer than a trial's.
    """
    base = unwrap_adapter(model)
    return can_batch_continuously(base.config) and not changing_rotations(base)


def whole_logits(model: Any, text: Sequence[int]) -> torch.Tensor:
    """Logits of every position of one text, by the plainest pass there is: (L, V)."""
    ids = torch.tensor([list(text)], device=input_device(model))
    logits: torch.Tensor = run_model(model, input_ids=ids).logits[0]
    return logits


def _as_answer(model: Any, text: Sequence[int], prompt: int) -> torch.Tensor:
    """Logits of what follows a prompt, as if the model had written it: (K, V)."""
    row = Row(0, forced=text[prompt:])
    writing = Writing(stops=frozenset(), max_new_tokens=len(text) - prompt)
    write_by_generate(model, [text[:prompt]], [row], writing, 1)
    return torch.stack(row.logits).to(input_device(model))


def _try_ways(model: Any, tokens: Sequence[int]) -> tuple[Way, bool]:
    """The way, and whether the trial could tell it from others."""
    expected = whole_logits(model, tokens)
    if not says_something(expected):
        return "one by one, all logits", False
    shorter = whole_logits(model, tokens[:SHORTER])
    if not agree(shorter, expected[:SHORTER], model):
        _check_cached(model, tokens)
        return "as answers", True

    rows = [tokens, tokens[3:], tokens[:SHORTER]]
    both = torch.cat([expected[1:-1], shorter[1:-1]])

    def logits(way: Way) -> torch.Tensor:
        groups = [rows] if way in IN_BATCHES else [[tokens], [tokens[:SHORTER]]]
        found = [
            torch.cat(
                [part for _, part in padded_logits(model, group, 1, way, read=PIECE, head=PIECE - 1)], 1
            )
            for group in groups
        ]
        return torch.cat([found[0][0], found[-1][-1, : SHORTER - 2]])

    ways: list[Way] = ["padded", "all logits", "one by one"]
    if reads_across_rows(model):
        ways = ["one by one"]
    elif may_read_in_pieces(model):
        ways.insert(0, "in pieces")
    last: Way = "one by one, all logits"
    return first_that_agrees([(way, partial(logits, way)) for way in ways], both, model, last), True


def _check_cached(model: Any, tokens: Sequence[int]) -> None:
    """Refuse a model that reads in both directions and has no cache, as those that fill gaps."""
    ids = torch.tensor([list(tokens)], device=input_device(model))
    found = run_model(model, input_ids=ids, use_cache=True)
    if all(getattr(found, name, None) is None for name in ("cache", "past_key_values")):
        raise CheckpointError(
            "the model sees the tokens that it is to predict, so it has no likelihood of a text",
            got=type(unwrap_adapter(model)).__name__,
            expected="a causal language model",
            next_step="if it is one, say so in its config.json (is_decoder: true)",
        )
