"""Options of an audit for a run: what is not said is taken from the run's own recipe; all is checked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from overmem.auditing.consent import (
    refuse_renderer_of_a_folder,
    refuse_tasks_of_a_folder,
    without_consent,
)
from overmem.auditing.options import AuditOptions
from overmem.auditing.run_files.training_files import find_training_file
from overmem.axes import CORE, all_axes, axes_implied_by, choose_axes
from overmem.errors import OvermemError, RunError
from overmem.grading.choose import gradable
from overmem.grading.grade import check_gradable
from overmem.models.engines.address import Address, InProcess, check_template, parse_engine
from overmem.models.lm_eval.names import is_lm_eval
from overmem.parsing import ParseError, read_yaml
from overmem.recipe.canaries import CANDIDATES, FOLDER, INSERTED
from overmem.recipe.reading import check_recipe
from overmem.recipe.schema import RECIPE_NAME, Recipe
from overmem.records import Example, Run
from overmem.rendering.template import Template
from overmem.tasks.sources import read_ahead


def resolve_options(run: Run, asked: AuditOptions) -> AuditOptions:
    """Fill in what the run's own recipe knows; what is given explicitly wins.

    Raises:
        RunError: no validation data is named anywhere, an unknown axis, or a number out of range.
    """
    recipe = read_recipe(run.training_folder)
    data = recipe.model_dump(mode="json")["data"] if recipe else {}
    if not (val := asked.val or data.get("val")):
        raise RunError(
            "no validation data",
            expected="problems that were not trained on, with reference solutions and answers",
            next_step="name them: --val FILE, or val=FILE in Python",
        )
    axes = choose_axes((*choose_axes(asked.axes), *axes_implied_by(_given(asked))))
    if set(axes) - set(CORE):
        # The core decides at which checkpoints the other axes are worth their time.
        axes = choose_axes((*CORE, *axes))
    template = asked.template if "template" in asked.model_fields_set else resolve_template(run, {})
    if not asked.ood:
        refuse_tasks_of_a_folder(data.get("ood") or {}, f"the recipe in {run.path}")
    options = asked.replace(
        val=val,
        train=asked.train or data.get("train"),
        canaries=asked.canaries or _own_canaries(run),
        ood=asked.ood or data.get("ood") or {},
        references=asked.references or data.get("references") or {},
        axes=axes,
        template=template,
    )
    _check(options)
    named = set() if options.checkpoints in ("key", "all") else set(options.checkpoints.split(","))
    unknown = named - {checkpoint.name for checkpoint in run.checkpoints}
    if unknown:
        raise RunError(
            "no such checkpoint",
            got=", ".join(sorted(unknown)),
            expected=f"key, all, or some of {', '.join(c.name for c in run.checkpoints)}",
        )
    return options


@contextmanager
def data_read_ahead(options: AuditOptions) -> Iterator[None]:
    """Read and check the data that an audit will need before the block, which then reads none of it again.

    Args:
        options: of the audit, resolved.

    Raises:
        OvermemError: a source cannot be read, or val cannot be graded.
    """
    with read_ahead(_sources(options)) as read:
        val = read[options.val]
        # Rows of token ids get their texts from the run's tokenizer.
        if "accuracy" in options.axes and all(example.tokens is None for example in val.examples):
            grader = options.grader or val.grader
            can = [e for e, on in zip(val.examples, gradable(grader, val.examples), strict=True) if on]
            check_gradable(grader, can or val.examples, allow_code_execution=options.allow_code_execution)
        yield


def _sources(options: AuditOptions) -> list[tuple[str, str | None]]:
    """The sources that the chosen axes read, each with its columns; tasks of lm-eval read their own."""
    read = {kind for name in set(options.axes) - set(CORE) for kind in all_axes()[name].sets}
    own = [options.val, *([options.train] if options.train else [])]
    if "variants" in read:
        own += [source for source in (options.variants or {}).values() if source is not None]
    others = [
        source
        for kind in ("ood", "references", "retention")
        if kind in read
        for source in getattr(options, kind).values()
        if not is_lm_eval(source)
    ]
    if "canaries" in read and options.canaries is not None:
        others += [str(Path(options.canaries) / name) for name in (INSERTED, CANDIDATES)]
    return [*((source, options.columns) for source in own), *((source, None) for source in others)]


def _own_canaries(run: Run) -> str | None:
    folder = run.training_folder / FOLDER
    return str(folder) if (folder / INSERTED).is_file() and (folder / CANDIDATES).is_file() else None


def resolve_template(run: Run, given: Mapping[str, Any]) -> Template:
    """The recipe's template, with what was given on the command line (None: nothing) in its place.

    Of a run that another framework trained, its cutoff is taken over.
    """
    recipe = read_recipe(run.training_folder)
    fields = recipe.template.model_dump() if recipe else {}
    if recipe is None and (found := find_training_file(run.training_folder)) is not None:
        fields = {"max_length": found.max_length}
    said = {name: value for name, value in given.items() if value is not None}
    template = Template(**fields | said)
    if "kind" not in said:
        refuse_renderer_of_a_folder(template, f"the recipe in {run.path}")
    return template


def leaves_out_chat_template(run: Run, template: Template, tokenizer: Any, val: Sequence[Example]) -> bool:
    """Whether val is asked as plain text, by no recipe's word, past the tokenizer's chat template.

    Args:
        run: whose recipe may say so.
        template: of the options.
        tokenizer: of the run.
        val: the problems.
    """
    return (
        template.kind == "auto"
        and read_recipe(run.training_folder) is None
        and bool(getattr(tokenizer, "chat_template", None))
        and all(isinstance(example.prompt, str) and example.tokens is None for example in val)
    )


def read_recipe(run_path: Path) -> Recipe | None:
    """The resolved recipe that `overmem train` saved beside the run, or None; no permission to run code."""
    path = run_path / RECIPE_NAME
    if not path.is_file():
        return None
    try:
        return without_consent(check_recipe(read_yaml(path), str(path)))
    except (OSError, ParseError, OvermemError):
        # Another tool's file of the same name.
        return None


def _given(asked: AuditOptions) -> list[str]:
    """Options that were given something."""
    return [name for name in asked.model_fields_set if getattr(asked, name)]


def _check(options: AuditOptions) -> None:
    unknown = set(options.limits) - set(options.axes)
    if unknown:
        raise RunError(
            "a limit for an axis that is not measured",
            got=", ".join(sorted(unknown)),
            expected=f"some of {', '.join(options.axes)}",
        )
    for name, value, least in (
        ("limit", options.limit, 1),
        *((f"limit of {axis}", value, 1) for axis, value in options.limits.items()),
        ("samples", options.samples, 2),
        ("batch_tokens", options.batch_tokens, 1),
        ("max_new_tokens", options.max_new_tokens, 1),
        ("engine_concurrency", options.engine_concurrency, 1),
    ):
        if value is not None and value < least:
            raise RunError(f"{name} must be at least {least}", got=value)
    for name, number in (
        ("temperature", options.temperature),
        ("budget", options.budget_minutes),
        ("engine_timeout", options.engine_timeout_seconds),
    ):
        if number is not None and not 0 < number < math.inf:
            raise RunError(f"{name} must be above 0 and finite", got=number)
    if options.until_decided and set(CORE) - set(options.axes):
        raise RunError(
            "--until-decided needs a verdict, and a verdict needs likelihood and accuracy",
            got=f"--axes {','.join(options.axes)}",
            expected=f"--axes {','.join(CORE)}, with others if you like",
        )
    check_template(options.engine_model)
    address = parse_engine(options.engine)
    served = isinstance(address, Address)
    if options.engine_scores and options.engine == "hf":
        raise RunError(
            "--engine-scores needs another engine than the model in memory",
            got="--engine hf",
            expected="--engine vllm, or a server of vLLM",
            next_step="leave one of them out",
        )
    if options.quantize is not None and (isinstance(address, InProcess) or options.engine_scores):
        scores = " --engine-scores" if options.engine_scores else ""
        raise RunError(
            "--quantize changes the model in memory, and the engine would measure other weights",
            got=f"--quantize {options.quantize} --engine {options.engine}{scores}",
            expected="--engine hf, or weights as their file says",
            next_step="leave one of them out",
        )
    if not served and (options.engine_model or options.engine_on_demand):
        raise RunError(
            "--engine-model and --engine-on-demand need a server as the engine",
            got=f"--engine {options.engine}",
            expected="--engine openai:http://HOST:PORT",
        )
