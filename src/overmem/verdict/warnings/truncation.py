"""How texts end: answers cut before their end, and an end-of-text token that training never showed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from overmem.artifacts.jobs import VAL_ANSWERS, VAL_SCORES
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.rows import read_job
from overmem.artifacts.store import Store
from overmem.grading.reasoning import opens_reasoning, split_reasoning

MOST_CUT = 0.1
"""Share of answers that may be cut without a word."""
MOST_REASONING = 0.02
"""Share of answers that may end inside their reasoning without a word."""
UNTRAINED_NATS = 5.0
"""NLL of the last token (p below 0.7%) from which on it looks untrained."""


def truncation_notes(store: Store, manifest: Manifest, ids: Sequence[str]) -> list[str]:
    """Warn of cut answers, and of an end that references are charged for, at the last checkpoint.

    Args:
        store: the run's artifacts.
        manifest: the record that describes them.
        ids: of the val problems that count.
    """
    last = manifest.checkpoints[-1]
    answers, scores = (
        read_job(store, manifest, last, job, columns).filter(pl.col("example_id").is_in(ids))
        for job, columns in ((VAL_ANSWERS, ["finished", "text"]), (VAL_SCORES, ["last_logprob"]))
    )
    notes = []
    cut = 1 - float(np.mean(answers["finished"].to_numpy()))
    if cut > MOST_CUT:
        longest = manifest.val.max_new_tokens
        notes.append(
            f"{cut:.0%} of the answers at {last.name} were cut at {longest} tokens and are graded as they "
            "stand; raise --max-new-tokens, or train the end-of-text token"
        )
    if (thinking := _still_reasoning(store, answers)) > MOST_REASONING * len(answers):
        notes.append(
            f"{thinking} of {len(answers)} answers at {last.name} end inside their reasoning: there is no "
            "answer in them, and they count as wrong; raise --max-new-tokens"
        )
    end = -float(np.mean(scores["last_logprob"].to_numpy()))
    if end >= UNTRAINED_NATS:
        notes.append(
            f"the last token of val's references costs {end:.1f} nats at {last.name}, and perplexity "
            "counts it: where training had no end-of-text token, audit with --no-eos (see --show-prompt)"
        )
    return notes


def _still_reasoning(store: Store, answers: pl.DataFrame) -> int:
    """How many answers never leave their reasoning, which the prompt may have begun."""
    prompts: dict[str, str] = {}
    if store.has_texts():
        texts = store.read_texts().filter(pl.col("set") == "val")
        prompts = dict(texts.select("example_id", "prompt").iter_rows())
    rows = answers.select("example_id", "text").iter_rows()
    return sum(
        split_reasoning(text, opened=opens_reasoning(prompts.get(name, ""))).unfinished for name, text in rows
    )
