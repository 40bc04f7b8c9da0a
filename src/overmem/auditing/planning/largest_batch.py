"""The batch of each kind of work that holds most at once: rows, what is read, logits and cache."""

from __future__ import annotations

from collections.abc import Sequence

from overmem.artifacts.jobs import Job
from overmem.auditing.jobs.compute_rows import ANSWERS, RECALL_TOKENS
from overmem.auditing.planning.cost import Batch, Shape, memory_of
from overmem.auditing.session import Session
from overmem.models.batches import (
    CACHED_TOKENS,
    CHUNK,
    SCORED_TOKENS,
    head_at_once,
    logits_at_once,
    plan_batches,
    read_at_once,
    scored_at_once,
)
from overmem.models.decoding.continuous import PREFILL_TOKENS
from overmem.models.memory import SLACK, CacheSize, rows_at_once
from overmem.rendering.rendered import Rendered


def largest_batch(session: Session, shape: Shape, job: Job, limit: int | None) -> Batch:
    """The batch of a job that holds most at once."""
    problems = session.problems[job.data]
    if problems.task is not None:
        return Batch(rows=0, tokens=0, read=0, logits=0)
    items = [problems.rendered[i] for i in problems.chosen(limit, session.options.seed)]
    if job.kind in ANSWERS:
        return _answer_batch(session, shape, job, items)
    more = RECALL_TOKENS if job.kind == "continue" else 0
    found = []
    for batch in plan_batches(
        [len(item) + more for item in items], session.options.batch_tokens or SCORED_TOKENS
    ):
        longest = max(len(items[i]) for i in batch)
        first = min(len(items[i].prompt_ids) for i in batch)
        rows = len(batch) if more else scored_at_once(session.host.device.type, len(batch), longest)
        device = session.host.device.type
        found.append(
            _recall_batch(device, shape, rows, longest)
            if more
            else scoring_batch(device, shape, rows, longest, longest - first)
        )
    return max(found, key=lambda batch: memory_of(shape, [batch]).total)


def _recall_batch(device: str, shape: Shape, rows: int, longest: int) -> Batch:
    """Rows of which a few tokens are written."""
    read = min(longest, read_at_once(device, 1, longest, shape.pair_scores))
    return Batch(
        rows=rows,
        tokens=rows * (longest + RECALL_TOKENS),
        read=rows * read,
        logits=rows,
        worked=min(rows, logits_at_once(device, shape.vocabulary)),
        pairs=read * longest,
    )


def scoring_batch(device: str, shape: Shape, rows: int, longest: int, scored: int) -> Batch:
    """Rows that are scored at once, in pieces where they are long.

    Args:
        device: its type, `cpu` or `cuda`.
        shape: of the model.
        rows: of the batch.
        longest: tokens of the longest.
        scored: positions from the first that is scored to the last.
    """
    read = longest
    if shape.reads_in_pieces:
        read = min(longest, read_at_once(device, rows, longest, shape.pair_scores))
    positions = rows * min(scored, head_at_once(rows, shape.vocabulary))
    return Batch(
        rows=rows,
        tokens=rows * longest if read < longest else 0,
        read=rows * read,
        logits=positions,
        worked=min(positions, logits_at_once(device, shape.vocabulary)),
        pairs=rows * read * longest,
    )


def _answer_batch(session: Session, shape: Shape, job: Job, items: Sequence[Rendered]) -> Batch:
    """The rows that are written at once, and the cache that they come and go in."""
    host = session.host
    answers = session.answers(job)
    longest = max(len(item.question_ids) for item in items)
    columns = longest + session.ends.max_new_tokens(job.set)
    size = CacheSize(shape.cache_token_bytes, shape.cache_row_bytes)
    allowed = rows_at_once(size, host.devices, columns, session.options.batch_tokens)
    waiting = min(len(items) * answers, CHUNK)
    rows = min(allowed, waiting)
    held = int(SLACK * columns) if waiting > rows else columns
    device = host.device.type
    # Prompts are read a few at a time, long ones alone and in pieces.
    at_once = min(longest, read_at_once(device, 1, longest, shape.pair_scores))
    most = max(at_once, CACHED_TOKENS.get(device, PREFILL_TOKENS))
    read = min(most, min(len(items), -(-rows // answers)) * longest)
    return Batch(
        rows=rows,
        tokens=rows * held,
        read=read,
        logits=rows,
        worked=min(rows, logits_at_once(device, shape.vocabulary)),
        pairs=read * longest,
    )
