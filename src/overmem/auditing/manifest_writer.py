"""The manifest: what was measured, on which data, with which versions; the map to the rows.

Axes may be measured in several sittings. What an earlier sitting measured stays in the manifest as
long as it describes the same weights, so a later one adds to it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import polars as pl

from overmem.artifacts.jobs import Job
from overmem.artifacts.store import MANIFEST_SCHEMA, settings_key
from overmem.auditing.planning.plan import Plan
from overmem.auditing.session import Session
from overmem.models.scoring import TEMPERATURES
from overmem.records import Checkpoint

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


class ManifestWriter:
    """Collects what has been measured and writes the manifest."""

    def __init__(self, session: Session, plan: Plan, previous: Mapping[str, Any]) -> None:
        """Start from the manifest of an earlier sitting, which may be empty."""
        self.session, self.plan, self.previous = session, plan, previous
        self._records: dict[str, dict[str, Any]] = {}
        self._texts_written: set[str] = set()
        self.until_decided: dict[str, Any] | None = None
        """How far an audit that stops once it is decided has come; None for another."""
        self._base: dict[str, Any] | None = previous.get("base")
        earlier = (*previous.get("checkpoints", ()), *previous.get("carried", ()))
        self._earlier = {record["name"]: record for record in earlier}

    def add(self, checkpoint: Checkpoint, jobs: Iterable[Job]) -> None:
        """Note the jobs done at a checkpoint."""
        weights = self.session.fingerprint(checkpoint)
        earlier = self._same_weights(checkpoint.name, weights)
        record = self._records.setdefault(
            checkpoint.name,
            {
                "name": checkpoint.name,
                "step": checkpoint.step,
                "epoch": checkpoint.epoch,
                "kind": checkpoint.kind,
                "weights": weights,
                "row_keys": dict(earlier.get("row_keys", {})),
                "settings": dict(earlier.get("settings", {})),
            },
        )
        for job in jobs:
            record["row_keys"][str(job)] = self.session.row_key(job, checkpoint)
            record["settings"][str(job)] = settings_key(self.session.settings(job))

    def add_base(self, base: Checkpoint, jobs: Iterable[Job]) -> None:
        """Note the jobs done on the base model."""
        self._base = {
            "name": base.name,
            "model": str(base.path),
            "weights": self.session.fingerprint(base),
            "row_keys": {str(job): self.session.row_key(job, base) for job in jobs},
            "settings": {str(job): settings_key(self.session.settings(job)) for job in jobs},
        }

    @property
    def measured(self) -> int:
        """Checkpoints noted so far."""
        return len(self._records)

    def write(self, skipped: Mapping[str, str], pending: Sequence[str]) -> dict[str, Any]:
        """Write the manifest and the texts of the problems; returns the manifest."""
        session = self.session
        # In rounds, a later checkpoint is there already on fewer problems, and one may be lost midway.
        pending = [name for name in pending if name not in self._records]
        records = [record for name, record in self._records.items() if name not in skipped]
        new = {
            name: {**_describe(problems), "max_new_tokens": session.max_new_tokens(problems.set)}
            for name, problems in session.problems.items()
        }
        splits = {**self._kept_splits(new), **new}
        config = {k: v for k, v in session.config.__dict__.items() if k != "template"}
        manifest = {
            "schema": MANIFEST_SCHEMA,
            "created": self.previous.get("created") or datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": _versions(LIBRARIES),
            "python": platform.python_version(),
            "temperatures": list(TEMPERATURES),
            "device": str(session.host.device),
            "dtype": str(session.host.dtype).removeprefix("torch."),
            **self._engine(),
            "config": {
                **config,
                "axes": list(config["axes"]),
                "ood": dict(config["ood"]),
                "references": dict(config["references"]),
                "variants": None if config["variants"] is None else dict(config["variants"]),
                "limits": dict(config["limits"]),
                "template": dict(session.config.template.__dict__),
            },
            "axes": sorted({*self.previous.get("axes", ()), *config["axes"]}),
            "splits": splits,
            "base": self._base,
            "checkpoints": sorted(records, key=lambda record: int(record["step"])),
            "cut": {
                item.axis: {"asked": item.cut_from, "measured": item.n, "why": item.why_not}
                for item in self.plan.axes
                if item.cut_from is not None
            },
            **({"leaves_out_chat_template": True} if session.leaves_out_chat_template else {}),
            **self._base_left_out(),
            **({} if self.until_decided is None else {"until_decided": self.until_decided}),
            "skipped": dict(skipped),
            "gone": self._gone(),
            "pending": list(pending),
            # What an earlier sitting measured on those, until this one gets to them.
            "carried": [self._earlier[name] for name in pending if name in self._earlier],
        }
        self._write_texts()
        session.store.write_record("manifest", manifest)
        return manifest

    def _engine(self) -> dict[str, Any]:
        """How answers were asked for where a server wrote them, by this sitting or the last one."""
        if self.session.engine.local:
            return {}
        said = self.session.engine.describe() or self.previous.get("engine")
        return {} if said is None else {"engine": said}

    def _base_left_out(self) -> dict[str, Any]:
        """Why privacy was measured without the base model, in this sitting or the last that measured it."""
        asked = any(item.axis == "privacy" and item.jobs for item in self.plan.axes)
        why = self.session.base_misfit if asked else self.previous.get("base_left_out")
        return {} if why is None else {"base_left_out": why}

    def _write_texts(self) -> None:
        """Save the problems' texts, for what is said about them later without a model."""
        if self._texts_written != set(self.session.problems):
            table = pl.concat([_texts(name, problems) for name, problems in self.session.problems.items()])
            self.session.store.write_texts(table)
            self._texts_written = set(self.session.problems)

    def _kept_splits(self, new: Mapping[str, Any]) -> dict[str, Any]:
        """Sets of an earlier sitting; perturbations of another val and answers to it are not this val's.

        Nor are those that another grader judged, or by other answers: only this sitting's are graded again.
        """
        earlier = dict(self.previous.get("splits", {}))
        val = earlier.get("val", {})
        if any(val[part] != new["val"][part] for part in ("fingerprint", "grader", "answers") if part in val):
            of_val = ("val", "answers")
            earlier = {name: split for name, split in earlier.items() if split["set"] not in of_val}
        return earlier

    def _same_weights(self, name: str, weights: str) -> dict[str, Any]:
        """What an earlier sitting noted of a checkpoint, unless it has other weights now."""
        earlier = self._earlier.get(name, {})
        return earlier if earlier.get("weights") == weights else {}

    def _gone(self) -> list[str]:
        """Checkpoints that an earlier sitting measured and that are no longer in the run's folder."""
        here = {item.name for item in self.session.run.checkpoints} | set(self.session.run.skipped)
        known = dict.fromkeys([*self.previous.get("gone", ()), *self._earlier])
        return [name for name in known if name not in here]


def _describe(problems: Any) -> dict[str, Any]:
    return {
        "set": problems.set,
        "variant": problems.variant,
        "source": problems.source,
        "shape": problems.shape,
        "grader": problems.grader,
        "n": len(problems.examples),
        "fingerprint": problems.fingerprint,
        "answers": settings_key({"answers": [example.answer for example in problems.examples]}),
        "example_ids": [example.id for example in problems.examples],
        "example_shas": list(problems.shas),
    }


def _texts(name: str, problems: Any) -> pl.DataFrame:
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
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except ImportError:
            continue
    return found
