"""Measure every checkpoint of a run: the resumable loop that joins data, models and axes.

The loop is plain: for each checkpoint, for each axis, find the rows that are missing, load the
model once if there are any, and save each batch as it is done. Batches are planned over all
examples before anything is skipped, so that a killed audit continues with the very same batches.
"""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from overmem.auditing import checkpoints as discovery
from overmem.auditing.batches import plan_batches
from overmem.errors import CheckpointError, DataError, OvermemError, RunError
from overmem.records import Checkpoint, Example, Run
from overmem.store import MANIFEST_SCHEMA, Rows, Store, settings_key
from overmem.tasks import sources
from overmem.tasks.grade import check_gradable, grade
from overmem.tasks.template import (
    Rendered,
    Template,
    check_all_fit,
    check_vocab,
    data_fingerprint,
    fingerprint,
    preview,
    render,
)
from overmem.training.recipe import RECIPE_NAME, check_recipe

AXES = ("likelihood", "accuracy")

Progress = Callable[[str, str, int, int], None]
"""Called with (checkpoint, axis, examples done, examples in all) after every batch."""


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """What to measure and how; saved, resolved, in the manifest."""

    val: str
    """Source of the problems that decide (see `overmem.tasks.sources`)."""
    train: str | None = None
    """Source of the training data, of which a subset is scored to show memorization."""
    axes: tuple[str, ...] = AXES
    limit: int | None = None
    """Most problems of each split, drawn by `seed`; a larger limit keeps the smaller one's problems."""
    seed: int = 0
    grader: str | None = None
    """Overrides the task's own grader."""
    template: Template = field(default_factory=Template)
    max_new_tokens: int | None = None
    """Longest answer; None takes twice the longest reference completion, at least 64."""
    base_model: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch_tokens: int = 8192
    """Most tokens of a batch, padding included."""
    allow_pickle: bool = False
    trust_remote_code: bool = False


@dataclass(frozen=True)
class Audit:
    """A measured run: where its artifacts are and what they describe."""

    store: Store
    manifest: Mapping[str, Any]
    skipped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitData:
    """The examples of one split as the model sees them."""

    name: str
    source: str
    grader: str
    shape: str
    examples: tuple[Example, ...]
    rendered: tuple[Rendered, ...]
    shas: tuple[str, ...]
    """Of each example's tokens; part of the identity of its rows."""
    fingerprint: str
    """Of all of them together."""
    longest_completion: int
    """Tokens of the longest reference; of the whole val split, before subsampling."""

    def graded(self, text: str, example: Example) -> dict[str, Any]:
        """The columns that the grader fills."""
        found = grade(self.grader, text, example)
        return {"grader": self.grader, "answer": found.answer, "correct": float(found.correct)}


