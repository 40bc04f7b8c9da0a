"""Likelihood of references by an engine: what vLLM says of a prompt's own tokens, checked and made rows of.

The prompt is then the reference behind its question, as token ids, and vLLM gives ln p of each (its
`prompt_logprobs`) with the likeliest token beside it. That is what a verdict needs; entropies and other
temperatures need the whole distribution, which no server sends, so they stay undefined.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from overmem.models.engines.answers import LOGPROB_ROUNDING_NATS, check_model, only_choice
from overmem.models.engines.transport import Invalid, brief
from overmem.models.likelihood.scored_logits import TokenIds

LOWEST_NATS = -9999.0
"""vLLM's stand-in for p = 0 in JSON, which has no infinity."""
BESIDE = 1
"""Likeliest tokens that are asked for beside each token of the prompt."""


@dataclass(frozen=True)
class PromptAlone:
    """A prompt whose tokens after the first are scored, to try out whether an engine can."""

    ids: Sequence[int]

    @property
    def prompt_ids(self) -> Sequence[int]:
        """The first token, of which nothing is known."""
        return self.ids[:1]

    @property
    def completion_ids(self) -> Sequence[int]:
        """The others."""
        return self.ids[1:]

    @property
    def scored_mask(self) -> Sequence[bool]:
        """All of them."""
        return [True] * len(self.completion_ids)

    def __len__(self) -> int:
        return len(self.ids)


def ids_of(item: TokenIds) -> list[int]:
    """The tokens that are sent: a reference behind its question."""
    return [*item.prompt_ids, *item.completion_ids]


def likelihood_row(item: TokenIds, found: Any) -> dict[str, Any]:
    """The likelihood columns of a row, as `TokenScores.to_row` gives them; what is not known is NaN.

    Args:
        item: a rendered example.
        found: for each token of `ids_of` None or {token id: {"logprob": nats, "rank": from 1 on}}; of the
            first token nothing is known. Ids may be text, as in JSON.

    Raises:
        ValueError: it is not that, of these very tokens; says what it is.
    """
    ids, first = ids_of(item), len(item.prompt_ids)
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise ValueError("no log-probabilities of the prompt (prompt_logprobs)")
    if len(found) != len(ids):
        raise ValueError(f"log-probabilities of {len(found)} tokens where the prompt has {len(ids)}")
    tokens = [
        _read_token(found[at], ids[at], at)
        for at, is_scored in enumerate(item.scored_mask, start=first)
        if is_scored
    ]
    logprob = [own for own, _, _ in tokens]
    unknown = [math.nan] * len(tokens)
    return {
        "n_tokens": len(tokens),
        "nll_nats": -math.fsum(logprob),
        "logprob": logprob,
        "entropy": unknown,
        "is_top1": [is_top1 for _, is_top1, _ in tokens],
        "top1_logprob": [top1 for _, _, top1 in tokens],
        "mu": unknown,
        "sigma": unknown,
        "logprob_at_temperature": [[] for _ in tokens],
    }


def read_scores(answer: Mapping[str, Any], model: str, item: TokenIds) -> dict[str, Any]:
    """The row of a reference from what a server answers.

    Args:
        answer: the server's JSON.
        model: the name that was asked for.
        item: the rendered example that was sent.

    Raises:
        Invalid: it is no such answer.
    """
    check_model(answer.get("model"), model)
    found = only_choice(answer.get("choices")).get("prompt_logprobs", answer.get("prompt_logprobs"))
    try:
        return likelihood_row(item, found)
    except ValueError as error:
        raise Invalid(str(error)) from None


def _read_token(entry: Any, token: int, at: int) -> tuple[float, bool, float]:
    """Ln p of a token, whether it is the first choice, and ln p of the first choice."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"no log-probability of token {at} of the prompt")
    given = {str(key): value for key, value in entry.items()}
    if str(token) not in given:
        raise ValueError(f"no log-probability of our token {token} at place {at}, but of {brief([*given])}")
    nats = {key: _nats(value, at) for key, value in given.items()}
    own, top1 = nats[str(token)], max(nats.values())
    if own <= LOWEST_NATS:
        raise ValueError(f"probability 0 of token {at} of the prompt")
    rank = given[str(token)].get("rank")
    if type(rank) is not int or rank < 1:
        raise ValueError(f"a rank that is none: {brief(rank)}, of token {at} of the prompt")
    if rank > 1 and len(nats) == 1:
        raise ValueError(f"no likeliest token beside token {at} of the prompt")
    return own, rank == 1, top1


def _nats(value: Any, at: int) -> float:
    found = value.get("logprob") if isinstance(value, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, int | float) or math.isnan(found):
        raise ValueError(f"a log-probability that is no number: {brief(found)}, at token {at} of the prompt")
    if found > LOGPROB_ROUNDING_NATS:
        raise ValueError(f"a log-probability above 0: {brief(found)}, at token {at} of the prompt")
    return min(float(found), 0.0)
