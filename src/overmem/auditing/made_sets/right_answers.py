"""Right answers of one checkpoint as references: what it would itself have written, scored by all others.

The texts are saved, their tokens are not. They are rendered again as completions, with whatever ends a
completion, and without the template's own text around one, which the model has already written. Where a
model spelled a word in unusual tokens, the usual ones are scored.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from overmem.artifacts.jobs import ANSWERS_SCORES, VAL_ANSWERS
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.rows import read_job
from overmem.auditing.problem_sets.problems import Problems, problems_of
from overmem.auditing.session import Session
from overmem.rendering.decoded import with_own_answer
from overmem.verdict.key_checkpoints import lowest_perplexity


def only_right(rows: pl.DataFrame) -> pl.DataFrame:
    """Of answers those that can be scored as references: right, ended by themselves, and not empty."""
    return rows.filter((pl.col("correct") == 1.0) & pl.col("finished") & (pl.col("text") != ""))


def right_answers(session: Session, manifest: Manifest) -> Problems | None:
    """The right greedy answers to val of the checkpoint with the lowest perplexity, as a set of problems.

    That checkpoint is the one with the least of its own way of writing among those that have learned the
    task, and what a verdict compares the others with.

    Args:
        session: the audit, whose core is done.
        manifest: that describes its rows.

    Returns:
        The set, under the ids of val; None where answers are not graded, or none is right.
    """
    val = session.problems["val"]
    if not manifest.all_have(VAL_ANSWERS):
        return None
    author = lowest_perplexity(session.store, manifest)
    rows = read_job(
        session.store, manifest, manifest.checkpoint(author), VAL_ANSWERS, ("text", "correct", "finished")
    )
    texts = dict(only_right(rows).select("example_id", "text").iter_rows())
    examples = [with_own_answer(e, texts[e.id], session.tokenizer) for e in val.examples if e.id in texts]
    if not examples:
        return None
    template = replace(session.options.template, completion_format="{completion}")
    return problems_of(
        ANSWERS_SCORES.set,
        "clean",
        author,
        "its right greedy answers to val",
        "none",
        examples,
        session.options.replace(template=template),
        session.tokenizer,
    )
