"""The batches of a job: planned over all its problems, so that a killed audit goes on with the very same."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from overmem.artifacts.jobs import JobKind
from overmem.auditing.jobs.compute_rows import ANSWERS, RECALL_TOKENS
from overmem.auditing.problem_sets.problems import Problems
from overmem.models.batches import CHUNK_BATCHES, SCORED_TOKENS, plan_batches, plan_chunks
from overmem.models.lm_eval.tasks import CHUNK


@dataclass(frozen=True, kw_only=True)
class BatchSize:
    """What decides how many problems a batch has."""

    answers: int
    """To each problem."""
    max_new_tokens: int
    """Longest answer allowed."""
    batch_tokens: int | None
    """Most tokens of a batch; None where memory decides."""
    in_flight: int | None
    """Answers that another machine or engine is asked for at once; None where the model is in memory."""


def missing_batches(
    kind: JobKind, problems: Problems, chosen: Sequence[int], missing: Collection[int], size: BatchSize
) -> Iterator[list[int]]:
    """Positions of the problems without rows, a batch at a time.

    Args:
        kind: of the work.
        problems: the set.
        chosen: positions of all problems of the job.
        missing: of those without rows.
        size: of a batch.
    """
    wanted = set(missing)
    for planned in _plan(kind, problems, chosen, size):
        batch = [chosen[place] for place in planned if chosen[place] in wanted]
        if batch:
            yield batch


def _plan(kind: JobKind, problems: Problems, chosen: Sequence[int], size: BatchSize) -> list[list[int]]:
    """Places in `chosen`, a batch each."""
    if problems.task is not None:
        # lm-eval sorts by length and cuts batches itself; these say only when rows are saved.
        return _pieces(len(chosen), CHUNK)
    if size.in_flight is not None:
        return _pieces(len(chosen), max(1, size.in_flight // size.answers))
    items = [problems.rendered[i] for i in chosen]
    if kind in ANSWERS:
        if size.batch_tokens is None:
            return plan_chunks([len(item.question_ids) for item in items], size.answers)
        lengths = [size.answers * (len(item.question_ids) + size.max_new_tokens) for item in items]
        return plan_batches(lengths, CHUNK_BATCHES * size.batch_tokens)
    more = RECALL_TOKENS if kind == "continue" else 0
    return plan_batches([len(item) + more for item in items], size.batch_tokens or SCORED_TOKENS)


def _pieces(n: int, size: int) -> list[list[int]]:
    return [list(range(start, min(start + size, n))) for start in range(0, n, size)]
