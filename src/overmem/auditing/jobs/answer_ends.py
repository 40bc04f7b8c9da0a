"""Where an answer ends: after how many tokens at the latest, and at which of them before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from overmem.artifacts.jobs import RETENTION
from overmem.auditing.problem_sets.problems import Problems
from overmem.models.decoding.stop_tokens import end_of_completion

LEAST, LEAST_BESIDE = 64, 128
"""Tokens that the longest answer may have at least; beside the task, references are only examples."""


@dataclass(frozen=True)
class AnswerEnds:
    """Where the answers to each set of an audit end."""

    problems: Mapping[str, Problems]
    """By `data_key`."""
    tokenizer: Any
    asked: int | None
    """Longest answer that the options allow; None where the references decide."""
    _tokens: dict[str, int | None] = field(default_factory=dict)

    def max_new_tokens(self, set_name: str) -> int:
        """Longest answer allowed on a set, in tokens."""
        if self.asked is not None:
            return self.asked
        least = LEAST_BESIDE if set_name.startswith(RETENTION) else LEAST
        return max(least, 2 * self.problems[set_name].longest_completion)

    def end_of_turn(self, set_name: str) -> int | None:
        """The end-of-turn token of a set's template: val's, but for sets that are asked in another."""
        name = set_name if set_name.startswith(RETENTION) else "val"
        if name not in self._tokens:
            completions = (item.completion_ids for item in self.problems[name].rendered)
            self._tokens[name] = end_of_completion(self.tokenizer, completions)
        return self._tokens[name]
