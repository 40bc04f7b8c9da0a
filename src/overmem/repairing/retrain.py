"""Where no merge helps, another fine-tune may: when to say so, and the recipe to run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overmem.artifacts.files import write_text_atomic
from overmem.artifacts.manifest import Manifest
from overmem.auditing.options import saved_options
from overmem.auditing.resolve import read_recipe
from overmem.boundary import real_path
from overmem.checkpoints import ADAPTER_CONFIG, read_trainer_state
from overmem.models.base_models import named_base
from overmem.parsing import ParseError, parse_yaml, read_json_or_empty
from overmem.recipe.reading import check_recipe, dump_recipe
from overmem.records import CheckpointSummary, Retraining, Run, Verdict
from overmem.rendering.template import Template

NOISE = 5.0
"""NEFTune's alpha (arXiv 2310.05914): of what can be done while training it did best in our bake-off, where
MAR, the paper's remedy, cost accuracy (docs/losses.md)."""
INFLATED = {"over-memorized", "overfit"}
TRL_RATE, TRL_EPOCHS = 2e-5, 3.0
"""What `trl.SFTConfig` trains with where a recipe says nothing; TRL need not be installed here."""
RATE_FACTOR = 0.5
"""Large learning rates make over-memorization worse (2508.04117 section 4)."""
KEPT = (
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "use_rslora",
)
"""Of another trainer's `LoraConfig`: what the method is, without where its base lies."""


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
    inflated = INFLATED & {peak.stage, peak.leaning}
    if inflated and peak.accuracy.value - chosen.accuracy.value > verdict.thresholds["accuracy_margin"]:
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
    run: Run, manifest: Manifest, verdict: Verdict, reasons: tuple[str, ...], path: Path
) -> Retraining:
    """Write the recipe of a gentler fine-tune: half the rate, no longer than needed, noise on the embeddings.

    Args:
        run: the fine-tune at hand.
        manifest: of its audit, which knows the data.
        verdict: says when perplexity was lowest.
        reasons: from `reasons_to_retrain`.
        path: YAML file to write. It gives no permission to run code that a file in the run's folder gave, and
            is not written where it would train by other code than the audit rendered by.
    """
    known = read_recipe(run.training_folder)
    written = known.model_dump(mode="json") if known else _from_trainer(run, manifest)
    if written is not None and written["data"]["val"] is None:
        written["data"]["val"] = saved_options(manifest).val
    if written is None or _renders_by_other_code(written, manifest):
        return Retraining(reasons=reasons, changes=(), recipe=None)
    training, changes = written["training"], []
    written["output"] = f"{real_path(run.path)}-retrained"
    rate = float(training.get("learning_rate", TRL_RATE))
    training["learning_rate"] = rate * RATE_FACTOR
    changes.append(f"learning_rate: {rate:g} to {training['learning_rate']:g}")
    if not training.get("neftune_noise_alpha"):
        training["neftune_noise_alpha"] = NOISE
        changes.append(f"neftune_noise_alpha: none to {NOISE:g}")
    lowest = min(_trained(verdict), key=lambda point: point.nll_nats.value)
    if training.get("max_steps", -1) <= 0:
        training.setdefault("num_train_epochs", TRL_EPOCHS)
    for key, reached in (("num_train_epochs", lowest.epoch), ("max_steps", lowest.step)):
        present = training.get(key, -1)
        # Twice as long as it took: at half the rate it takes about as much longer.
        enough = None if reached is None else max(1, math.ceil(reached / RATE_FACTOR))
        if enough is not None and enough < present:
            training[key] = enough
            changes.append(f"{key}: {present:g} to {enough}")
    write_text_atomic(path, dump_recipe(check_recipe(written, str(path))))
    return Retraining(reasons=reasons, changes=tuple(changes), recipe=path)


def _renders_by_other_code(written: Mapping[str, Any], manifest: Manifest) -> bool:
    """Whether a recipe would train by code that was not consented to: `overmem train` asks no more."""
    template = Template(kind=written["template"]["kind"])
    return template.renderer is not None and template.kind != saved_options(manifest).template.kind


def _trained(verdict: Verdict) -> list[CheckpointSummary]:
    return [point for point in verdict.checkpoints if point.step > 0]


def _from_trainer(run: Run, manifest: Manifest) -> dict[str, Any] | None:
    """A recipe from what another trainer left behind; None when model, data or rate are not known."""
    last, options = run.checkpoints[-1], saved_options(manifest)
    states = [read_trainer_state(checkpoint.path) for checkpoint in run.checkpoints]
    # A final model at the root often has none.
    state: dict[str, Any] = next((state for state in reversed(states) if state), {})
    rates = [entry["learning_rate"] for entry in state.get("log_history", []) if "learning_rate" in entry]
    model = _base_model(run, manifest)
    if model is None or not options.train or not rates:
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
        "data": {"train": options.train, "val": options.val},
        "template": dict(options.template.__dict__),
        "loss": "nll",
        "training": training,
    }
    if last.kind == "adapter":
        adapter = read_json_or_empty(last.path / ADAPTER_CONFIG)
        method = "dora" if adapter.get("use_dora") else "lora"
        found |= {"method": method, "lora": {key: adapter[key] for key in KEPT if adapter.get(key)}}
    return found


def _base_model(run: Run, manifest: Manifest) -> str | None:
    """The model the fine-tune started from: as the audit was told, else as the run's own files say."""
    last = run.checkpoints[-1]
    if last.kind == "adapter":
        config = read_json_or_empty(last.path / ADAPTER_CONFIG)
        named = named_base(config, last.name) if config.get("base_model_name_or_path") else None
    else:
        named = (manifest.base.model if manifest.base else None) or _card(run.training_folder).get(
            "base_model"
        )
    return saved_options(manifest).base_model or named


def _card(folder: Path) -> dict[str, Any]:
    """The metadata of a folder's model card, which TRL writes; transformers saves no base model's name."""
    try:
        parts = (folder / "README.md").read_text(encoding="utf-8").split("---")
        found = parse_yaml(parts[1]) if len(parts) > 2 else None
    except (OSError, UnicodeDecodeError, ParseError):
        return {}
    return found if isinstance(found, dict) else {}
