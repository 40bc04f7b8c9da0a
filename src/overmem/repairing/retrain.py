"""Where no merge helps, another fine-tune may: when to say so, and the recipe to run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overmem.auditing.checkpoints import ADAPTER_CONFIG
from overmem.auditing.config import read_recipe
from overmem.records import Checkpoint, CheckpointSummary, Retraining, Run, Verdict
from overmem.store import write_text_atomic
from overmem.training.recipe import check_recipe, dump_recipe

LOSS = "mar"
"""The paper's remedy by training (2508.04117 eq. 2)."""
RATE_FACTOR = 0.5
"""Large learning rates make over-memorization worse (2508.04117 section 4)."""


def reasons_to_retrain(verdict: Verdict) -> tuple[str, ...]:
    """Why no checkpoint of this run, and so no average of them, is what one wants; empty if one is.

    Args:
        verdict: with stages and a recommendation.
    """
    points, shipped = _trained(verdict), verdict.recommended
    if not points or shipped is None:
        return ()
    peak = max(points, key=lambda point: point.accuracy.value)
    lowest = min(points, key=lambda point: point.nll_nats.value)
    chosen = next((point for point in points if point.name == shipped.name), points[0])
    reasons = []
    if peak.accuracy.value - chosen.accuracy.value > verdict.thresholds["accuracy_margin"]:
        gap = 100 * (peak.accuracy.value - chosen.accuracy.value)
        reasons.append(f"{chosen.name} is {gap:.1f} points below {peak.name}, whose perplexity is inflated")
    if all("fit" not in (point.stage, point.leaning) for point in points):
        reasons.append("no checkpoint is fit")
    if lowest is points[0] and points[-1].stage in ("over-memorized", "overfit"):
        reasons.append(
            f"perplexity was lowest at the first checkpoint kept, {lowest.name}, and rose from there"
        )
    return tuple(reasons)


def write_recipe(
    run: Run, manifest: Mapping[str, Any], verdict: Verdict, reasons: tuple[str, ...], path: Path
) -> Retraining:
    """Write the recipe of a gentler fine-tune: half the rate, no longer than needed, another loss.

    Args:
        run: the fine-tune at hand.
        manifest: of its audit, which knows the data.
        verdict: says when perplexity was lowest.
        reasons: from `reasons_to_retrain`.
        path: YAML file to write.
    """
    known = read_recipe(run.path)
    written = known.model_dump(mode="json") if known else _from_trainer(run, manifest)
    if written is None:
        return Retraining(reasons=reasons, changes=(), recipe=None)
    training = written["training"]
    changes = [f"loss: {written['loss']} to {LOSS}"]
    written |= {"loss": LOSS, "loss_options": {}, "output": f"{run.path}-retrained"}
    rate = training.get("learning_rate")
    if rate is not None:
        training["learning_rate"] = float(rate) * RATE_FACTOR
        changes.append(f"learning_rate: {float(rate):g} to {training['learning_rate']:g}")
    epochs, enough = training.get("num_train_epochs"), _enough_epochs(verdict)
    if epochs is not None and enough is not None and enough < float(epochs):
        training["num_train_epochs"] = enough
        changes.append(f"num_train_epochs: {epochs:g} to {enough}")
    write_text_atomic(path, dump_recipe(check_recipe(written, str(path))))
    return Retraining(reasons=reasons, changes=tuple(changes), recipe=path)


def _trained(verdict: Verdict) -> list[CheckpointSummary]:
    return [point for point in verdict.checkpoints if point.step > 0]


def _enough_epochs(verdict: Verdict) -> int | None:
    """Twice the epochs to the lowest perplexity: at half the rate it takes about as much longer."""
    lowest = min(_trained(verdict), key=lambda point: point.nll_nats.value)
    return None if lowest.epoch is None else max(1, math.ceil(lowest.epoch / RATE_FACTOR))


def _from_trainer(run: Run, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """A recipe from what another trainer left behind; None when model, data or rate are not known."""
    last, config = run.checkpoints[-1], manifest["config"]
    state = _read_json(last.path / "trainer_state.json")
    rates = [entry["learning_rate"] for entry in state.get("log_history", []) if "learning_rate" in entry]
    model = _base_model(last, manifest)
    if model is None or not config["train"] or not rates:
        return None
    training: dict[str, Any] = {"learning_rate": max(rates), "save_strategy": "epoch"}
    for theirs, ours in (
        ("num_train_epochs", "num_train_epochs"),
        ("train_batch_size", "per_device_train_batch_size"),
    ):
        if state.get(theirs):
            training[ours] = state[theirs]
    found: dict[str, Any] = {
        "model": {"name": model},
        "data": {"train": config["train"], "val": config["val"]},
        "template": config["template"],
        "loss": "nll",
        "training": training,
    }
    if last.kind == "adapter":
        adapter = _read_json(last.path / ADAPTER_CONFIG)
        kept = ("r", "lora_alpha", "lora_dropout", "target_modules", "use_rslora")
        found |= {"method": "lora", "lora": {key: adapter[key] for key in kept if key in adapter}}
    return found


def _base_model(last: Checkpoint, manifest: Mapping[str, Any]) -> str | None:
    if last.kind == "adapter":
        return _read_json(last.path / ADAPTER_CONFIG).get("base_model_name_or_path")
    return (manifest.get("base") or {}).get("model") or _read_json(last.path / "config.json").get(
        "_name_or_path"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
