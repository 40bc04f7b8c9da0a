"""What transformers and PEFT read and run for us; whatever they raise over a checkpoint is one error of ours.

The only place that calls `from_pretrained`, and the forward pass, of a model that somebody else has saved.
What transformers 5.24 and PEFT 0.21 would run or fetch because a file says so, and what becomes of it here:

    auto_map                       a class beside the weights: only with trust_remote_code, else refused;
                                   transformers would ask on the terminal, and is told not to
    _attn_implementation,          how attention and experts are computed, `org/kernel` is fetched from the
    _experts_implementation        hub: set anew by what this machine is to use, in every part of a model
    custom_generate/               only with trust_remote_code, which transformers sees to
    megatron_config (adapters)     a module to import: refused
    peft_type                      XLORA, SHADOW: other models to load: refused
    a base that is an adapter      loaded with what it names, in silence: the same is refused of it, and it is
                                   merged by `overmem.models.loading`
    pickled weights                only with allow_pickle, see `overmem.checkpoints`
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate.utils.memory import should_reduce_batch_size
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers import (
    AutoConfig,
    AutoTokenizer,
    GenerationConfig,
    dynamic_module_utils,
)
from transformers.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

from overmem.boundary import library_call, unprinted_panics
from overmem.checkpoints import ADAPTER_CONFIG, weight_files, wrapped_prefixes
from overmem.errors import CheckpointError, ConsentError, OvermemError
from overmem.models.base_models import adapter_folder, split_revision
from overmem.models.model_class import candidates, check_writes, first_that_fits
from overmem.models.quantization import Quantize, finish, loading_settings, packed_whole
from overmem.parsing import read_json_or_empty

LOADS_MODELS = ("XLORA", "SHADOW")
"""PEFT's kinds of adapters whose configuration names other models to load."""
COPY = "copy it again, or save it with save_pretrained"
_TRIED = ("Is it 7?\n", " a  \u00e9\u4e2d\U0001f642")
"""Texts on which a tokenizer is tried: one that is damaged may load, and fail on the first text."""


def read_config(
    name: str | Path,
    error: type[OvermemError] = CheckpointError,
    *,
    trust_remote_code: bool,
    attention: str | None = None,
    next_step: str = COPY,
    **settings: Any,
) -> Any:
    """A model's configuration, with attention and experts as this machine computes them.

    Args:
        name: folder or hub id.
        error: class of the error.
        trust_remote_code: the caller lets code run that the folder brings along.
        attention: how attention is computed; transformers' own choice by default.
        next_step: what the user should do where it cannot be read.
        **settings: for `AutoConfig.from_pretrained`.

    Raises:
        OvermemError: of the class `error`.
        CheckpointError: it is made by code of its own, which may not run.
    """
    what = f"the configuration of {_short(name)} cannot be read"
    with library_call(what, error, next_step=next_step), _without_asking(name):
        where, revision = split_revision(str(name))
        config = AutoConfig.from_pretrained(
            where, revision=revision or "main", trust_remote_code=trust_remote_code, **settings
        )
        config._attn_implementation = attention
        config._experts_implementation = None
        return config


def read_generation_config(name: str | Path, config: Any) -> Any:
    """How a model's answers end, by its `generation_config.json`, else by its configuration.

    Raises:
        CheckpointError: it is there and cannot be read, or is refused by transformers.
    """
    with library_call(f"the generation configuration of {_short(name)} cannot be read", next_step=COPY):
        try:
            where, revision = split_revision(str(name))
            found = GenerationConfig.from_pretrained(where, revision=revision or "main")
        except OSError:
            if (Path(name) / "generation_config.json").exists():
                raise
            found = GenerationConfig.from_model_config(config)
    check_ends(found, name)
    return found


def read_tokenizer(
    name: str | Path,
    error: type[OvermemError] = CheckpointError,
    *,
    trust_remote_code: bool,
    next_step: str = COPY,
    **settings: Any,
) -> Any:
    """A tokenizer, tried on a short text; see `read_config`.

    Raises:
        OvermemError: of the class `error`.
        CheckpointError: it is made by code of its own, which may not run.
    """
    what = f"the tokenizer of {_short(name)} cannot be read"
    with library_call(what, error, next_step=next_step), _without_asking(name):
        where, revision = split_revision(str(name))
        with unprinted_panics():
            tokenizer = AutoTokenizer.from_pretrained(
                where, revision=revision or "main", trust_remote_code=trust_remote_code, **settings
            )
            for text in _TRIED:
                tokenizer.decode(tokenizer(text)["input_ids"])
        return tokenizer


