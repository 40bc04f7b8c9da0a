"""The model in memory as an engine: transformers, through overmem's own decoding loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from overmem.models.decoding.attention import shared_tokens
from overmem.models.decoding.generation import Generation, generate
from overmem.models.decoding.sampling import Sampling
from overmem.models.decoding.unfinished import UnfinishedAnswers
from overmem.models.memory import CacheSize, cache_size, halve_until_it_fits, rows_at_once
from overmem.models.placement import devices_of
from overmem.records import Checkpoint


class HfEngine:
    """Answers with the model that the audit has loaded."""

    local = True
    scores = False
    settings: Mapping[str, Any] = {}
    in_flight = 1

    def __init__(self, batch_tokens: int | None = None) -> None:
        """Prepare to answer.

        Args:
            batch_tokens: most tokens of the rows written at once; None asks the free memory.
        """
        self.batch_tokens = batch_tokens
        self._sizes: WeakKeyDictionary[Any, CacheSize] = WeakKeyDictionary()
        self._most: int | None = None
        """Rows at which the memory ran out, halved."""

    def connect(
        self, checkpoints: Sequence[Checkpoint], tokenizer: Any, prompt: Sequence[int]
    ) -> dict[str, str]:
        """Nothing to do: checkpoints are loaded when their turn comes."""
        return {}

    def describe(self) -> dict[str, Any] | None:
        """Nothing: device and dtype are in the manifest."""
        return None

    def close(self) -> None:
        """Nothing to do: the model is the audit's."""

    def generate(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        tokenizer: Any,
        *,
        stops: Sequence[int],
        max_new_tokens: int,
        sampling: Sampling | None = None,
        example_ids: Sequence[str] | None = None,
        unfinished: UnfinishedAnswers | None = None,
    ) -> list[list[Generation]]:
        """See `overmem.models.decoding.generation.generate`."""

        def answer(rows: int) -> list[list[Generation]]:
            if rows < wanted:
                self._most = rows
            return generate(
                model,
                prompts,
                tokenizer,
                stops=stops,
                max_new_tokens=max_new_tokens,
                sampling=sampling,
                example_ids=example_ids,
                rows=rows,
                unfinished=unfinished,
            )

        columns = max(map(len, prompts)) - shared_tokens(model, prompts) + max_new_tokens
        size = CacheSize(0) if self.batch_tokens is not None else self._cache_size(model)
        wanted = rows_at_once(size, devices_of(model), columns, self.batch_tokens)
        return halve_until_it_fits(answer, min(wanted, self._most or wanted))

    def _cache_size(self, model: Any) -> CacheSize:
        """Of the model that is loaded, which answers many times."""
        if model not in self._sizes:
            self._sizes[model] = cache_size(model)
        return self._sizes[model]