def audit(
    run: Run | str | Path,
    *,
    val: str | None = None,
    train: str | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Audit:
    """Measure every checkpoint of a run and save the rows; what is already saved is not computed again.

    Args:
        run: a run or its folder.
        val: source of the validation problems; by default what the run's own recipe names.
        train: source of the training data; likewise.
        out: artifact folder; `RUN/overmem` by default.
        progress: told after every batch.
        **options: the other fields of `AuditConfig`.

    Raises:
        OvermemError: bad run, data, grader or option; nothing is half-written.
    """
    if not isinstance(run, Run):
        run = discovery.open_run(run, allow_pickle=options.get("allow_pickle", False))
    config = resolve_config(run, val=val, train=train, **options)
    return measure(run, config, out=out, progress=progress)


def resolve_config(run: Run, *, val: str | None, train: str | None, **options: Any) -> AuditConfig:
    """Fill in what the run's own recipe knows; what is given explicitly wins.

    Raises:
        RunError: no validation data is named anywhere, or an axis is unknown.
    """
    recipe = read_recipe(run.path)
    data = recipe.get("data", {})
    val, train = val or data.get("val"), train or data.get("train")
    if val is None:
        raise RunError(
            "no validation data",
            expected="--val FILE",
            next_step="name the problems to measure on with --val",
        )
    unknown = set(options.get("axes") or ()) - set(AXES)
    if unknown:
        raise RunError("unknown axis", got=", ".join(sorted(unknown)), expected=", ".join(AXES))
    if options.get("limit") is not None and options["limit"] < 1:
        raise RunError("limit must be at least 1", got=options["limit"])
    if options.get("template") is None:
        options["template"] = resolve_template(run, None, None)
    return AuditConfig(val=val, train=train, **{k: v for k, v in options.items() if v is not None})


def resolve_template(run: Run, kind: str | None, prompt_format: str | None) -> Template:
    """The recipe's template, with what was given on the command line in place of its fields."""
    given: dict[str, Any] = {"kind": kind, "prompt_format": prompt_format}
    fields = read_recipe(run.path).get("template", {})
    return Template(**fields | {name: value for name, value in given.items() if value is not None})


def read_recipe(run_path: Path) -> dict[str, Any]:
    """The resolved recipe that `overmem train` left beside the run, or an empty dict."""
    path = run_path / RECIPE_NAME
    if not path.is_file():
        return {}
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
        return dict(check_recipe(written, str(path)).model_dump(mode="json"))
    except (yaml.YAMLError, OvermemError):
        # Another tool's file of the same name.
        return {}


def load_split(
    name: str, source: str, config: AuditConfig, tokenizer: Any, limit: int | None = None
) -> SplitData:
    """Read, subsample and render the examples of one split."""
    data = sources.load_examples(source)
    examples = subsample(data.examples, limit, config.seed)
    # Only val is answered, so only its longest reference matters; training data may be huge.
    seen = data.examples if name == "val" else examples
    everything = {example.id: render(example, tokenizer, config.template) for example in seen}
    rendered = tuple(everything[example.id] for example in examples)
    return SplitData(
        name=name,
        source=source,
        grader=config.grader or data.grader,
        shape=data.shape,
        examples=examples,
        rendered=rendered,
        shas=tuple(fingerprint(item) for item in rendered),
        fingerprint=data_fingerprint(rendered),
        longest_completion=max(len(item.completion_ids) for item in everything.values()),
    )


def subsample(examples: Sequence[Example], limit: int | None, seed: int) -> tuple[Example, ...]:
    """A random subset in the data's own order; subsets of one seed are nested."""
    if limit is None or limit >= len(examples):
        return tuple(examples)
    order = sorted(
        range(len(examples)), key=lambda i: hashlib.sha256(f"{seed}/{examples[i].id}".encode()).digest()
    )
    return tuple(examples[i] for i in sorted(order[:limit]))


def measure(
    run: Run, config: AuditConfig, *, out: Path | None = None, progress: Progress | None = None
) -> Audit:
    """`audit` with its configuration resolved.

    Raises:
        OvermemError: bad data or models; rows that were saved stay saved.
    """
    store = Store.of_run(run.path, out)
    host = _host(run, config)
    tokenizer = host.tokenizer()
    splits = load_splits(config, tokenizer)
    session = _Session(host, tokenizer, splits, config, store, progress or (lambda *_: None))
    previous = store.read_record("manifest", MANIFEST_SCHEMA) if store.has_record("manifest") else {}
    records: list[dict[str, Any]] = []
    skipped = dict(run.skipped)
    store.remove_record("verdict")
    for number, checkpoint in enumerate(run.checkpoints, start=1):
        try:
            records.append(session.measure(checkpoint))
        except CheckpointError as error:
            skipped[checkpoint.name] = str(error)
            continue
        pending = [later.name for later in run.checkpoints[number:]]
        store.write_record("manifest", _manifest(session, records, skipped, previous, pending))
    if not records:
        details = "\n".join(f"  - {name}: {reason}" for name, reason in skipped.items())
        raise RunError(f"no checkpoint in {run.path} could be measured\n{details}")
    manifest = _manifest(session, records, skipped, previous, [])
    store.write_record("manifest", manifest)
    return Audit(store, manifest, skipped)


def show_prompt(run: Run, config: AuditConfig) -> str:
    """The first val example exactly as the model sees it, and what the data were recognised as."""
    tokenizer = _host(run, config).tokenizer()
    data = sources.load_examples(config.val)
    first = render(data.examples[0], tokenizer, config.template)
    return f"{config.val}: {data.shape}, grader {config.grader or data.grader}\n\n{preview(first)}"


def _host(run: Run, config: AuditConfig) -> Any:
    from overmem.auditing.models import ModelHost, choose_device, choose_dtype

    device = choose_device(config.device)
    return ModelHost(
        run,
        device=device,
        dtype=choose_dtype(config.dtype, device),
        base_model=config.base_model,
        trust_remote_code=config.trust_remote_code,
        allow_pickle=config.allow_pickle,
    )


def load_splits(config: AuditConfig, tokenizer: Any) -> dict[str, SplitData]:
    """The val split, and as many training examples as val has, when training data are named."""
    splits = {"val": load_split("val", config.val, config, tokenizer, config.limit)}
    if config.train is not None:
        n_val = len(splits["val"].examples)
        splits["train"] = load_split("train", config.train, config, tokenizer, n_val)
    if "accuracy" in config.axes:
        check_gradable(splits["val"].grader, splits["val"].examples)
    return splits


@dataclass
class _Session:
    """One audit under way."""

    host: Any
    tokenizer: Any
    splits: dict[str, SplitData]
    config: AuditConfig
    store: Store
    progress: Progress
    checked: bool = False
    _current: Any = None
    _loaded: str | None = None
    _bases: dict[str, str] = field(default_factory=dict)

    def measure(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Compute the rows that are missing for one checkpoint; the manifest's entry for it."""
        weights = self._fingerprint(checkpoint)
        keys: dict[str, str] = {}
        jobs: list[tuple[Rows, str, str, Callable[..., list[dict[str, Any]]]]] = []
        if "likelihood" in self.config.axes:
            keys["likelihood"] = settings_key({"weights": weights, **self._likelihood_settings()})
            jobs += [("likelihood", keys["likelihood"], name, self._score) for name in self.splits]
        if "accuracy" in self.config.axes and self.splits["val"].grader != "none":
            keys["generations"] = settings_key({"weights": weights, **self._generation_settings()})
            self._regrade(checkpoint, keys["generations"])
            jobs.append(("generations", keys["generations"], "val", self._generate))
        for rows, key, split_name, compute in jobs:
            self._fill(checkpoint, rows, key, self.splits[split_name], compute)
        for rows in {job[0] for job in jobs}:
            self.store.fold_parts(checkpoint.name, rows)
        return {
            "name": checkpoint.name,
            "step": checkpoint.step,
            "epoch": checkpoint.epoch,
            "kind": checkpoint.kind,
            "weights": weights,
            "row_keys": keys,
        }

    def _fill(
        self,
        checkpoint: Checkpoint,
        rows: Rows,
        key: str,
        split: SplitData,
        compute: Callable[..., list[dict[str, Any]]],
    ) -> None:
        table = self.store.read_rows(checkpoint.name, rows, key, columns=())
        table = table.filter(pl.col("split") == split.name)
        there = set(zip(table["example_id"], table["example_sha"], strict=True))
        names = [(e.id, sha) for e, sha in zip(split.examples, split.shas, strict=True)]
        done = sum(name in there for name in names)
        axis = f"{rows} {split.name}"
        self.progress(checkpoint.name, axis, done, len(names))
        lengths = [self._length(rows, item) for item in split.rendered]
        for planned in plan_batches(lengths, self.config.batch_tokens):
            batch = [index for index in planned if names[index] not in there]
            if not batch:
                continue
            found = compute(self._model(checkpoint), split, batch)
            identity = {"row_key": key, "split": split.name}
            self.store.append_rows(
                checkpoint.name,
                rows,
                [
                    {**identity, "example_id": names[i][0], "example_sha": names[i][1], **row}
                    for i, row in zip(batch, found, strict=True)
                ],
            )
            done += len(batch)
            self.progress(checkpoint.name, axis, done, len(names))

    def _model(self, checkpoint: Checkpoint) -> Any:
        from overmem.auditing.models import context_length, embedding_rows

        if self._loaded != checkpoint.name:
            # Let go of the last model before the next is loaded, or both are in memory.
            self._current, self._loaded = None, None
            self._current = self.host.load(checkpoint)
            self._loaded = checkpoint.name
        if not self.checked:
            for split in self.splits.values():
                check_vocab(split.rendered, embedding_rows(self._current))
                check_all_fit(split.rendered, context_length(self._current))
            if "accuracy" in self.config.axes:
                self._check_answers_fit(context_length(self._current))
            self.checked = True
        return self._current

    def _check_answers_fit(self, context: int | None) -> None:
        longest = max(self.splits["val"].rendered, key=lambda item: len(item.prompt_ids))
        needed = len(longest.prompt_ids) + self.max_new_tokens()
        if context is not None and needed > context:
            raise DataError(
                f"the answer to example `{longest.example_id}` may not fit the context",
                got=f"{len(longest.prompt_ids)} prompt tokens and up to {self.max_new_tokens()} new ones",
                expected=f"at most {context} in all",
                next_step=f"pass --max-new-tokens {max(1, context - len(longest.prompt_ids))} or less",
            )

    def _score(self, model: Any, split: SplitData, batch: Sequence[int]) -> list[dict[str, Any]]:
        from overmem.auditing.score import score_batch

        scores = score_batch(model, [split.rendered[i] for i in batch], self._pad_id())
        rows = [score.to_row() for score in scores]
        if not all(math.isfinite(row["nll_nats"]) for row in rows):
            raise CheckpointError(
                f"{self._loaded} gives NaN or infinite log-probabilities",
                got=f"dtype {self.host.dtype}",
                next_step="audit with --dtype float32",
            )
        return rows

    def _generate(self, model: Any, split: SplitData, batch: Sequence[int]) -> list[dict[str, Any]]:
        from overmem.auditing.generate import generate_greedy, stop_ids

        answers = generate_greedy(
            model,
            [split.rendered[i].prompt_ids for i in batch],
            self.tokenizer,
            stops=stop_ids(model, self.tokenizer, self.end_of_completion),
            max_new_tokens=self.max_new_tokens(),
        )
        rows = []
        for index, answer in zip(batch, answers, strict=True):
            graded = split.graded(answer.text, split.examples[index])
            rows.append({"variant": "clean", "sample": 0, "temperature": 0.0, **graded, **answer.__dict__})
        return rows

    def _regrade(self, checkpoint: Checkpoint, key: str) -> None:
        """Grade saved answers again, without the model: grader or answers may have changed."""
        split = self.splits["val"]
        examples = {(e.id, sha): e for e, sha in zip(split.examples, split.shas, strict=True)}

        def again(row: dict[str, Any]) -> dict[str, Any]:
            example = examples.get((row["example_id"], row["example_sha"]))
            if row["row_key"] != key or example is None:
                return row
            return row | split.graded(row["text"], example)

        self.store.update_rows(checkpoint.name, "generations", again)

    def max_new_tokens(self) -> int:
        """Longest answer allowed."""
        if self.config.max_new_tokens is not None:
            return self.config.max_new_tokens
        return max(64, 2 * self.splits["val"].longest_completion)

    def _length(self, rows: Rows, item: Rendered) -> int:
        if rows == "generations":
            return len(item.prompt_ids) + self.max_new_tokens()
        return len(item.prompt_ids) + len(item.completion_ids)

    def _pad_id(self) -> int:
        return self.tokenizer.pad_token_id or self.tokenizer.eos_token_id or 0

    @cached_property
    def end_of_completion(self) -> int | None:
        """The template's end-of-turn token: the special token that ends every completion.

        Templates such as ChatML write a newline after it, which is not the end of the turn.
        """
        added = {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        special = added | set(self.tokenizer.all_special_ids)
        ends = {self._last_special(item.completion_ids, special) for item in self.splits["val"].rendered}
        return ends.pop() if len(ends) == 1 else None

    def _last_special(self, ids: Sequence[int], special: set[int]) -> int | None:
        for token in reversed(ids):
            if token in special:
                return token
            if self.tokenizer.decode([token]).strip():
                return None
        return None

    def _likelihood_settings(self) -> dict[str, Any]:
        from overmem.auditing.score import TEMPERATURES

        return {
            "axis": "likelihood/1",
            "dtype": str(self.host.dtype),
            "attention": self.host.attention,
            "temperatures": TEMPERATURES,
        }

    def _generation_settings(self) -> dict[str, Any]:
        return {
            "axis": "generations/1",
            "dtype": str(self.host.dtype),
            "attention": self.host.attention,
            "max_new_tokens": self.max_new_tokens(),
            "temperature": 0.0,
            "end_of_completion": self.end_of_completion,
        }

    def _fingerprint(self, checkpoint: Checkpoint) -> str:
        own = discovery.fingerprint_weights(checkpoint.path)
        if checkpoint.kind == "full":
            return own
        return hashlib.sha256(f"{own}/{self._base_fingerprint(checkpoint)}".encode()).hexdigest()

    def _base_fingerprint(self, checkpoint: Checkpoint) -> str:
        base = self.host.base_of(checkpoint)
        if base not in self._bases:
            folder = Path(base)
            self._bases[base] = discovery.fingerprint_weights(folder) if folder.is_dir() else base
        return self._bases[base]


def _manifest(
    session: _Session,
    records: list[dict[str, Any]],
    skipped: Mapping[str, str],
    previous: Mapping[str, Any],
    pending: Sequence[str],
) -> dict[str, Any]:
    from overmem.auditing.score import TEMPERATURES

    config = session.config
    return {
        "schema": MANIFEST_SCHEMA,
        "created": previous.get("created") or datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(
            ("overmem", "torch", "transformers", "peft", "trl", "tokenizers", "math-verify", "numpy")
        ),
        "python": platform.python_version(),
        "temperatures": list(TEMPERATURES),
        "device": str(session.host.device),
        "dtype": str(session.host.dtype).removeprefix("torch."),
        "config": {
            **{k: v for k, v in config.__dict__.items() if k != "template"},
            "axes": list(config.axes),
            "template": dict(config.template.__dict__),
            "max_new_tokens": session.max_new_tokens(),
        },
        "splits": {
            name: {
                "source": split.source,
                "shape": split.shape,
                "grader": split.grader,
                "n": len(split.examples),
                "fingerprint": split.fingerprint,
                "example_ids": [example.id for example in split.examples],
                "example_shas": list(split.shas),
            }
            for name, split in session.splits.items()
        },
        "checkpoints": records,
        "skipped": dict(skipped),
        "pending": list(pending),
    }


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except ImportError:
            continue
    return found
