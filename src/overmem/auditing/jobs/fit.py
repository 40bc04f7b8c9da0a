"""Whether problems fit a model: its token ids and its context, with room for the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from overmem.artifacts.jobs import RETENTION
from overmem.auditing.problem_sets.problems import Problems
from overmem.errors import DataError
from overmem.models.pretrained import context_length, embedding_rows
from overmem.rendering.rendered import check_all_fit, check_vocab


@dataclass(frozen=True)
class Capacity:
    """What a model can take in."""

    rows: int | None
    """Token ids that it has an embedding for; None where its configuration does not say."""
    context: int | None
    """Most tokens of a sequence; None where its configuration does not say."""

    @classmethod
    def of_model(cls, model: Any) -> Self:
        """Of a model in memory."""
        return cls(embedding_rows(model), context_length(model))

    @classmethod
    def of_configs(cls, read_configs: Any) -> Self:
        """Of a model by its configurations alone; see `ModelHost.read_configs`."""
        rows = getattr(read_configs.config.get_text_config(), "vocab_size", None)
        return cls(rows, context_length(read_configs))


def check_scored(problems: Problems, capacity: Capacity) -> None:
    """Refuse problems that a model cannot take in whole.

    Raises:
        DataError: a token id that it has not, or more tokens than its context.
    """
    if problems.task is not None:
        problems.task.check_fits(capacity.context)
        return
    if capacity.rows is not None:
        check_vocab(problems.rendered, capacity.rows)
    check_all_fit(problems.rendered, capacity.context)


def check_answers_fit(problems: Problems, capacity: Capacity, max_new_tokens: int) -> None:
    """Refuse problems whose answers may not fit a model; sets that are never asked fit.

    Args:
        problems: one set.
        capacity: of the model.
        max_new_tokens: longest answer allowed.

    Raises:
        DataError: an answer of that length is longer than the context.
    """
    graded = problems.set != "train" and problems.grader != "none"
    asked = (graded or problems.set.startswith(RETENTION)) and problems.task is None
    if not asked or capacity.context is None:
        return
    longest = max(problems.rendered, key=lambda item: len(item.question_ids))
    if len(longest.question_ids) + max_new_tokens > capacity.context:
        raise DataError(
            f"an answer to `{longest.example_id}` may not fit the context",
            got=f"{len(longest.question_ids)} prompt tokens and up to {max_new_tokens} new ones",
            expected=f"at most {capacity.context} in all",
            next_step=f"pass --max-new-tokens {max(1, capacity.context - len(longest.question_ids))} or less",
        )
