"""All exhibits of a run, from the evidence of the checkpoints that its verdict compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import TRAIN_SCORES, VAL_ANSWERS, VAL_SAMPLES, VAL_SCORES, Job
from overmem.axes import recall
from overmem.memorized.ranking import MemorizedRows
from overmem.records import Verdict
from overmem.reporting.exhibits.excess import excess_exhibit
from overmem.reporting.exhibits.exhibit import ComparedCheckpoint, Exhibit
from overmem.reporting.exhibits.membership import membership_exhibit
from overmem.reporting.exhibits.memorized import memorized_exhibit
from overmem.reporting.exhibits.reliability import answers_exhibit, tokens_exhibit
from overmem.reporting.exhibits.samples import pass_exhibit
from overmem.reporting.exhibits.split import special_tokens
from overmem.reporting.exhibits.tokens import COLUMNS, TokenView, token_view
from overmem.reporting.exhibits.verbatim import Verbatim, verbatim_exhibit
from overmem.reporting.problems.training_rows import TrainingRows, training_rows
from overmem.stats.arrays import FloatArray
from overmem.verdict.severity import read_excess_cells

if TYPE_CHECKING:
    from tokenizers import Tokenizer

JOBS = {VAL_SCORES, VAL_ANSWERS, VAL_SAMPLES, TRAIN_SCORES, recall.TRAIN, recall.VAL}
"""The rows that exhibits are made of."""


@dataclass(frozen=True, kw_only=True)
class Exhibits:
    """What the page shows beside the verdict."""

    checkpoints: tuple[ComparedCheckpoint, ...]
    """To choose from, in the order of the run."""
    first: str
    """The one shown first unless a reader chooses: what one would ship."""
    second: str
    """Beside it: the last."""
    figures: tuple[Exhibit, ...]
    tokens: TokenView
    verbatim: Verbatim


def compared_checkpoints(verdict: Verdict) -> tuple[ComparedCheckpoint, ...]:
    """The checkpoints that a verdict compares, in the order of the run, with what they are."""
    if not verdict.checkpoints:
        return ()
    names = [summary.name for summary in verdict.checkpoints]
    named = {
        "recommended": verdict.recommended.name if verdict.recommended is not None else None,
        "lowest perplexity": verdict.alternatives.get("lowest_perplexity"),
        "last": names[-1],
    }
    roles = {name: tuple(role for role, who in named.items() if who == name) for name in names}
    return tuple(ComparedCheckpoint(name=name, roles=roles[name]) for name in names if roles[name])


def compared_pair(compared: tuple[ComparedCheckpoint, ...]) -> tuple[str | None, str]:
    """What one would ship, and the last; the former is None where there is no other checkpoint."""
    last = next(item.name for item in compared if "last" in item.roles)
    for role in ("recommended", "lowest perplexity"):
        for item in compared:
            if role in item.roles and item.name != last:
                return item.name, last
    return None, last


def build_training_rows(
    evidence: Mapping[str, Evidence], tokenizer: Tokenizer | None, memorized: Mapping[str, MemorizedRows]
) -> TrainingRows | None:
    """Every training row that was measured; see `build_exhibits`."""
    texts = {name: table for item in evidence.values() for name, table in item.texts.items()}
    return training_rows(
        memorized, _rows(evidence, recall.TRAIN), texts.get("train"), tokenizer, special_tokens(tokenizer)
    )


def build_exhibits(
    verdict: Verdict,
    evidence: Mapping[str, Evidence],
    tokenizer: Tokenizer | None,
    command: Callable[[str], str],
    memorized: Mapping[str, MemorizedRows],
) -> Exhibits:
    """Make every exhibit that the rows allow; the others say what would allow them.

    Args:
        verdict: with at least one checkpoint.
        evidence: of each checkpoint in `compared_checkpoints`, in their order; a job's rows are aligned
            among the checkpoints that have it.
        tokenizer: of the run, if it can be read.
        command: {axis: the sentence that says which command measures it}.
        memorized: the ranked training rows of each checkpoint that has them.
    """
    compared = compared_checkpoints(verdict)
    before, last = compared_pair(compared)
    rows = {job: _rows(evidence, job) for job in JOBS}
    texts = {name: table for item in evidence.values() for name, table in item.texts.items()}
    samples = rows[VAL_SAMPLES]
    heat = next((float(table["temperature"][0]) for table in samples.values() if len(table)), None)
    scores = rows[VAL_SCORES]
    temperatures = next(iter(evidence.values())).temperatures if evidence else ()
    lowest = next((item.name for item in compared if "lowest perplexity" in item.roles), None)
    figures = (
        tokens_exhibit(scores, command("likelihood")),
        answers_exhibit(rows[VAL_ANSWERS], command("accuracy")),
        pass_exhibit(samples, heat, command("diversity")),
        membership_exhibit(rows[TRAIN_SCORES], scores, command("train")),
        memorized_exhibit(memorized, f"no training rows to tell by at two checkpoints; {command('train')}"),
        excess_exhibit(scores, lowest, _excess(evidence, lowest), temperatures, command("likelihood")),
    )
    continued = rows[recall.TRAIN], rows[recall.VAL]
    return Exhibits(
        checkpoints=compared,
        first=before or last,
        second=last,
        figures=figures,
        tokens=token_view(scores, partial(_tokens, evidence), texts.get("val"), tokenizer, before, last),
        verbatim=verbatim_exhibit(*continued, (before, last), command("recall")),
    )


def _rows(evidence: Mapping[str, Evidence], job: Job) -> dict[str, pl.DataFrame]:
    return {name: item.rows[job] for name, item in evidence.items() if job in item.rows}


def _excess(evidence: Mapping[str, Evidence], lowest: str | None) -> dict[str, dict[str, FloatArray]]:
    """The cells of each checkpoint's excess NLL over the lowest, where both have been scored."""
    there = {name: item for name, item in evidence.items() if VAL_SCORES in item.rows}
    if lowest not in there:
        return {}
    base = there[lowest].place
    return {
        name: read_excess_cells(item.place, base, item.rows[VAL_SCORES])
        for name, item in there.items()
        if name != lowest and item.place is not None and base is not None
    }


def _tokens(evidence: Mapping[str, Evidence], checkpoint: str, ids: Sequence[str]) -> pl.DataFrame:
    place = evidence[checkpoint].place
    assert place is not None
    return place.tokens(VAL_SCORES, ids, COLUMNS)
