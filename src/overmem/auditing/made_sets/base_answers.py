"""The base model's own answers as a set that every checkpoint is compared on.

The texts are saved, their tokens are not: they are read again after the very tokens that were asked, with the
end of turn where the answer ended by itself. Where the base model spelled a word in unusual tokens, the usual
ones are compared.
"""

from __future__ import annotations

import polars as pl

from overmem.artifacts.jobs import BASE_ANSWERS, Job
from overmem.auditing.problem_sets.problems import Problems
from overmem.auditing.session import Session
from overmem.rendering.rendered import Rendered, data_fingerprint, fingerprint, text_ids


def base_answers(session: Session, written: Job, limit: int | None) -> Problems | None:
    """The base model's greedy answers to a set, as a set of problems of its own.

    Args:
        session: the audit, whose base model has answered.
        written: the job that wrote them.
        limit: most problems of it.

    Returns:
        The set, under the ids of the one that was asked; None where no answer has a token.
    """
    base = session.base.checkpoint
    assert base is not None
    asked = session.problems[written.data]
    rows = session.store.read_rows(
        base.name, "generations", session.row_keys.of(written, base), ("text", "finished")
    ).filter((pl.col("split") == written.set) & (pl.col("variant") == written.variant))
    there = {
        (name, sha): (text, finished)
        for name, sha, text, finished in rows.select(
            "example_id", "example_sha", "text", "finished"
        ).iter_rows()
    }
    end = session.ends.end_of_turn(written.set)
    closing = session.tokenizer.eos_token_id if end is None else end
    kept: list[tuple[int, Rendered]] = []
    for i in asked.chosen(limit, session.options.seed):
        text, finished = there.get((asked.examples[i].id, asked.shas[i]), ("", False))
        ids = text_ids(session.tokenizer, text) + ([closing] if finished and closing is not None else [])
        if ids:
            kept.append((i, _answered(asked.rendered[i], ids, text)))
    if not kept:
        return None
    rendered = tuple(item for _, item in kept)
    return Problems(
        set=f"{BASE_ANSWERS}{asked.set}",
        variant="clean",
        source=str(base.path),
        grader="none",
        shape=f"the base model's greedy answers to {asked.set}",
        examples=tuple(asked.examples[i] for i, _ in kept),
        rendered=rendered,
        shas=tuple(fingerprint(item) for item in rendered),
        fingerprint=data_fingerprint(rendered),
        longest_completion=max(len(item.completion_ids) for item in rendered),
    )


def _answered(asked: Rendered, ids: list[int], text: str) -> Rendered:
    return Rendered(
        example_id=asked.example_id,
        prompt_ids=asked.question_ids,
        completion_ids=tuple(ids),
        prompt_text=asked.prompt_text,
        completion_text=text,
    )
