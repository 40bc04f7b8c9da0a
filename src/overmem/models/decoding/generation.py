"""Answers: what the model writes when asked, greedily or k times at a temperature.

One decoding loop serves both. Prompts are prefilled once, whatever the number of samples, and what all of
them begin with (a system message, say) once for all; a row that has finished gives its place to the next
one, so that the batch stays full until nothing waits any more.

Shape suffixes: R rows being written, L prompt length, V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedTokenizerBase

from overmem.models.batches import CACHED_TOKENS, plan_batches
from overmem.models.decoding.attention import shared_prefix, shared_tokens
from overmem.models.decoding.kv_cache import RowCache, cache_keyword, can_batch_continuously
from overmem.models.decoding.positions import Group, group_prompts
from overmem.models.decoding.sampling import Sampling, choose
from overmem.models.memory import SLACK
from overmem.models.pretrained import run_model
from overmem.rendering.decoded import answer_text

PREFILL_TOKENS = 2048
"""Most tokens of prompts read at once, padding included; a longer prompt is read alone."""
LEAVE_SHARE = 1 / 16
"""Finished rows leave once they are this share of all; their places are taken by rows that wait."""


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


@torch.inference_mode()
def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    stops: Sequence[int],
    max_new_tokens: int,
    sampling: Sampling | None = None,
    example_ids: Sequence[str] | None = None,
    rows: int | None = None,
) -> list[list[Generation]]:
    """Answer prompts.

    In fp32 the answers do not depend on how prompts are batched; in bf16 ties may flip.

    Args:
        model: a causal LM in eval mode.
        prompts: token ids of each prompt.
        tokenizer: decodes the answers.
        stops: ids that end an answer.
        max_new_tokens: longest answer.
        sampling: draw samples; None answers once, greedily (temperature 0).
        example_ids: names of the prompts, from which each sample's random numbers come; needed to sample.
        rows: most answers written at once; None writes all at once.

    Returns:
        For each prompt, in order, its answers.
    """
    answers: dict[int, list[Generation]] = {}
    for group in group_prompts(model, [len(prompt) for prompt in prompts], max_new_tokens):
        written = _write_group(
            model,
            [prompts[index] for index in group.prompts],
            tokenizer,
            group,
            stops=stops,
            max_new_tokens=max_new_tokens,
            sampling=sampling,
            example_ids=None if example_ids is None else [example_ids[index] for index in group.prompts],
            rows=1 if group.alone else rows,
        )
        answers |= zip(group.prompts, written, strict=True)
    return [answers[index] for index in range(len(prompts))]


def _write_group(
    model: Any,
    prompts: Sequence[Sequence[int]],
    tokenizer: PreTrainedTokenizerBase,
    group: Group,
    *,
    stops: Sequence[int],
    max_new_tokens: int,
    sampling: Sampling | None,
    example_ids: Sequence[str] | None,
    rows: int | None,
) -> list[list[Generation]]:
    """Answer prompts that may be written together; see `generate`."""
    samples = 1 if sampling is None else sampling.samples
    # Longest first, so that whatever joins is no longer than what the cache already holds.
    order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
    waiting = deque(
        Row(index, sample, _uniforms(sampling, example_ids, index, sample, max_new_tokens))
        for index in order
        for sample in range(samples)
    )
    written: list[dict[int, Generation]] = [{} for _ in prompts]
    most = min(rows or len(waiting), len(waiting))
    shared = shared_tokens(model, prompts)
    own = [prompt[shared:] for prompt in prompts]
    batch = Batch(
        model, own, shared, set(stops), max_new_tokens, sampling, most, len(waiting) > most, group.positions
    )
    with shared_prefix(model, prompts[0][:shared]):
        while waiting or batch.rows:
            free = most - len(batch.rows)
            if waiting and (not batch.rows or (batch.continuous and free >= LEAVE_SHARE * most)):
                if group.alone:
                    _reset_dynamic_rotations(model)
                batch.join([waiting.popleft() for _ in range(min(free, len(waiting)))])
            else:
                batch.step()
            for row in batch.pop_finished():
                written[row.prompt][row.sample] = row.answer(tokenizer, set(stops))
    return [[answers[sample] for sample in range(samples)] for answers in written]


def _reset_dynamic_rotations(model: Any) -> None:
    """Read one token: until a short text, `dynamic` rotations stay as the last long one stretched them."""
    one = torch.zeros(1, 1, dtype=torch.long, device=next(model.parameters()).device)
    run_model(model, input_ids=one, use_cache=False)


def _uniforms(
    sampling: Sampling | None, names: Sequence[str] | None, index: int, sample: int, length: int
) -> np.ndarray | None:
    return None if sampling is None else sampling.uniforms((names or ())[index], sample, length)


@dataclass(eq=False)
class Row:
    """One answer while it is written."""

    prompt: int
    """Which of the prompts it answers."""
    sample: int
    uniforms: np.ndarray | None
    """One random number a token; None takes the likeliest."""
    start: int = 0
    """The column of the cache at which its prompt begins."""
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    """Sum over its tokens."""
    done: bool = False

    def answer(self, tokenizer: PreTrainedTokenizerBase, stops: set[int]) -> Generation:
        """What was written, up to and including the stop token."""
        return Generation(
            text=answer_text(tokenizer, self.tokens),
            tokens=tuple(self.tokens),
            finished=self.tokens[-1] in stops,
            mean_logprob=self.logprob / len(self.tokens),
        )


class Batch:
    """The rows being written and their cache."""

    def __init__(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        shared: int,
        stops: set[int],
        max_new_tokens: int,
        sampling: Sampling | None,
        most: int,
        refilled: bool,
        positions: int | None,
    ) -> None:
        """Begin without rows.

        Args:
            model: see `generate`.
            prompts: what is left of each prompt after what all begin with.
            shared: tokens of that.
            stops: ids that end an answer.
            max_new_tokens: longest answer.
            sampling: see `generate`.
            most: rows at once.
            refilled: whether rows come after the first ones.
            positions: see `Group`.
        """
        self.model, self.prompts, self.shared, self.stops = model, prompts, shared, stops
        self.max_new_tokens, self.sampling, self.positions = max_new_tokens, sampling, positions
        self.device = next(model.parameters()).device
        self.rows: list[Row] = []
        """In the order of the cache's rows."""
        self._keyword = cache_keyword(model)
        self.continuous = can_batch_continuously(model.config)
        """Whether rows can come and go; else a batch is written to its end, and the next one begins."""
        longest = max(map(len, prompts)) + max_new_tokens
        self._size = (most, int(SLACK * longest) if refilled else longest)
        self._cache: Any = None
        self._column = 0
        self._next_R: torch.Tensor = torch.empty(0, dtype=torch.long, device=self.device)
        self._start_R = self._next_R

    def join(self, rows: Sequence[Row]) -> None:
        """Read the prompts of new rows, longest first, and write their first tokens."""
        unique = list(dict.fromkeys(row.prompt for row in rows))
        # A few prompts of like lengths at a time: padding is small, and activations stay in the cache.
        lengths = [len(self.prompts[index]) for index in unique]
        most = CACHED_TOKENS.get(self.device.type, PREFILL_TOKENS)  # as for scoring
        parts = plan_batches(lengths, most) if self.continuous else [list(range(len(unique)))]
        for part in parts:
            chosen = {unique[position] for position in part}
            self._read([row for row in rows if row.prompt in chosen])

    def _read(self, rows: Sequence[Row]) -> None:
        unique = list(dict.fromkeys(row.prompt for row in rows))
        if not self.continuous:
            unique = [row.prompt for row in rows]
        place = {index: position for position, index in enumerate(unique)}
        copies_R = torch.tensor(
            [place[row.prompt] for row in rows] if self.continuous else range(len(rows)), device=self.device
        )
        logits_R_V, prefilled = self._prefill([self.prompts[index] for index in unique])
        if self.continuous:
            if self._cache is None:
                self._cache = RowCache(self.model.config, *self._size)
            self._cache.join(copies_R, prefilled)
            self._column = self._cache.column
        else:
            self._cache, self._column = prefilled, prefilled.get_seq_length()
        for row in rows:
            row.start = self._column - len(self.prompts[row.prompt])
        token_R = self._write(rows, logits_R_V[copies_R])
        self.rows += rows
        self._next_R = torch.cat([self._next_R, token_R])
        self._forget_columns()

    def step(self) -> None:
        """Write one more token of every row."""
        if self.continuous and self._column == self._size[1]:
            self._make_room()
        first = self._cache.first if self.continuous else 0
        columns = torch.arange(first, self._column + 1, device=self.device)
        position_R = self.shared + self._column - self._start_R
        if self.positions is not None:
            # Rows that are done are fed until they leave, and recall writes more than it compares: neither
            # needs right positions any more, but each may be past the last one that there is.
            position_R = position_R.clamp_max(self.positions - 1)
        logits_R_V = run_model(
            self.model,
            input_ids=self._next_R[:, None],
            attention_mask=(columns >= self._start_R[:, None]).long(),
            position_ids=position_R[:, None],
            use_cache=True,
            **{self._keyword: self._cache},
        ).logits[:, -1]
        self._column += 1
        self._next_R = self._write(self.rows, logits_R_V)

    def pop_finished(self) -> Iterator[Row]:
        """The rows that have finished, once they are many enough to go."""
        done = [slot for slot, row in enumerate(self.rows) if row.done]
        left = len(self.rows) - len(done)
        if not done or (left and (not self.continuous or len(done) < LEAVE_SHARE * len(self.rows))):
            return
        yield from (self.rows[slot] for slot in done)
        # The last rows take the places of those that left.
        holes = [slot for slot in done if slot < left]
        movers = [slot for slot in range(left, len(self.rows)) if not self.rows[slot].done]
        order = list(range(left))
        for hole, mover in zip(holes, movers, strict=True):
            order[hole] = mover
        if self.continuous:
            index = (torch.tensor(which, device=self.device, dtype=torch.long) for which in (movers, holes))
            self._cache.move(*index, left)
        self.rows = [self.rows[slot] for slot in order]
        self._next_R = self._next_R[torch.tensor(order, device=self.device, dtype=torch.long)]
        self._forget_columns()

    def _forget_columns(self) -> None:
        """Forget the columns that no row attends to any more."""
        if self.continuous and self.rows:
            self._cache.forget_before(min(row.start for row in self.rows))
        self._start_R = torch.tensor([row.start for row in self.rows], device=self.device, dtype=torch.long)

    def _make_room(self) -> None:
        """Move the columns in use to the front of a full cache."""
        first = min(row.start for row in self.rows if not row.done)
        self._cache.forget_before(first)
        self._cache.move_to_front()
        self._column -= first
        for row in self.rows:
            row.start -= first
        self._start_R = self._start_R - first

    def _prefill(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, DynamicCache]:
        """Read prompts once; the logits of their next tokens, and their keys and values."""
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(p)) + list(p) for p in prompts], device=self.device)
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=self.device)
        # Without a configuration no layer of the cache forgets what is outside its window.
        cache = DynamicCache() if self.continuous else DynamicCache(config=self.model.config)
        logits = run_model(
            self.model,
            input_ids=ids,
            attention_mask=mask,
            position_ids=self.shared + (mask.cumsum(-1) - 1).clamp_min(0),
            use_cache=True,
            logits_to_keep=1,
            **{self._keyword: cache},
        ).logits[:, -1]
        return logits, cache

    def _write(self, rows: Sequence[Row], logits_R_V: torch.Tensor) -> torch.Tensor:
        """Choose each row's next token and note it; a row that is done already notes nothing."""
        if self.sampling is None:
            token_R, logprob_R = choose(logits_R_V, None)
        else:
            now = [0.0 if row.done or row.uniforms is None else row.uniforms[len(row.tokens)] for row in rows]
            uniform_R = torch.tensor(now, dtype=torch.float64)
            token_R, logprob_R = choose(logits_R_V, uniform_R, self.sampling.temperature)
        for row, token, logprob in zip(rows, token_R.tolist(), logprob_R.tolist(), strict=True):
            if not row.done:
                row.tokens.append(token)
                row.logprob += logprob
                row.done = token in self.stops or len(row.tokens) == self.max_new_tokens
        return token_R
