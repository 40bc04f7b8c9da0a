"""The samples of one problem, as the axes read them from rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from overmem.errors import ArtifactError


@dataclass(frozen=True, kw_only=True)
class ProblemSamples:
    """All samples of one problem, in the order they were drawn."""

    example_id: str
    texts: tuple[str, ...]
    answers: tuple[str | None, ...]
    correct: tuple[bool, ...]


def group_samples(rows: pl.DataFrame) -> list[ProblemSamples]:
    """Rows of a `sample` job, one record a problem, in the order of the rows.

    Raises:
        ArtifactError: some were not graded, which an audit does with all of a set or none.
    """
    if n_empty := rows["correct"].null_count():
        raise ArtifactError(
            "some sampled answers were not graded",
            got=f"{n_empty:,} of {len(rows):,}",
            next_step="run `overmem audit` again",
        )
    grouped = rows.group_by("example_id", maintain_order=True).agg("text", "answer", "correct")
    return [
        ProblemSamples(
            example_id=example_id,
            texts=tuple(text or "" for text in texts),
            answers=tuple(answers),
            correct=tuple(is_right >= 0.5 for is_right in correct),
        )
        for example_id, texts, answers, correct in grouped.iter_rows()
    ]


def has_votes(problems: Sequence[ProblemSamples]) -> bool:
    """False when the grader marks samples right without naming their answers, so that none can vote."""
    return not any(
        answer is None and is_right
        for problem in problems
        for answer, is_right in zip(problem.answers, problem.correct, strict=True)
    )
