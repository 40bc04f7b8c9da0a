"""Make candidates one after another and score them; only the best few stay on disk.

A score is kept as soon as it is known, so a search that was killed goes on where it stopped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from overmem.artifacts.files import write_text_atomic
from overmem.artifacts.jobs import VAL_SCORES
from overmem.auditing.session import Session
from overmem.checkpoints import ADAPTER_CONFIG
from overmem.errors import CheckpointError, MergeError
from overmem.merging import merge
from overmem.merging.methods import greedy_soup, soup_weights
from overmem.parsing import finite_number, read_json_or_empty
from overmem.records import Checkpoint, Run
from overmem.repairing.candidates import Candidate, distinct, finer, shortlist
from overmem.serialization import settings_key

MOST_GREEDY = 6
"""Checkpoints that a greedy soup looks at, of the lowest NLL."""


class Trials:
    """Candidates with their NLL on the search split, nats per token."""

    def __init__(
        self,
        run: Run,
        session: Session,
        folder: Path,
        *,
        few: int,
        base_model: str | None,
        left_out: Sequence[str] = (),
    ) -> None:
        """Prepare to try candidates.

        Args:
            run: the checkpoints.
            session: an audit of the search split.
            folder: where merged models and scores are kept.
            few: how many models stay.
            base_model: of adapters, when it has moved.
            left_out: ids of val problems that training had.
        """
        self._left_out = frozenset(left_out)
        self.session, self.folder, self.few, self.base_model = session, folder, few, base_model
        self.nll: dict[Candidate, float] = {}
        self.failed: dict[str, str] = {}
        self._checkpoints = {checkpoint.name: checkpoint for checkpoint in run.checkpoints}
        self._scores = folder.parent / "scores.json"
        found = read_json_or_empty(self._scores).items()
        self._known = {name: nll for name, value in found if (nll := finite_number(value)) is not None}

    def try_all(self, candidates: Sequence[Candidate]) -> None:
        """Score each candidate that is new."""
        for candidate in distinct([*self.nll, *candidates])[len(self.nll) :]:
            self.score(candidate)

    def refine(self) -> None:
        """Try the neighbours in alpha of the best pair."""
        pairs = [candidate for candidate in self.nll if candidate.family == "pair"]
        if pairs:
            self.try_all(finer(min(pairs, key=lambda pair: self.nll[pair])))

    def grow(self, names: Sequence[str]) -> None:
        """Grow a greedy soup from these checkpoints, best first, while the NLL does not rise."""
        single = Candidate(family="greedy", checkpoints=(names[0],), weights=(1.0,))
        order = list(self._checkpoints)

        def evaluate(members: tuple[str, ...]) -> float:
            if len(members) == 1:
                return -self._nll_of(single, self._checkpoints[members[0]])
            chosen = tuple(sorted(members, key=order.index))
            weights = soup_weights(len(members))
            return -self.score(Candidate(family="greedy", checkpoints=chosen, weights=weights))

        greedy_soup(list(names[:MOST_GREEDY]), evaluate)

    def score(self, candidate: Candidate) -> float:
        """NLL of a candidate on the search split; infinite when it cannot be loaded."""
        average = candidate.checkpoints, candidate.weights
        same = next((c for c in self.nll if (c.checkpoints, c.weights) == average), None)
        if same is not None:
            return self.nll[same]
        key = self._key(candidate)
        if key not in self._known:
            try:
                self._known[key] = self._nll_of(candidate, self.make(candidate))
            except (CheckpointError, MergeError) as error:
                self.failed[candidate.name] = str(error)
                return float("inf")
            write_text_atomic(self._scores, json.dumps(self._known, indent=1))
        self.nll[candidate] = self._known[key]
        self._prune()
        return self.nll[candidate]

    def make(self, candidate: Candidate) -> Checkpoint:
        """The merged model as a checkpoint; made unless it is there."""
        inputs = [self._checkpoints[name] for name in candidate.checkpoints]
        out = self._place(candidate)
        # DoRA adapters have no average that is one; as full weights they have.
        into_full = any(read_json_or_empty(i.path / ADAPTER_CONFIG).get("use_dora") for i in inputs)
        if not out.is_dir():
            merge(
                inputs,
                out,
                method="linear",
                weights=candidate.weights,
                into_full=into_full,
                base_model=self.base_model,
            )
        kind = "full" if into_full else inputs[-1].kind
        return Checkpoint(name=candidate.name, step=inputs[-1].step, path=out, kind=kind)

    def best(self) -> list[Candidate]:
        """The few to look at closely, lowest NLL first."""
        tried = list(self.nll)
        chosen = [tried[i] for i in shortlist(tried, [self.nll[c] for c in tried], self.few)]
        return sorted(chosen, key=lambda candidate: self.nll[candidate])

    def _nll_of(self, candidate: Candidate, checkpoint: Checkpoint) -> float:
        session = self.session
        limit = session.options.limit_of("likelihood")
        session.do(VAL_SCORES, checkpoint, limit)
        problems = session.problems[VAL_SCORES.data]
        chosen = [problems.examples[i].id for i in problems.chosen(limit, session.options.seed)]
        chosen = [name for name in chosen if name not in self._left_out]
        key = session.row_keys.of(VAL_SCORES, checkpoint)
        rows = session.store.read_rows(checkpoint.name, "likelihood", key, ("nll_nats", "n_tokens"))
        rows = rows.filter(pl.col("split") == "val", pl.col("example_id").is_in(chosen))
        return float(np.sum(rows["nll_nats"].to_numpy()) / np.sum(rows["n_tokens"].to_numpy()))

    def _prune(self) -> None:
        """Remove the models that are no longer among the best."""
        kept = {candidate.name for candidate in self.best()}
        for candidate in self.nll:
            if candidate.name not in kept:
                shutil.rmtree(self._place(candidate), ignore_errors=True)

    def _place(self, candidate: Candidate) -> Path:
        """Where its model lies; another run's candidate of the same name lies elsewhere."""
        return self.folder / f"{candidate.name}-{self._key(candidate)[:8]}"

    def _key(self, candidate: Candidate) -> str:
        prints = [self.session.weights.fingerprint(self._checkpoints[name]) for name in candidate.checkpoints]
        problems = self.session.problems[VAL_SCORES.data]
        left_out = {"left_out": sorted(self._left_out)} if self._left_out else {}
        return settings_key(
            {
                **left_out,
                "weights": list(zip(prints, candidate.weights, strict=True)),
                "problems": problems.fingerprint,
                "limit": self.session.options.limit_of("likelihood"),
                "seed": self.session.options.seed,
                **self.session.host.precision,
            }
        )
