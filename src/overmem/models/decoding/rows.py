"""Answers while they are written: each a row with its tokens so far, whichever loop feeds the model.

Shape suffixes: R rows being written, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from overmem.models.decoding.sampling import Sampling, choose
from overmem.rendering.decoded import answer_text


@dataclass(frozen=True)
class Generation:
    """One answer."""

    text: str
    """What the model wrote, special tokens left out."""
    tokens: tuple[int, ...]
    """Its token ids, the stop token included."""
    finished: bool
    """Whether it stopped by itself before the limit."""
    mean_logprob: float
    """Mean ln p of the tokens written, at temperature 1, nats; a confidence."""

    @property
    def n_tokens(self) -> int:
        """How many tokens were written."""
        return len(self.tokens)


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How answers are chosen, and when they end."""

    stops: frozenset[int]
    """Ids that end an answer."""
    max_new_tokens: int
    """Longest answer."""
    sampling: Sampling | None = None
    """None takes the likeliest token."""
    after_tokens: Callable[[], None] | None = None
    """Called each time after every row that is being written has got a token."""

    def ends(self, row: Row) -> bool:
        """Whether the last token of a row is its last."""
        return row.tokens[-1] in self.stops or len(row.tokens) >= self.max_new_tokens


@dataclass(eq=False)
class Row:
    """One answer while it is written."""

    prompt: int
    """Which of the prompts it answers."""
    sample: int = 0
    uniforms: np.ndarray | None = None
    """One random number a token; None takes the likeliest."""
    forced: Sequence[int] | None = None
    """Tokens that are written whatever the model says, which `logits` then holds."""
    start: int = 0
    """The column of the cache at which its prompt begins."""
    tokens: list[int] = field(default_factory=list)
    in_prompt: int = 0
    """Of its tokens, how many were written before and stand in the prompt."""
    logprob: float = 0.0
    """Sum over its tokens."""
    logits: list[torch.Tensor] = field(default_factory=list)
    done: bool = False

    def answer(self, tokenizer: PreTrainedTokenizerBase, stops: frozenset[int]) -> Generation:
        """What was written, up to and including the stop token."""
        return Generation(
            text=answer_text(tokenizer, self.tokens),
            tokens=tuple(self.tokens),
            finished=self.tokens[-1] in stops,
            mean_logprob=self.logprob / len(self.tokens),
        )


def write_tokens(rows: Sequence[Row], logits_R_V: torch.Tensor, writing: Writing) -> torch.Tensor:
    """Choose each row's next token and note it; a row that is done already notes nothing.

    Returns:
        The tokens, (R).
    """
    if rows[0].forced is not None:
        return _write_forced(rows, logits_R_V)
    if writing.sampling is None:
        token_R, logprob_R = choose(logits_R_V, None)
    else:
        now = [0.0 if row.done or row.uniforms is None else row.uniforms[len(row.tokens)] for row in rows]
        uniform_R = torch.tensor(now, dtype=torch.float64)
        token_R, logprob_R = choose(logits_R_V, uniform_R, writing.sampling.temperature)
    for row, token, logprob in zip(rows, token_R.tolist(), logprob_R.tolist(), strict=True):
        if not row.done:
            row.tokens.append(token)
            row.logprob += logprob
            row.done = writing.ends(row)
    if writing.after_tokens is not None:
        writing.after_tokens()
    return token_R


def _write_forced(rows: Sequence[Row], logits_R_V: torch.Tensor) -> torch.Tensor:
    for row, logits_V in zip(rows, logits_R_V, strict=True):
        if not row.done and row.forced is not None:
            row.logits.append(logits_V.float().cpu())
            row.tokens.append(row.forced[len(row.tokens)])
            row.done = len(row.tokens) == len(row.forced)
    return torch.tensor([row.tokens[-1] for row in rows], device=logits_R_V.device)
