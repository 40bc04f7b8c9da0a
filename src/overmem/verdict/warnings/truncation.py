"""How texts end: answers cut before their end, and an end-of-text token that training never showed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from overmem.artifacts.jobs import VAL_ANSWERS, VAL_SCORES
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.rows import read_job
from overmem.artifacts.store import Store

MOST_CUT = 0.1
"""Share of answers that may be cut without a word."""
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
        read_job(store, manifest, last, job, [column]).filter(pl.col("example_id").is_in(ids))
        for job, column in ((VAL_ANSWERS, "finished"), (VAL_SCORES, "logprob"))
    )
    notes = []
    cut = 1 - float(np.mean(answers["finished"].to_numpy()))
    if cut > MOST_CUT:
        longest = manifest.val.max_new_tokens
        notes.append(
            f"{cut:.0%} of the answers at {last.name} were cut at {longest} tokens and are graded as they "
            "stand; raise --max-new-tokens, or train the end-of-text token"
        )
    end = -float(np.mean(scores["logprob"].list.last().to_numpy()))
    if end >= UNTRAINED_NATS:
        notes.append(
            f"the last token of val's references costs {end:.1f} nats at {last.name}, and perplexity "
            "counts it: where training had no end-of-text token, audit with --no-eos (see --show-prompt)"
        )
    return notes
