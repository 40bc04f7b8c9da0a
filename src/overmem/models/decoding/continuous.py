"""Our own decoding: one loop in which rows join and leave, so that the batch stays full.

Prompts are prefilled once, whatever the number of samples, and what all of them begin with (a system message,
say) once for all; a row that has finished gives its place to the next one until nothing waits any more.

Shape suffixes: R rows being written, L prompt length, V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from transformers import DynamicCache

from overmem.models.batches import CACHED_TOKENS, plan_batches, read_at_once
from overmem.models.decoding.attention import shared_prefix
from overmem.models.decoding.kv_cache import RowCache, cache_keyword, pair_scores
from overmem.models.decoding.positions import Group, changing_rotations
from overmem.models.decoding.rows import Row, Writing, write_tokens
from overmem.models.memory import SLACK
from overmem.models.placement import input_device
from overmem.models.pretrained import run_model, unwrap_adapter

PREFILL_TOKENS = 2048
"""Most tokens of prompts read at once, padding included; a longer prompt is read alone."""
LEAVE_SHARE = 1 / 16
"""Finished rows leave once they are this share of all; their places are taken by rows that wait."""


def write_continuously(
    model: Any,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[Row],
    writing: Writing,
    *,
    most: int,
    group: Group,
    shared: int | None,
) -> None:
    """Write rows, so many at once.

    Args:
        model: a language model in eval mode, for which `can_batch_continuously` holds.
        prompts: token ids of each.
        rows: what is to be written, the longest prompts first: whatever joins is then no longer than what the
            cache already holds.
        writing: how.
        most: rows at once.
        group: positions of the prompts.
        shared: tokens that all prompts begin with and that are kept once, see `shared_tokens`; None leaves
            the model its own attention.
    """
    waiting = deque(rows)
    prefix = None if shared is None else prompts[0][:shared]
    shared = shared or 0
    own = [prompt[shared:] for prompt in prompts]
    batch = Batch(model, own, shared, writing, most, rows, group.positions)
    with nullcontext() if prefix is None else shared_prefix(model, prefix):
        while waiting or batch.rows:
            free = most - len(batch.rows)
            if waiting and (not batch.rows or free >= LEAVE_SHARE * most):
                if group.alone:
                    _reset_dynamic_rotations(model)
                batch.join([waiting.popleft() for _ in range(min(free, len(waiting)))])
            else:
                batch.step()
            batch.drop_finished()


def _reset_dynamic_rotations(model: Any) -> None:
    """Read one token: until a short text, `dynamic` rotations stay as the last long one stretched them."""
    one = torch.zeros(1, 1, dtype=torch.long, device=input_device(model))
    run_model(model, input_ids=one, use_cache=False)


class Batch:
    """The rows being written and their cache."""

    def __init__(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        shared: int,
        writing: Writing,
        most: int,
        rows: Sequence[Row],
        positions: int | None,
    ) -> None:
        """Begin without rows.

        Args:
            model: see `write_continuously`.
            prompts: what is left of each prompt after what all begin with.
            shared: tokens of that.
            writing: how answers are chosen, and when they end.
            most: rows at once.
            rows: all that are to be written.
            positions: see `Group`.
        """
        self.model, self.prompts, self.shared = model, prompts, shared
        self.writing, self.positions = writing, positions
        self.device = input_device(model)
        self.rows: list[Row] = []
        """In the order of the cache's rows."""
        self._keyword = cache_keyword(model)
        longest = writing.max_new_tokens + max(len(prompts[row.prompt]) - row.in_prompt for row in rows)
        self._size = (most, int(SLACK * longest) if len(rows) > most else longest)
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
        for part in plan_batches(lengths, most):
            chosen = {unique[position] for position in part}
            self._read([row for row in rows if row.prompt in chosen])

    def _read(self, rows: Sequence[Row]) -> None:
        unique = list(dict.fromkeys(row.prompt for row in rows))
        place = {index: position for position, index in enumerate(unique)}
        copies_R = torch.tensor([place[row.prompt] for row in rows], device=self.device)
        logits_R_V, prefilled = self._prefill([self.prompts[index] for index in unique])
        if self._cache is None:
            self._cache = RowCache(len(prefilled.layers), *self._size)
        self._cache.join(copies_R, prefilled)
        self._column = self._cache.column
        for row in rows:
            row.start = self._column - len(self.prompts[row.prompt])
        token_R = write_tokens(rows, logits_R_V[copies_R], self.writing)
        self.rows += rows
        self._next_R = torch.cat([self._next_R, token_R])
        self._forget_columns()

    def step(self) -> None:
        """Write one more token of every row."""
        if self._column == self._size[1]:
            self._make_room()
        columns = torch.arange(self._cache.first, self._column + 1, device=self.device)
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
        self._next_R = write_tokens(self.rows, logits_R_V, self.writing)

    def drop_finished(self) -> None:
        """Let the rows go that have finished, once they are many enough."""
        done = [slot for slot, row in enumerate(self.rows) if row.done]
        left = len(self.rows) - len(done)
        if not done or (left and len(done) < LEAVE_SHARE * len(self.rows)):
            return
        # The last rows take the places of those that left.
        holes = [slot for slot in done if slot < left]
        movers = [slot for slot in range(left, len(self.rows)) if not self.rows[slot].done]
        order = list(range(left))
        for hole, mover in zip(holes, movers, strict=True):
            order[hole] = mover
        index = (torch.tensor(which, device=self.device, dtype=torch.long) for which in (movers, holes))
        self._cache.move(*index, left)
        self.rows = [self.rows[slot] for slot in order]
        self._next_R = self._next_R[torch.tensor(order, device=self.device, dtype=torch.long)]
        self._forget_columns()

    def _forget_columns(self) -> None:
        """Forget the columns that no row attends to any more."""
        if self.rows:
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
        cache = DynamicCache()
        position_ids = self.shared + (mask.cumsum(-1) - 1).clamp_min(0)
        size = longest
        if not changing_rotations(self.model):
            config = unwrap_adapter(self.model).config
            size = read_at_once(self.device.type, len(prompts), longest, pair_scores(config))
        for begin in range(0, longest, size):
            piece = slice(begin, begin + size)
            logits = run_model(
                self.model,
                input_ids=ids[:, piece],
                attention_mask=mask[:, : piece.stop],
                position_ids=position_ids[:, piece],
                use_cache=True,
                logits_to_keep=1,
                **{self._keyword: cache},
            ).logits[:, -1]
        return logits, cache
