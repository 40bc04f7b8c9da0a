"""References: which solutions grow less probable: in the training data's style, in others, or its own.

Perplexity on references in another style than the training data's rises as a model takes on the training
style, which is not memorization. So NLL is read apart on the references of val, on the same or other
problems' references in other styles (`references/NAME`), and on right answers of models: each checkpoint's
own, and those of one fixed checkpoint, whose texts are the same whoever scores them. The decision rule
reads the first alone.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import ANSWERS_SCORES, REFERENCES, VAL_ANSWERS, VAL_SCORES, Job
from overmem.axes.axis import Available, Axis
from overmem.stats.measures import Direction, Measure, difference_measure, ratio_measure, undefined


def jobs(available: Available) -> tuple[Job, ...]:
    """The references of val and of every other style, and greedy answers to val where there is a grader.

    The right ones among the answers of one checkpoint are scored as well, once they are there
    (`overmem.auditing.made_sets.right_answers`).
    """
    others = tuple(Job("score", name) for name in available.sets if name.startswith(REFERENCES))
    answers = (VAL_ANSWERS,) if "val" in available.graded else ()
    return (VAL_SCORES, *others, *answers) if others or answers else ()


def measures(evidence: Evidence) -> tuple[Measure, ...]:
    """NLL on each kind of reference, and the gap between other styles and val; nats per token.

    Only `nll_in_distribution` has a better side (lower). The others are context: a style that the model
    was not trained on, or its own, may become more or less probable for reasons of style and confidence.
    """
    if VAL_SCORES not in evidence.rows:
        return ()
    others = sorted(job for job in evidence.rows if job.kind == "score" and job.set.startswith(REFERENCES))
    answers = [
        *([_answers_of_one(evidence.rows[ANSWERS_SCORES])] if ANSWERS_SCORES in evidence.rows else []),
        *([_own_answers(evidence.rows[VAL_ANSWERS])] if VAL_ANSWERS in evidence.rows else []),
    ]
    if not others and not answers:
        return ()
    val = _nll("nll_in_distribution", "lower", "val", evidence.rows[VAL_SCORES])
    apart = [_nll(f"nll_{_name(job)}", "context", job.set, evidence.rows[job]) for job in others]
    return (*(_gap(evidence, job) for job in others), *answers, val, *apart)


def _name(job: Job) -> str:
    return job.set.removeprefix(REFERENCES)


def _nll(name: str, direction: Direction, population: str, rows: pl.DataFrame) -> Measure:
    nll_N, tokens_N = rows["nll_nats"].to_numpy(), rows["n_tokens"].to_numpy().astype(float)
    return ratio_measure(name, direction, population, nll_N, tokens_N)


def _gap(evidence: Evidence, job: Job) -> Measure:
    """NLL of another style minus NLL of val: what it gains, style gains over what both have in common.

    Where the set has problems of val (the same id and prompt), on these alone, in pairs.
    """
    val, other = evidence.rows[VAL_SCORES], evidence.rows[job]
    shared = _same_problems(evidence, job.set)
    paired = [rows.filter(pl.col("example_id").is_in(shared)).sort("example_id") for rows in (val, other)]
    populations = ("val", job.set)
    if len(paired[0]) and paired[0]["example_id"].equals(paired[1]["example_id"]):
        (val, other), populations = paired, ("val", "val")
    sides = [_nll("", "context", of, rows) for of, rows in zip(populations, (other, val), strict=True)]
    return difference_measure(f"gap_{_name(job)}", "context", *sides)


def _same_problems(evidence: Evidence, name: str) -> list[str]:
    """Ids of a set's problems that are val's too, asked in the same words."""
    texts = [evidence.texts.get(key) for key in ("val", name)]
    if any(table is None for table in texts):
        return []
    rows = [set(evidence.rows[Job("score", key)]["example_id"]) for key in ("val", name)]
    val, other = (table for table in texts if table is not None)
    same = val.join(other, on=["example_id", "prompt"], how="semi")["example_id"]
    return sorted(set(same) & rows[0] & rows[1])


def _answers_of_one(rows: pl.DataFrame) -> Measure:
    """NLL of the right answers of one fixed checkpoint, the same texts at every checkpoint."""
    return _nll("nll_same_right_answers", "context", ANSWERS_SCORES.set, rows)


def _own_answers(rows: pl.DataFrame) -> Measure:
    """NLL of the right ones of the checkpoint's own greedy answers: other texts at every checkpoint."""
    name = "nll_own_right_answers"
    right_N = (rows["correct"] == 1.0) & rows["finished"]
    known_N = right_N & rows["mean_logprob"].is_not_null()
    if right_N.any() and not known_N.any():
        why = "the engine that wrote the answers gave no log-probabilities"
        return undefined(name, "context", "val", len(rows), why)
    tokens_N = np.where(known_N, rows["n_tokens"], 0).astype(float)
    nll_N = -rows["mean_logprob"].fill_null(0.0).to_numpy() * tokens_N
    return ratio_measure(name, "context", "val", nll_N, tokens_N)


AXIS = Axis(
    name="references",
    tells="which solutions grow less probable: in the training style, in others, its own",
    jobs=jobs,
    measures=measures,
    needs="val has no grader, and no references in another style are named: pass --references NAME=SOURCE",
    sets=("references",),
    implied_by="references",
    rescores_answers=True,
)
