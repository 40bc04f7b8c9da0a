"""Cut sequences of many lengths into batches that waste little padding."""

from __future__ import annotations

from collections.abc import Sequence

SCORED_TOKENS = 8192
"""Tokens whose scores are saved together where nobody says; elsewhere than on a CPU, scored at once too."""
CACHED_TOKENS = {"cpu": 1024}
"""Tokens that go through the model at once on a device whose speed hangs on its cache: on a CPU scoring 8,192
at once takes 1.6 times as long (lab/2026-11.md)."""
CACHED_LOGITS = {"cpu": 500_000}
"""Logits that are worked on at once on such a device, 2 MB in fp32."""
WIDE_LOGITS = 16_000_000
"""The same on an accelerator, and what the LM head makes at once anywhere (64 MB in fp32): few enough for any
vocabulary, so many that the head's weights are not read too often."""
ATTENDED = {"cpu": 8_000_000}
"""Attention scores, or entries of its mask, that a CPU makes at once: 32,000 tokens are seen by 250. More is
slower, and makes blocks that grow with every piece, which an allocator cannot use again."""
WIDE_ATTENDED = 64_000_000
"""The same on an accelerator: up to 8,000 tokens are read whole, where no scores of each head are held."""
FEWEST_READ = 64
"""Tokens of a piece at least, however many heads there are."""
CHUNK = 256
"""Answers after which rows are saved; inside so many, rows come and go."""
CHUNK_BATCHES = 4
"""The same where a batch is given in tokens: so many batches are saved together."""


def plan_batches(lengths: Sequence[int], budget: int, max_rows: int = 256) -> list[list[int]]:
    """Length-sorted batches whose padded size stays within a token budget.

    Sorting puts equal lengths together, so padding is small; longest first, so that running out of
    memory happens at once or not at all.

    Args:
        lengths: tokens of each sequence.
        budget: most tokens of a batch, padding included; a longer sequence gets a batch of its own.
        max_rows: most sequences of a batch.

    Returns:
        Batches of indices into `lengths`; every index occurs once.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for index in order:
        if batches:
            longest = lengths[batches[-1][0]]
            if (len(batches[-1]) + 1) * longest <= budget and len(batches[-1]) < max_rows:
                batches[-1].append(index)
                continue
        batches.append([index])
    return batches


def scored_at_once(device: str, rows: int, longest: int) -> int:
    """Of the rows of a batch, how many go through the model together.

    Args:
        device: its type, `cpu` or `cuda`.
        rows: of the batch.
        longest: tokens of the longest of them.
    """
    most = CACHED_TOKENS.get(device)
    return rows if most is None else min(rows, max(1, most // longest))


def logits_at_once(device: str, vocabulary: int) -> int:
    """Over how many rows of logits one goes at a time, at least 1.

    Args:
        device: its type, `cpu` or `cuda`.
        vocabulary: logits of a row.
    """
    return max(1, CACHED_LOGITS.get(device, WIDE_LOGITS) // vocabulary)


def head_at_once(rows: int, vocabulary: int | None) -> int:
    """Positions of each row that go through the LM head at once, at least 1.

    Args:
        rows: of the batch.
        vocabulary: logits of a position; None where nobody knows.
    """
    return max(1, WIDE_LOGITS // (rows * (vocabulary or 256_000)))


def read_at_once(device: str, rows: int, longest: int, scores: int) -> int:
    """Tokens of each row that go through the model at once; the next ones follow behind their cache.

    Args:
        device: its type, `cpu` or `cuda`.
        rows: of the batch.
        longest: tokens of the longest of them.
        scores: attention scores that are held of each pair of tokens.
    """
    allowed = min(
        CACHED_TOKENS.get(device, SCORED_TOKENS), ATTENDED.get(device, WIDE_ATTENDED) // (scores * longest)
    )
    return max(min(FEWEST_READ, CACHED_TOKENS.get(device, SCORED_TOKENS) // rows), allowed // rows, 1)


def plan_chunks(lengths: Sequence[int], answers: int) -> list[list[int]]:
    """Length-sorted chunks of prompts whose answers are written and saved together.

    Inside a chunk rows come and go, so that many more answers than fit at once waste nothing; a chunk that
    is cut short is written again from its start, so that a killed audit gives the very same rows.

    Args:
        lengths: tokens of each prompt.
        answers: to each prompt.

    Returns:
        Chunks of indices into `lengths`, longest first; every index occurs once.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    size = max(1, CHUNK // answers)
    return [order[start : start + size] for start in range(0, len(order), size)]
