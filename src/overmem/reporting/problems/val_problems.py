"""Every val problem with its reference and the greedy answer of each checkpoint, to be read one by one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from overmem.artifacts.jobs import VAL_ANSWERS, VAL_SCORES, Job, on_base
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.manifest_parts.model_rows import BaseRows, MeasuredModel
from overmem.artifacts.rows import read_job
from overmem.artifacts.store import Store
from overmem.contamination.policy import leaked_ids
from overmem.contamination.record import Contamination
from overmem.records import finite_or_none
from overmem.reporting.problems.packed import longest_kept, pack, shortened, without_end

TEXT_BUDGET = 8_000_000
"""Characters of prompts, references and answers in a page; longer ones are shortened until all fit."""

OVERLAPS = {
    "copy": "Training had this problem word for word",
    "reworded": "Training had this problem in other words",
    "renumbered": "Training had this problem with other numbers or names",
    "followed": "Training may have had this problem: its NLL moved with that of the training rows",
}
"""What is said of a problem that training had, by kind."""


@dataclass(frozen=True, kw_only=True)
class ValProblems:
    """The list, and what is said above it."""

    n: int
    n_left_out: int
    """Problems that training had and that no figure of the page rests on."""
    grouped: bool
    graded: bool
    models: tuple[str, ...]
    """Names to choose from: the base model where it was measured, then the checkpoints."""
    longest: int | None
    """Characters that were kept of a text; None where all are whole."""
    packed: str


@dataclass(frozen=True, kw_only=True)
class _Answered:
    """What one model wrote and how likely it finds the references, by problem."""

    name: str
    text: Mapping[str, str]
    correct: Mapping[str, float | None]
    nll: Mapping[str, float | None]
    """Nats per token of the reference."""


def val_problems(
    store: Store,
    manifest: Manifest,
    contamination: Contamination | None,
    special: Collection[str],
    base: str | None,
) -> ValProblems | None:
    """Every val problem that has a text, in the order of the set.

    Args:
        store: the run's artifacts.
        manifest: that describes them.
        contamination: what training had of val, if it was compared.
        special: special tokens of the tokenizer, which end a reference and are no part of it.
        base: what the base model is called in the list; None leaves it out.

    Returns:
        None where no answers or no texts were kept.

    Raises:
        ArtifactError: rows are damaged.
    """
    whole = manifest.with_all_problems()
    models = [_answered(store, whole, item.name, item) for item in manifest.checkpoints]
    if base is not None and manifest.base is not None:
        models.insert(0, _answered(store, whole, base, manifest.base))
    models = [model for model in models if model.text or model.nll]
    texts = {
        row["example_id"]: row for row in store.read_texts().iter_rows(named=True) if row["set"] == "val"
    }
    measured = {name for model in models for name in (*model.text, *model.nll)}
    ids = [name for name in manifest.val.example_ids if name in texts and name in measured]
    if not ids:
        return None
    written = {name: dict.fromkeys(model.text.get(name, "") for model in models) for name in ids}
    kept = [
        (texts[name]["prompt"] or "", without_end(texts[name]["completion"] or "", special)) for name in ids
    ]
    lengths = [len(text) for pair in kept for text in pair]
    lengths += [len(text) for answers in written.values() for text in answers]
    longest = longest_kept(lengths, TEXT_BUDGET)
    overlap = leaked_ids(contamination, "val", strict=True) if contamination is not None else {}
    left_out, groups = set(manifest.left_out_of("val")), manifest.groups_of("val")
    sizes = {label: list(groups.values()).count(label) for label in set(groups.values())}
    rows = [
        {
            "id": name,
            "prompt": shortened(prompt.strip(), longest),
            "reference": shortened(reference, longest),
            "answer": texts[name]["answer"],
            "group": groups[name] if sizes.get(groups.get(name, ""), 0) > 1 else None,
            "overlap": OVERLAPS.get(overlap.get(name, "")),
            "out": name in left_out,
            **_by_model(name, reference, list(written[name]), models, longest),
        }
        for name, (prompt, reference) in zip(ids, kept, strict=True)
    ]
    return ValProblems(
        n=len(ids),
        n_left_out=len(left_out & set(ids)),
        grouped=any(row["group"] for row in rows),
        graded=any(value is not None for row in rows for value in row["right"]),
        models=tuple(model.name for model in models),
        longest=longest if max(lengths) > longest else None,
        packed=pack({"models": [model.name for model in models], "rows": rows}),
    )


def _by_model(
    name: str, reference: str, written: Sequence[str], models: Sequence[_Answered], longest: int
) -> dict[str, Any]:
    """The different answers to a problem, and for each model: which it gave, its grade, its NLL."""
    return {
        "texts": [shortened(text.strip(), longest) for text in written],
        "same": [bool(text.strip()) and text.split() == reference.split() for text in written],
        "at": [written.index(model.text[name]) if name in model.text else None for model in models],
        "right": [model.correct.get(name) for model in models],
        "nll": [model.nll.get(name) for model in models],
    }


def _answered(store: Store, manifest: Manifest, name: str, model: MeasuredModel) -> _Answered:
    answers = _rows(store, manifest, model, VAL_ANSWERS, ("text", "correct"))
    scores = _rows(store, manifest, model, VAL_SCORES, ("n_tokens", "nll_nats"))
    nll = scores.with_columns(pl.col("nll_nats") / pl.col("n_tokens"))
    return _Answered(
        name=name,
        text=dict(answers.select("example_id", "text").iter_rows()),
        correct={i: _rounded(x, 2) for i, x in answers.select("example_id", "correct").iter_rows()},
        nll={i: _rounded(x, 3) for i, x in nll.select("example_id", "nll_nats").iter_rows()},
    )


def _rows(
    store: Store, manifest: Manifest, model: MeasuredModel, job: Job, columns: Sequence[str]
) -> pl.DataFrame:
    """The rows of a job; none where it was not done."""
    saved = on_base(job) if isinstance(model, BaseRows) else job
    if not model.has(saved):
        return pl.DataFrame(schema={"example_id": pl.String} | dict.fromkeys(columns, pl.Float64))
    return read_job(store, manifest, model, saved, columns)


def _rounded(value: float | None, digits: int) -> float | None:
    known = None if value is None else finite_or_none(value)
    return None if known is None else round(known, digits)
