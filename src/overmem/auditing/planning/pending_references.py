"""Answers that are not there yet: how long they will be, and how many of them will be scored.

Which right answers the axis `references` scores is known only once the core is done (`own_answers`). Before
that, answers are taken to be as long, beside their references, and as often right as those that are there at
the last checkpoint; where there are none, as long as their references and all right, which is the most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from overmem.artifacts.jobs import (
    ANSWERS_SCORES,
    VAL_ANSWERS,
    VAL_SCORES,
    Job,
    base_answers_job,
    on_base,
)
from overmem.artifacts.manifest import Manifest, read_manifest
from overmem.auditing.made_sets.base_answers import base_answers
from overmem.auditing.made_sets.right_answers import only_right, right_answers
from overmem.auditing.planning.plan import Plan
from overmem.auditing.planning.timing import places_of
from overmem.auditing.session import Session
from overmem.records import Checkpoint


@dataclass(frozen=True, kw_only=True)
class PendingReferences:
    """The right answers of one checkpoint that others will score."""

    tokens: tuple[float, ...]
    """To read at each place, problems included."""
    share: float | None = None
    """Of the answers to val, taken to be right; None where it is known which are."""
    n_there: int = 0
    """Answers that the share rests on."""


def find_pending_references(
    session: Session, plan: Plan, readable: Sequence[Checkpoint]
) -> PendingReferences:
    """What there will be to score of one checkpoint's right answers.

    Args:
        session: the audit; it takes the answers in where they are known.
        plan: with `ANSWERS_SCORES`.
        readable: its checkpoints.
    """
    limit, places = plan.limits[ANSWERS_SCORES], places_of(session, plan, readable, ANSWERS_SCORES)
    manifest = _done_core(session, plan, readable)
    if manifest is not None:
        answers = right_answers(session, manifest)
        if answers is None:
            return PendingReferences(tokens=(0.0,) * len(places))
        session.add_problems(answers)
        missing = [session.missing(ANSWERS_SCORES, place, limit)[0] for place in places]
        return PendingReferences(
            tokens=tuple(float(sum(len(answers.rendered[i]) for i in left)) for left in missing)
        )
    rows = _answers_there(session, VAL_ANSWERS, readable[-1])
    share, ratio = len(only_right(rows)) / len(rows) if len(rows) else 1.0, _ratio(rows)
    val = session.problems["val"]
    asked = [val.rendered[i] for i in val.chosen(limit, session.options.seed)]
    tokens = share * sum(len(item.question_ids) + ratio * len(item.answer_ids) for item in asked)
    return PendingReferences(tokens=(tokens,) * len(places), share=share, n_there=len(rows))


def answer_ratio(session: Session, job: Job, last: Checkpoint) -> float:
    """How long saved answers are beside their references; 1 where there are none yet."""
    at = last if job.model == "checkpoint" else session.base.checkpoint
    if job.table != "generations" or session.problems[job.data].task is not None or at is None:
        return 1.0
    return _ratio(_answers_there(session, job, at))


def base_answer_tokens(
    session: Session, plan: Plan, readable: Sequence[Checkpoint], written: Job
) -> list[float]:
    """Tokens to read where checkpoints are compared with the base model on its own answers.

    The base model reads its answers twice itself, which counts as two places more: to keep what it predicts,
    and to be compared as the checkpoints are.

    Args:
        session: the audit; it takes the answers in where they are known.
        plan: with `written`.
        readable: its checkpoints.
        written: the job by which the base model answers.
    """
    job, limit = base_answers_job(written), plan.limits[written]
    base = session.base.checkpoint
    assert job is not None and base is not None
    asked = session.problems[written.data]
    places = places_of(session, plan, readable, job)
    if session.missing(written, base, limit)[0]:
        ratio = answer_ratio(session, written, base)
        items = [asked.rendered[i] for i in asked.chosen(limit, session.options.seed)]
        tokens = sum(len(item.question_ids) + ratio * len(item.answer_ids) for item in items)
        return [tokens] * (len(places) + 2)
    answers = base_answers(session, written, limit)
    if answers is None:
        return []
    session.add_problems(answers)
    left = [session.missing(job, place, limit)[0] for place in places]
    of_base = session.missing(on_base(job), base, limit)[0]
    kept = max([of_base, *left], key=len)
    return [float(sum(len(answers.rendered[i]) for i in positions)) for positions in (*left, kept, of_base)]


def _answers_there(session: Session, job: Job, checkpoint: Checkpoint) -> pl.DataFrame:
    """Saved answers to the problems of a job, with the tokens of each problem's reference."""
    problems = session.problems[job.data]
    known = pl.DataFrame(
        {
            "example_id": [example.id for example in problems.examples],
            "example_sha": list(problems.shas),
            "n_reference": [len(item.answer_ids) for item in problems.rendered],
        }
    )
    columns = ["n_tokens", "correct", "finished", "text"]
    rows = session.store.read_rows(
        checkpoint.name, "generations", session.row_keys.of(job, checkpoint), columns=columns
    )
    return rows.filter(pl.col("split") == job.set).join(known, on=["example_id", "example_sha"])


def _ratio(rows: pl.DataFrame) -> float:
    references = sum(rows["n_reference"].to_list())
    return sum(rows["n_tokens"].to_list()) / references if references else 1.0


def _done_core(session: Session, plan: Plan, readable: Sequence[Checkpoint]) -> Manifest | None:
    """The manifest, where it describes the core at all of some checkpoints."""
    if not session.store.has_record("manifest"):
        return None
    manifest = read_manifest(session.store)
    keys = {found.name: found.row_keys for found in manifest.checkpoints}
    done = all(
        keys.get(checkpoint.name, {}).get(str(job)) == session.row_keys.of(job, checkpoint)
        and not session.missing(job, checkpoint, plan.limits[job])[0]
        for checkpoint in readable
        for job in (VAL_SCORES, VAL_ANSWERS)
    )
    return manifest if done else None
