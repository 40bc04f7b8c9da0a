"""What an audit measures and how: the options, with what the run's own recipe knows filled in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from overmem.axes import CORE, choose_axes
from overmem.errors import OvermemError, RunError
from overmem.models.engines.address import Address, check_template, parse_engine
from overmem.recipe.schema import RECIPE_NAME, Recipe, check_recipe
from overmem.records import Run
from overmem.tasks.template import Template

Half = Literal["search", "confirm"]


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """What to measure and how; saved, resolved, in the manifest."""

    val: str
    """Source of the problems that decide (see `overmem.tasks.sources`)."""
    train: str | None = None
    """Source of the training data, of which a subset is measured to show memorization."""
    ood: Mapping[str, str] = field(default_factory=dict)
    """Sources of other distributions, by name."""
    references: Mapping[str, str] = field(default_factory=dict)
    """Sources of references by other hands than the training data's, by name; scored, never asked."""
    variants: Mapping[str, str | None] | None = None
    """Perturbations of val by name; a source for a user's own file, None for a built-in one. By default
    all the built-in ones that can change these problems."""
    axes: tuple[str, ...] = CORE
    checkpoints: str = "key"
    """Where axes other than the core are measured: `key`, those a verdict compares (lowest perplexity,
    recommended, last); `all`; or names joined by commas."""
    limit: int | None = None
    """Most problems of each set, drawn by `seed`; a larger limit keeps the smaller one's problems."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """The same for single axes."""
    samples: int = 8
    """Answers to each problem for the axes that sample."""
    temperature: float = 0.8
    budget_minutes: float | None = None
    """Time to share out; what does not fit is measured on fewer problems."""
    until_decided: bool = False
    """Leave out the problems that would not change the verdict; see `overmem.auditing.until_decided`."""
    seed: int = 0
    half: Half | None = None
    """Only one random half of val and its perturbations; what is chosen on one is proved on the other."""
    grader: str | None = None
    """Overrides the task's own grader on val."""
    template: Template = field(default_factory=Template)
    max_new_tokens: int | None = None
    """Longest answer; None takes twice the longest reference completion of a set, at least 64."""
    base_model: str | None = None
    """The model the fine-tune started from: under the adapters, and to compare the loss with."""
    device: str = "auto"
    dtype: str = "auto"
    batch_tokens: int | None = None
    """Most tokens of a batch, padding included; None scores 8,192 at once and writes as many answers as the
    memory holds and the device is faster with."""
    engine: str = "hf"
    """Who writes the answers: `hf`, the model in memory; `vllm`, started by the audit; or `openai:URL`."""
    engine_model: str | None = None
    """What the server calls a checkpoint, with {name}, {path} or {step}; by default its path or its name."""
    engine_on_demand: bool = False
    """The server loads whatever model it is asked for, listed or not."""
    engine_concurrency: int = 16
    """Most requests at once."""
    engine_timeout_seconds: float = 600.0
    """Longest that one request may take."""
    allow_pickle: bool = False
    trust_remote_code: bool = False
    allow_code_execution: bool = False
    """The grader `code` may run what models write, in its sandbox (docs/code.md)."""

    def limit_of(self, axis: str) -> int | None:
        """Most problems for one axis."""
        return self.limits.get(axis, self.limit)


def saved_config(manifest: Mapping[str, Any]) -> AuditConfig:
    """The configuration that a manifest describes, with the axes and data of all its sittings.

    Leave to run code is not taken from a file: whoever goes on from it says so again.

    Args:
        manifest: of a finished audit.
    """
    saved, splits = dict(manifest["config"]), manifest["splits"].values()
    own = {
        split["variant"]: split["source"]
        for split in splits
        if split["variant"] != "clean" and split["source"] != saved["val"]
    }
    variants = saved["variants"]
    if own:
        built_in = [split["variant"] for split in splits if split["variant"] not in ("clean", *own)]
        variants = {**dict.fromkeys(variants or built_in), **own}
    found = {
        "template": Template(**saved["template"]),
        "axes": choose_axes(tuple(manifest["axes"])),
        "train": next((split["source"] for split in splits if split["set"] == "train"), None),
        "ood": _named_sources(manifest, "ood/"),
        "references": _named_sources(manifest, "references/"),
        "variants": variants,
        "allow_code_execution": False,
    }
    return AuditConfig(**saved | found)


