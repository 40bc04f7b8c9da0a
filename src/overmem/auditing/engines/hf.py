"""The model in memory as an engine: transformers, through overmem's own decoding loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from overmem.auditing.generate import Generation, Sampling, generate
from overmem.records import Checkpoint


class HfEngine:
    """Answers with the model that the audit has loaded."""

    local = True
    settings: Mapping[str, Any] = {}
    in_flight = 1

    def connect(
        self, checkpoints: Sequence[Checkpoint], tokenizer: Any, prompt: Sequence[int]
    ) -> dict[str, str]:
        """Nothing to do: checkpoints are loaded when their turn comes."""
        return {}

    def describe(self) -> dict[str, Any] | None:
        """Nothing: device and dtype are in the manifest."""
        return None

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
    ) -> list[list[Generation]]:
        """See `overmem.auditing.generate.generate`."""
        return generate(
            model,
            prompts,
            tokenizer,
            stops=stops,
            max_new_tokens=max_new_tokens,
            sampling=sampling,
            example_ids=example_ids,
        )
