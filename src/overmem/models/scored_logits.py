"""What a model predicts at the tokens of references: in padded batches where it allows them, else one by one.

Shapes: B sequences of a batch, L padded length, K positions scored, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

import torch

from overmem.errors import CheckpointError
from overmem.models.decoding.plain import write_by_generate
from overmem.models.decoding.rows import Row, Writing
from overmem.models.pretrained import run_model, unwrap_adapter
from overmem.models.trials import Trials, agree, few_tokens, first_that_agrees, log, says_something

Way = Literal["at some positions", "padded", "one by one", "as answers"]
"""Of a padded batch, the logits that are needed; of a padded batch, all; of one text at a time, all; token by
token behind the prompt, for models that read the prompt in both directions (PaliGemma)."""
LENGTH, SHORTER = 11, 6
"""Tokens of the texts that are tried."""

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


def completion_logits(model: Any, batch: Sequence[TokenIds]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """What the model predicts at each scored token of a batch's completions.

    Args:
        model: a language model in eval mode.
        batch: rendered examples; each completion has at least one token, each prompt too.

    Yields:
        Logits (K, V), in the model's dtype, and the tokens (K) that stand there, example by example.

    Raises:
        CheckpointError: the model sees the tokens that it is to predict.
    """
    way = scoring_way(model, batch)
    device = next(model.parameters()).device
    for item, logits_K_V in zip(batch, _all_logits(model, batch, way), strict=True):
        targets_K = torch.tensor(list(item.completion_ids), device=device)
        if not all(item.scored_mask):
            scored_K = torch.tensor(item.scored_mask, device=device)
            targets_K, logits_K_V = targets_K[scored_K], logits_K_V[scored_K]
        yield logits_K_V, targets_K


def scoring_way(model: Any, batch: Sequence[TokenIds]) -> Way:
    """The fastest way that is right, tried once for a kind of model; a plainer one is said once.

    Raises:
        CheckpointError: the model sees the tokens that it is to predict.
    """

    def attempt() -> tuple[Way, bool]:
        way, holds = _try_ways(model, few_tokens([item.prompt_ids for item in batch], LENGTH))
        if holds and way in ("one by one", "as answers"):
            name = type(unwrap_adapter(model)).__name__
            how = "one by one" if way == "one by one" else "token by token behind their prompts"
            log.warning("%s: padding or a single pass changes it; references are scored %s", name, how)
        return way, holds

    return _found.find(model, attempt)


def _all_logits(model: Any, batch: Sequence[TokenIds], way: Way) -> Iterator[torch.Tensor]:
    """Logits of each item's completion, (K, V)."""
    texts = [[*item.prompt_ids, *item.completion_ids] for item in batch]
    prompts = [len(item.prompt_ids) for item in batch]
    if way in ("at some positions", "padded"):
        first = min(prompts) - 1
        logits_B_K_V = padded_logits(model, texts, first, keep=way == "at some positions")
        for row, (text, prompt) in enumerate(zip(texts, prompts, strict=True)):
            yield logits_B_K_V[row, prompt - 1 - first : len(text) - 1 - first]
        return
    for text, prompt in zip(texts, prompts, strict=True):
        yield (
            whole_logits(model, text)[prompt - 1 : -1]
            if way == "one by one"
            else _as_answer(model, text, prompt)
        )


def padded_logits(model: Any, texts: Sequence[Sequence[int]], first: int, *, keep: bool) -> torch.Tensor:
    """Logits from position `first` on, of all but the last token, in one pass: (B, K, V).

    Args:
        model: a language model in eval mode.
        texts: token ids of each.
        first: the first position whose logits are needed.
        keep: let the model compute no others.
    """
    device = next(model.parameters()).device
    longest = max(map(len, texts))
    # Padding is on the right, where causal attention never looks: any token will do that has an embedding.
    ids_B_L = torch.tensor([[*text] + [0] * (longest - len(text)) for text in texts], device=device)
    mask_B_L = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts], device=device)
    # Position t predicts token t + 1; the union of all completions' positions goes through the head.
    positions_K = torch.arange(first, longest - 1, device=device)
    inputs = {"input_ids": ids_B_L, "attention_mask": mask_B_L, "use_cache": False}
    if keep:
        logits: torch.Tensor = run_model(model, **inputs, logits_to_keep=positions_K).logits
        return logits if logits.shape[1] == len(positions_K) else logits[:, positions_K]
    return torch.as_tensor(run_model(model, **inputs).logits)[:, positions_K]


def whole_logits(model: Any, text: Sequence[int]) -> torch.Tensor:
    """Logits of every position of one text, by the plainest pass there is: (L, V)."""
    ids = torch.tensor([list(text)], device=next(model.parameters()).device)
    logits: torch.Tensor = run_model(model, input_ids=ids).logits[0]
    return logits


def _as_answer(model: Any, text: Sequence[int], prompt: int) -> torch.Tensor:
    """Logits of what follows a prompt, as if the model had written it: (K, V)."""
    row = Row(0, forced=text[prompt:])
    writing = Writing(stops=frozenset(), max_new_tokens=len(text) - prompt)
    write_by_generate(model, [text[:prompt]], [row], writing, 1)
    return torch.stack(row.logits).to(next(model.parameters()).device)


def _try_ways(model: Any, tokens: Sequence[int]) -> tuple[Way, bool]:
    """The way, and whether the trial could tell it from others."""
    expected = whole_logits(model, tokens)
    if not says_something(expected):
        return "one by one", False
    shorter = whole_logits(model, tokens[:SHORTER])
    if not agree(shorter, expected[:SHORTER], model):
        _check_cached(model, tokens)
        return "as answers", True

    def padded(keep: bool) -> torch.Tensor:
        logits = padded_logits(model, [tokens, tokens[3:], tokens[:SHORTER]], 1, keep=keep)
        return torch.cat([logits[0], logits[2, : SHORTER - 2]])

    both = torch.cat([expected[1:-1], shorter[1:-1]])
    ways: list[tuple[Way, Any]] = [
        ("at some positions", lambda: padded(True)),
        ("padded", lambda: padded(False)),
    ]
    return first_that_agrees(ways, both, model, "one by one"), True


def _check_cached(model: Any, tokens: Sequence[int]) -> None:
    """Refuse a model that reads in both directions and has no cache, as those that fill gaps."""
    ids = torch.tensor([list(tokens)], device=next(model.parameters()).device)
    found = run_model(model, input_ids=ids, use_cache=True)
    if all(getattr(found, name, None) is None for name in ("past_key_values", "cache")):
        raise CheckpointError(
            "the model sees the tokens that it is to predict, so it has no likelihood of a text",
            got=type(unwrap_adapter(model)).__name__,
            expected="a causal language model",
            next_step="if it is one, say so in its config.json (is_decoder: true)",
        )