def _named_sources(manifest: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """Sources of the sets whose name begins with a prefix, by what follows it."""
    return {
        split["set"].removeprefix(prefix): split["source"]
        for split in manifest["splits"].values()
        if split["set"].startswith(prefix)
    }


def resolve_config(run: Run, *, val: str | None, train: str | None, **options: Any) -> AuditConfig:
    """Fill in what the run's own recipe knows; what is given explicitly wins.

    Raises:
        RunError: no validation data is named anywhere, an unknown axis, or a number out of range.
    """
    recipe = read_recipe(run.path)
    data = recipe.model_dump(mode="json")["data"] if recipe else {}
    val, train = val or data.get("val"), train or data.get("train")
    if val is None:
        raise RunError(
            "no validation data",
            expected="--val FILE",
            next_step="name the problems to measure on with --val",
        )
    given = {key: value for key, value in options.items() if value is not None}
    asked = ("references",) if given.get("references") else ()
    for name in ("ood", "references"):
        given[name] = given.get(name) or data.get(name) or {}
    given["axes"] = choose_axes((*choose_axes(given.get("axes", CORE)), *asked))
    if set(given["axes"]) - set(CORE):
        # The core decides at which checkpoints the other axes are worth their time.
        given["axes"] = choose_axes((*CORE, *given["axes"]))
    given.setdefault("template", resolve_template(run, {}))
    config = AuditConfig(val=val, train=train, **given)
    _check(config)
    named = set() if config.checkpoints in ("key", "all") else set(config.checkpoints.split(","))
    unknown = named - {checkpoint.name for checkpoint in run.checkpoints}
    if unknown:
        raise RunError(
            "no such checkpoint",
            got=", ".join(sorted(unknown)),
            expected=f"key, all, or some of {', '.join(c.name for c in run.checkpoints)}",
        )
    return config


def resolve_template(run: Run, given: Mapping[str, Any]) -> Template:
    """The recipe's template, with what was given on the command line (None: nothing) in its place."""
    recipe = read_recipe(run.path)
    fields = recipe.template.model_dump() if recipe else {}
    return Template(**fields | {name: value for name, value in given.items() if value is not None})


def read_recipe(run_path: Path) -> Recipe | None:
    """The resolved recipe that `overmem train` left beside the run, or None."""
    path = run_path / RECIPE_NAME
    if not path.is_file():
        return None
    try:
        return check_recipe(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
    except (yaml.YAMLError, OvermemError):
        # Another tool's file of the same name.
        return None


def _check(config: AuditConfig) -> None:
    unknown = set(config.limits) - set(config.axes)
    if unknown:
        raise RunError(
            "a limit for an axis that is not measured",
            got=", ".join(sorted(unknown)),
            expected=f"some of {', '.join(config.axes)}",
        )
    for name, value, least in (
        ("limit", config.limit, 1),
        *((f"limit of {axis}", value, 1) for axis, value in config.limits.items()),
        ("samples", config.samples, 2),
        ("batch_tokens", config.batch_tokens, 1),
        ("max_new_tokens", config.max_new_tokens, 1),
        ("engine_concurrency", config.engine_concurrency, 1),
    ):
        if value is not None and value < least:
            raise RunError(f"{name} must be at least {least}", got=value)
    for name, number in (
        ("temperature", config.temperature),
        ("budget", config.budget_minutes),
        ("engine_timeout", config.engine_timeout_seconds),
    ):
        if number is not None and not 0 < number < math.inf:
            raise RunError(f"{name} must be above 0 and finite", got=number)
    if config.until_decided and set(CORE) - set(config.axes):
        raise RunError(
            "--until-decided needs a verdict, and a verdict needs likelihood and accuracy",
            got=f"--axes {','.join(config.axes)}",
            expected=f"--axes {','.join(CORE)}, with others if you like",
        )
    check_template(config.engine_model)
    served = isinstance(parse_engine(config.engine), Address)
    if not served and (config.engine_model or config.engine_on_demand):
        raise RunError(
            "--engine-model and --engine-on-demand speak of a server, and the engine is none",
            got=f"--engine {config.engine}",
            expected="--engine openai:http://HOST:PORT",
        )
