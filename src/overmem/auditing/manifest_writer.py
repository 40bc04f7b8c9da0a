"""The manifest: what was measured, on which data, with which versions; the map to the rows.

Axes may be measured in several sittings. What an earlier sitting measured stays in the manifest as
long as it describes the same weights, so a later one adds to it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib.metadata import version
from typing import Any

import polars as pl

from overmem.artifacts.jobs import BASE_ANSWERS, Job, JobKind, kind_of
from overmem.artifacts.manifest import Manifest, write_manifest
from overmem.artifacts.manifest_parts.measured_sets import MeasuredSet
from overmem.artifacts.manifest_parts.model_rows import BaseRows, CheckpointRows, MeasuredModel
from overmem.auditing.planning.plan import Plan
from overmem.auditing.problem_sets.problems import Problems
from overmem.auditing.resolve import leaves_out_chat_template
from overmem.auditing.session import Session
from overmem.axes import all_axes
from overmem.contamination.record import write_contamination
from overmem.errors import CheckpointError
from overmem.records import Checkpoint
from overmem.serialization import settings_key

LIBRARIES = (
    "overmem",
    "torch",
    "transformers",
    "peft",
    "trl",
    "tokenizers",
    "math-verify",
    "numpy",
    "lm-eval",
)
MEET: tuple[JobKind, ...] = ("score", "greedy", "continue")
"""Kinds of work whose rows of several sets are read in one figure."""


class ManifestWriter:
    """Collects what has been measured and writes the manifest."""

    def __init__(self, session: Session, plan: Plan, previous: Manifest | None) -> None:
        """Start from the manifest of an earlier sitting, if there was one."""
        self.session, self.plan, self.previous = session, plan, previous
        self.until_decided: dict[str, Any] | None = None
        """How far an audit that stops once it is decided has come; None for another."""
        self._measured: dict[str, CheckpointRows] = {}
        self._texts_written: set[str] = set()
        self._base = previous.base if previous else None
        earlier = (*previous.checkpoints, *previous.carried) if previous else ()
        self._earlier = {found.name: found for found in earlier}

    def add(self, checkpoint: Checkpoint, jobs: Iterable[Job]) -> None:
        """Note the jobs done at a checkpoint, beside those of an earlier sitting on the same weights."""
        weights = self.session.weights.fingerprint(checkpoint)
        known = self._measured.get(checkpoint.name) or self._earlier.get(checkpoint.name)
        if known is not None and known.weights != weights:
            known = None
        done = tuple(jobs)
        row_keys, settings = _beside(known, self._row_keys(checkpoint, done), self._settings(done))
        self._measured[checkpoint.name] = CheckpointRows(
            name=checkpoint.name,
            step=checkpoint.step,
            epoch=checkpoint.epoch,
            kind=checkpoint.kind,
            weights=weights,
            folders=self.session.weights.folders(checkpoint),
            row_keys=row_keys,
            settings=settings,
        )

    def add_base(self, base: Checkpoint, jobs: Sequence[Job]) -> None:
        """Note the jobs done on the base model, beside those of an earlier sitting on the same weights."""
        weights = self.session.weights.fingerprint(base)
        known = self._base if self._base is not None and self._base.weights == weights else None
        row_keys, settings = _beside(known, self._row_keys(base, jobs), self._settings(jobs))
        self._base = BaseRows(
            name=base.name,
            model=str(base.path),
            weights=weights,
            folders=self.session.weights.folders(base, in_run=self.session.base.in_run),
            row_keys=row_keys,
            settings=settings,
        )

    @property
    def measured(self) -> int:
        """Checkpoints noted so far."""
        return len(self._measured)

    def write(self, skipped: Mapping[str, str], pending: Sequence[str]) -> Manifest:
        """Write the manifest and the texts of the problems; returns the manifest."""
        session, previous = self.session, self.previous
        # In rounds, a later checkpoint is there already on fewer problems, and one may be lost midway.
        pending = [name for name in pending if name not in self._measured]
        measured = [found for name, found in self._measured.items() if name not in skipped]
        new = {
            name: _describe(problems, session.ends.max_new_tokens(problems.set), self._most_measured(name))
            for name, problems in session.problems.items()
        }
        new = {name: self._grouped(name, described) for name, described in new.items()}
        manifest = Manifest(
            created=(previous.created if previous else "") or datetime.now(UTC).isoformat(timespec="seconds"),
            versions=_versions(LIBRARIES),
            python=platform.python_version(),
            temperatures=session.row_keys.temperatures,
            device=", ".join(map(str, session.host.devices)),
            dtype=str(session.host.dtype).removeprefix("torch."),
            quantization=self._quantization,
            engine=self._engine(),
            config=session.options.to_dict(),
            axes=tuple(sorted({*(previous.axes if previous else ()), *session.options.axes})),
            splits={**self._kept_splits(new), **new},
            base=self._base,
            checkpoints=tuple(sorted(measured, key=lambda found: found.step)),
            cut={
                item.axis: {"asked": item.cut_from, "measured": item.n, "why": item.why_not}
                for item in self.plan.axes
                if item.cut_from is not None
            },
            leaves_out_chat_template=self._leaves_out_chat_template,
            base_left_out=self._base_left_out(),
            left_out=self._left_out(),
            until_decided=self.until_decided,
            skipped=dict(skipped),
            gone=tuple(self._gone()),
            pending=tuple(pending),
            carried=tuple(self._earlier[name] for name in pending if name in self._earlier),
        )
        self._write_texts()
        write_contamination(session.store, session.overlap.contamination)
        write_manifest(session.store, manifest)
        # Last: what stops an audit before leaves what the last one concluded.
        session.store.remove_record("verdict")
        return manifest

    @cached_property
    def _quantization(self) -> str:
        """Of the last checkpoint whose configuration can be read; another is skipped, with that reason."""
        for checkpoint in reversed(self.session.run.checkpoints):
            with suppress(CheckpointError):
                return self.session.host.quantization(checkpoint)
        return ""

    @cached_property
    def _leaves_out_chat_template(self) -> bool:
        session = self.session
        val = session.problems["val"].examples
        return leaves_out_chat_template(session.run, session.options.template, session.tokenizer, val)

    def _grouped(self, name: str, described: MeasuredSet) -> MeasuredSet:
        """A set with the groups that its problems fall into."""
        grouping = self.session.overlap.groupings.get(name)
        labels = None if grouping is None else grouping.labels_of(described.example_ids)
        if grouping is None or labels is None:
            return described
        return replace(described, groups=labels, grouped_by=grouping.by)

    def _most_measured(self, name: str) -> int:
        """Most problems of a set that any job of this sitting or the last was done on."""
        n = len(self.session.problems[name].examples)
        limits = {job: limit for job, limit in self.plan.limits.items() if job.data == name}
        stopping = self.until_decided or {}
        if name == "val" and stopping.get("decided"):
            core = set(self.plan.core)
            limits = {job: stopping["problems"] if job in core else limit for job, limit in limits.items()}
        found = [n if limit is None else min(limit, n) for limit in limits.values()]
        before = self.previous.splits.get(name) if self.previous else None
        if before is not None and before.fingerprint == self.session.problems[name].fingerprint:
            found.append(before.measured)
        return max(found, default=n)

    def _row_keys(self, checkpoint: Checkpoint, jobs: Iterable[Job]) -> dict[str, str]:
        return {str(job): self.session.row_keys.of(job, checkpoint) for job in jobs}

    def _settings(self, jobs: Iterable[Job]) -> dict[str, str]:
        return {str(job): settings_key(self.session.row_keys.settings(job)) for job in jobs}

    def _engine(self) -> Mapping[str, Any] | None:
        """How answers were asked for where a server wrote them, by this sitting or the last one."""
        if self.session.engine.local:
            return None
        return self.session.engine.describe() or (self.previous.engine if self.previous else None)

    def _base_left_out(self) -> str | None:
        """Why the base model was not measured, or not all of it, in this sitting or the last that asked."""
        known, base = all_axes(), self.session.base
        before = self.previous
        if not any(known[item.axis].uses_base and item.jobs for item in self.plan.axes):
            return before.base_left_out if before else None
        if base.checkpoint is None:
            if before is not None and (before.base or before.base_left_out):
                return before.base_left_out
            return "no file of the run names it; pass --base-model"
        return base.misfit or (base.unasked and f"it is not asked: {base.unasked}")

    def _write_texts(self) -> None:
        """Save the problems' texts, for what is said about them later without a model."""
        if self._texts_written != set(self.session.problems):
            table = pl.concat([_texts(name, problems) for name, problems in self.session.problems.items()])
            self.session.store.write_texts(table)
            self._texts_written = set(self.session.problems)

    def _kept_splits(self, new: Mapping[str, MeasuredSet]) -> dict[str, MeasuredSet]:
        """Sets of an earlier sitting; perturbations of another val and answers to it are not this val's.

        Nor are those that another grader judged, or by other answers: only this sitting's are graded again.
        """
        earlier = dict(self.previous.splits) if self.previous else {}
        val, now = earlier.get("val"), new["val"]
        if val is not None and (
            (val.fingerprint, val.grader) != (now.fingerprint, now.grader)
            or val.answers not in (None, now.answers)
        ):
            of_val = ("val", "answers", f"{BASE_ANSWERS}val")
            earlier = {name: found for name, found in earlier.items() if found.set not in of_val}
        return earlier

    def _left_out(self) -> dict[str, tuple[str, ...]]:
        """Ids that no reader sees, those of an earlier sitting's other sets too."""
        earlier = self.previous.left_out if self.previous else {}
        kept = {name: ids for name, ids in earlier.items() if name not in self.session.problems}
        return {**kept, **self.session.overlap.left_out}

    def _gone(self) -> list[str]:
        """Checkpoints that an earlier sitting measured and that are no longer in the run's folder."""
        here = {item.name for item in self.session.run.checkpoints} | set(self.session.run.skipped)
        known = dict.fromkeys([*(self.previous.gone if self.previous else ()), *self._earlier])
        return [name for name in known if name not in here]