def read_model(
    name: str | Path,
    error: type[OvermemError] = CheckpointError,
    *,
    trust_remote_code: bool,
    attention: str | None = None,
    what: str = "",
    expected: str | None = None,
    next_step: str = COPY,
    accepts: Callable[[Any], bool] | None = None,
    quantize: Quantize | None = None,
    device: torch.device | None = None,
    **settings: Any,
) -> Any:
    """A language model of the class that its weights fit and, where asked for, its loading information.

    See `read_config`.

    Args:
        name: folder or hub id.
        error: class of the error.
        trust_remote_code: see `read_config`.
        attention: see `read_config`.
        what: what cannot be done, in place of the usual words.
        expected: what would have been accepted.
        next_step: what the user should do where it cannot be read.
        accepts: whether a model of the class, without weights, suits the adapter that goes on it.
        quantize: another precision than the file's.
        device: where quantized weights are put; those in floats are on the CPU.
        **settings: for `from_pretrained`.

    Raises:
        OvermemError: of the class `error`.
        CheckpointError: it needs code of its own, or the folder is an adapter that names code, or it is no
            language model.
    """
    check_adapter_config(read_json_or_empty(Path(name) / ADAPTER_CONFIG), _short(name))
    if adapter_folder(str(name)) is not None:
        raise error(
            f"{_short(name)} is an adapter, not a whole model",
            got=name,
            expected="a model folder or a hub id",
            next_step="merge it into its base model with PEFT's merge_and_unload, and name that",
        )
    what = what or f"{_short(name)} cannot be loaded"
    try:
        if Path(name).is_dir() and (prefixes := wrapped_prefixes(weight_files(Path(name)))):
            settings["key_mapping"] = prefixes
    except CheckpointError as found:
        raise error(f"{what}: {found.what}", got=found.got, next_step=found.next_step) from None
    with library_call(what, error, expected=expected, next_step=next_step), _without_asking(name):
        # Without the boundary's own words, which would say less than `what`.
        where, revision = split_revision(str(name))
        at = {"revision": revision or "main", "trust_remote_code": trust_remote_code}
        config = AutoConfig.from_pretrained(where, **at)
        autos = _writing_classes(config, name)
        common = {"attn_implementation": attention, "experts_implementation": None, **at}
        packed = loading_settings(
            config,
            quantize,
            name=_short(name),
            dtype=settings.get("dtype"),
            device=None if "device_map" in settings else device,
            error=error,
        )

        def load(auto: Any, **more: Any) -> Any:
            own = copy.deepcopy(config)
            own._attn_implementation = attention
            own._experts_implementation = None
            return auto.from_pretrained(where, config=own, **common, **{**settings, **more})

        def fits(auto: Any) -> bool:
            model, loading = load(auto, device_map={"": "meta"}, output_loading_info=True)
            lacks = loading["missing_keys"] or loading["mismatched_keys"]
            return not lacks and (accepts is None or accepts(model))

        with packed_whole(_short(name), error), _without_bar():
            loaded = load(first_that_fits(autos, fits), **packed)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        finish(model, quantize, _short(name), error, settings.get("dtype"))
        return loaded


def empty_model(config: Any, *, trust_remote_code: bool, **settings: Any) -> Any:
    """The model of a configuration from `read_config`, on the `meta` device, without weights."""
    name = str(config.name_or_path or config.model_type)
    with _without_asking(name), torch.device("meta"):
        autos = _writing_classes(config, name)
        if hasattr(autos[0], "from_config"):
            return autos[0].from_config(config, trust_remote_code=trust_remote_code, **settings)
        return autos[0]._from_config(config, **settings)


def _writing_classes(config: Any, name: str | Path) -> list[Any]:
    """The classes that a model of this configuration can be loaded with: at least one."""
    check_writes(config, _short(name))
    autos = candidates(config)
    if not autos:
        raise ValueError(f"transformers has no class that writes text for {type(config).__name__}")
    return autos


