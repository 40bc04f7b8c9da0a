"""What transformers and PEFT read and run for us; whatever they raise over a checkpoint is one error of ours.

The only place that calls `from_pretrained`, and the forward pass, of a model that somebody else has saved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate.utils.memory import should_reduce_batch_size
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from overmem.boundary import library_call, unprinted_panics
from overmem.errors import CheckpointError, OvermemError

COPY = "copy it again, or save it with save_pretrained"
_TRIED = ("Is it 7?\n", " a  \u00e9\u4e2d\U0001f642")
"""Texts on which a tokenizer is tried: one that is damaged may load, and fail on the first text."""


def read_config(
    name: str | Path, error: type[OvermemError] = CheckpointError, *, next_step: str = COPY, **settings: Any
) -> Any:
    """The configuration of a model.

    Args:
        name: folder or hub id.
        error: class of the error.
        next_step: what the user should do where it cannot be read.
        **settings: for `AutoConfig.from_pretrained`.

    Raises:
        OvermemError: of the class `error`.
    """
    with library_call(f"the configuration of {_short(name)} cannot be read", error, next_step=next_step):
        return AutoConfig.from_pretrained(name, **settings)


def read_generation_config(name: str | Path, config: Any) -> Any:
    """How a model's answers end, by its `generation_config.json`, else by its configuration.

    Raises:
        CheckpointError: it is there and cannot be read, or is refused by transformers.
    """
    with library_call(f"the generation configuration of {_short(name)} cannot be read", next_step=COPY):
        try:
            found = GenerationConfig.from_pretrained(name)
        except OSError:
            if (Path(name) / "generation_config.json").exists():
                raise
            found = GenerationConfig.from_model_config(config)
    check_ends(found, name)
    return found


def read_tokenizer(
    name: str | Path, error: type[OvermemError] = CheckpointError, *, next_step: str = COPY, **settings: Any
) -> Any:
    """A tokenizer, tried on a short text; see `read_config`.

    Raises:
        OvermemError: of the class `error`.
    """
    with library_call(f"the tokenizer of {_short(name)} cannot be read", error, next_step=next_step):
        tokenizer = AutoTokenizer.from_pretrained(name, **settings)
        with unprinted_panics():
            for text in _TRIED:
                tokenizer.decode(tokenizer(text)["input_ids"])
        return tokenizer


def read_model(
    name: str | Path,
    error: type[OvermemError] = CheckpointError,
    *,
    what: str = "",
    expected: str | None = None,
    next_step: str = COPY,
    **settings: Any,
) -> Any:
    """A causal LM and, where it was asked for, its loading information; see `read_config`.

    Args:
        name: folder or hub id.
        error: class of the error.
        what: what cannot be done, in place of the usual words.
        expected: what would have been accepted.
        next_step: what the user should do where it cannot be read.
        **settings: for `AutoModelForCausalLM.from_pretrained`.

    Raises:
        OvermemError: of the class `error`.
    """
    what = what or f"{_short(name)} cannot be loaded"
    with library_call(what, error, expected=expected, next_step=next_step):
        return AutoModelForCausalLM.from_pretrained(name, **settings)


def run_model(model: Any, **inputs: Any) -> Any:
    """The output of a forward pass.

    Raises:
        CheckpointError: the model's own code fails on it, as under an impossible configuration.
        RuntimeError: it does not fit the device; see `overmem.models.memory.halve_until_it_fits`.
    """
    with library_call("the model fails in its forward pass", next_step="check its config.json, or " + COPY):
        try:
            return model(**inputs)
        except Exception as error:
            if not should_reduce_batch_size(error):
                raise
            too_large = error
    raise too_large


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


def _short(name: str | Path) -> str:
    return Path(name).name or str(name)