def _beside(
    known: MeasuredModel | None, row_keys: Mapping[str, str], settings: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Keys and settings of the jobs done now, beside those of an earlier sitting that may meet them.

    Rows of one kind meet in a figure, as the likelihoods of val and train, or answers to a problem in two
    wordings. So where one is made under other settings now, as another precision, none of before is kept.

    Args:
        known: of the earlier sitting, of the same weights.
        row_keys: of the jobs done now.
        settings: of the same.
    """
    if known is None:
        return {**row_keys}, {**settings}
    made_anew = {kind_of(job) for job, key in row_keys.items() if known.row_keys.get(job, key) != key}
    kept = {job for job in known.row_keys if kind_of(job) not in made_anew.intersection(MEET)}
    return (
        {**{job: key for job, key in known.row_keys.items() if job in kept}, **row_keys},
        {**{job: key for job, key in known.settings.items() if job in kept}, **settings},
    )


def _describe(problems: Problems, max_new_tokens: int, most_measured: int) -> MeasuredSet:
    return MeasuredSet(
        set=problems.set,
        variant=problems.variant,
        source=problems.source,
        shape=problems.shape,
        grader=problems.grader,
        n=len(problems.examples),
        most_measured=most_measured,
        fingerprint=problems.fingerprint,
        answers=settings_key({"answers": [example.answer for example in problems.examples]}),
        example_ids=tuple(example.id for example in problems.examples),
        example_shas=tuple(problems.shas),
        max_new_tokens=max_new_tokens,
    )


def _texts(name: str, problems: Problems) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "set": [name] * len(problems.examples),
            "example_id": [example.id for example in problems.examples],
            "prompt": [item.prompt_text for item in problems.rendered],
            "completion": [item.completion_text for item in problems.rendered],
            "answer": [example.answer for example in problems.examples],
        },
        schema_overrides={"answer": pl.String},
    )


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {package: _version(package) for package in packages}
    return {package: known for package, known in found.items() if known is not None}


@cache
def _version(package: str) -> str | None:
    """Read once: a manifest is written after every checkpoint."""
    try:
        return version(package)
    except ImportError:
        return None