def unwrap_adapter(model: Any) -> Any:
    """The model that an adapter of PEFT is wrapped around; the model itself where there is none."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def embedding_rows(model: Any) -> int:
    """How many token ids the model has an embedding for."""
    return int(model.get_input_embeddings().weight.shape[0])


def context_length(model: Any) -> int | None:
    """Longest sequence the model was made for, in tokens, when its configuration says."""
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    found = getattr(config, "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None


def run_model(model: Any, **inputs: Any) -> Any:
    """The output of a forward pass; what a model's `forward` has no argument for is left out.

    Raises:
        CheckpointError: the model's own code fails on it, as under an impossible configuration.
        RuntimeError: it does not fit the device; see `overmem.models.memory.halve_until_it_fits`.
    """
    known, others = _arguments(unwrap_adapter(model))
    # A model hands on what it does not name; of this one some print that they do not know it.
    passed = {name for name in inputs if name in known or (others and name != "logits_to_keep")}
    inputs = {name: value for name, value in inputs.items() if name in passed}
    what, next_step = "the model fails in its forward pass", "check its config.json, or " + COPY
    with library_call(what, next_step=next_step, passes=should_reduce_batch_size):
        return model(**inputs)


def _arguments(model: Any) -> tuple[frozenset[str], bool]:
    """Names of the arguments of a model's `forward`, and whether it takes others."""
    forward = getattr(model, "forward", model)
    arguments = inspect.signature(forward).parameters
    open_ended = any(argument.kind is argument.VAR_KEYWORD for argument in arguments.values())
    return frozenset(arguments), open_ended


def check_ends(found: Any, name: str | Path) -> None:
    """Refuse end-of-text ids that are no token ids.

    Raises:
        CheckpointError: an id that is no whole number.
    """
    ids = getattr(found, "eos_token_id", None)
    for token in ids if isinstance(ids, list | tuple) else [ids]:
        if token is not None and (not isinstance(token, int) or isinstance(token, bool) or token < 0):
            raise CheckpointError(
                f"`eos_token_id` of {_short(name)} is no token id",
                got=f"{ids!r:.80}",
                expected="a whole number, or a list of them",
                next_step="correct its generation_config.json or config.json",
            )


def check_adapter_config(config: Mapping[str, Any], name: str) -> None:
    """Refuse an adapter whose configuration names code to import or other models to load.

    Args:
        config: adapter_config.json; empty where there is none.
        name: of its folder, for errors.

    Raises:
        CheckpointError: says what it names.
    """
    kind = str(config.get("peft_type", "")).upper()
    key = next((key for key in ("megatron_config",) if config.get(key)), None)
    if kind not in LOADS_MODELS and key is None:
        return
    raise ConsentError(
        f"the adapter in {name} names something else to load, which a file may not ask for",
        got=f"peft_type {kind}" if key is None else f"{key} {config[key]!r}"[:200],
        expected="an adapter that changes weights (LoRA and its kin)",
        next_step="merge it into its base model with PEFT, and measure that",
    )


@contextmanager
def _without_bar() -> Iterator[None]:
    """Without transformers' bar "Loading weights", once a checkpoint; bars of downloads stay as they are."""
    shown = is_progress_bar_enabled()
    hub_shown = not are_progress_bars_disabled()
    if not shown:
        yield
        return
    disable_progress_bar()  # and the hub's
    if hub_shown:
        enable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bar()
        if not hub_shown:
            disable_progress_bars()


@contextmanager
def _without_asking(name: str | Path) -> Iterator[None]:
    """Code that may not run is refused with one message, and nobody is asked on the terminal."""
    before = dynamic_module_utils.TIME_OUT_REMOTE_CODE
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
    try:
        yield
    except ValueError as error:
        # transformers has no class for it, and names the argument in every such message.
        if "trust_remote_code" not in str(error):
            raise
        raise ConsentError(
            f"{Path(name).name} is a model with code of its own, which runs only if you allow it yourself",
            got=name,
            expected="a model that transformers knows, or consent given for this command",
            next_step="read its .py files, and pass --trust-remote-code if you trust them "
            "(trust_remote_code=True in Python)",
        ) from None
    finally:
        dynamic_module_utils.TIME_OUT_REMOTE_CODE = before


def _short(name: str | Path) -> str:
    return Path(name).name or str(name)
