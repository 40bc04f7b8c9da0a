"""What must agree before weights can be averaged; each check names the first thing that does not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from overmem.boundary import real_path
from overmem.checkpoints import read_object
from overmem.errors import MergeError
from overmem.merging.adapters import Adapter
from overmem.merging.sources import Source

NOT_ARCHITECTURE = {
    "_attn_implementation",
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "attn_pdrop",
    "auto_map",
    "bos_token_id",
    "dtype",
    "embd_pdrop",
    "eos_token_id",
    "hidden_dropout",
    "initializer_range",
    "pad_token_id",
    "resid_pdrop",
    "torch_dtype",
    "transformers_version",
    "use_cache",
}
"""Keys of config.json that may differ between checkpoints of one model."""
TOKENIZER_JSON = "tokenizer.json"
VOCABULARIES = ("vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "tekken.json")
"""Files that decide a tokenizer where there is no tokenizer.json."""

ONE_THREAD_ELEMENTS = 32767
"""Just below the grain at which torch starts its threads."""


def check_models(sources: Sequence[Source]) -> None:
    """Refuse models that are not states of one model.

    Raises:
        MergeError: another vocabulary, tensor, shape, dtype, tie or architecture.
    """
    last = sources[-1]
    for source in sources[:-1]:
        _check_vocabulary(source, last)
        _check_ties(source, last)
        _check_names(source, last)
        _check_specs(source, last)
        _check_architecture(source, last)


def check_bases(adapters: Sequence[Adapter], base_model: str | None) -> None:
    """Refuse adapters over different base models, unless the user says which one it is.

    Raises:
        MergeError: their configurations name different ones.
    """
    last = adapters[-1]
    for adapter in adapters:
        if base_model is None and _base_name(adapter) != _base_name(last):
            raise MergeError(
                f"{label(adapter.folder)} and {label(last.folder)} adapt different base models",
                got=f"{_base_name(adapter)} and {_base_name(last)}",
                next_step="if it is the same one under two names, say so: base_model=... (--base-model)",
            )


def check_tokenizers(folders: Sequence[Path | None], *, allow_different: bool) -> None:
    """Refuse checkpoints whose tokenizers give a text other tokens.

    Args:
        folders: where each input's tokenizer lies; None where it has none.
        allow_different: take the last one instead of refusing.

    Raises:
        MergeError: they differ.
    """
    known = [(folder, tokenizer_identity(folder)) for folder in folders if folder is not None]
    for folder, identity in known[:-1]:
        last_folder, last = known[-1]
        differ = sorted(file for file in identity.keys() & last.keys() if identity[file] != last[file])
        if differ and not allow_different:
            raise MergeError(
                f"{label(folder)} and {label(last_folder)} have different tokenizers",
                got=f"{differ[0]} differs",
                expected="the same tokens, with the same ids",
                next_step="if only harmless parts differ, pass allow_different_tokenizers=True "
                "(--allow-different-tokenizers); the last one is kept",
            )


def tokenizer_folder(path: Path, base: Path | None = None) -> Path | None:
    """Where the tokenizer of a checkpoint lies: with it, at its run's root, or with its base model."""
    for folder in (path, path.parent, base):
        if folder is not None and any(
            (folder / name).is_file() for name in (TOKENIZER_JSON, "tokenizer_config.json")
        ):
            return folder
    return None


def tokenizer_identity(folder: Path) -> dict[str, str]:
    """Digests of what decides the tokens, by file; a truncation or padding left by training does not."""
    file = folder / TOKENIZER_JSON
    if file.is_file():
        content = read_object(file)
        kept = {key: value for key, value in content.items() if key not in ("truncation", "padding")}
        return {TOKENIZER_JSON: hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()}
    present = [folder / name for name in VOCABULARIES if (folder / name).is_file()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in present}


def finite(values: torch.Tensor) -> bool:
    """Whether there is no NaN and no infinity; the extremes show it without a mask of the tensor's size.

    In blocks below those that torch spreads over threads, which would then spin through the reads and writes.
    """
    return all(
        bool(torch.isfinite(extreme))
        for block in torch.split(values.reshape(-1), ONE_THREAD_ELEMENTS)
        if block.numel()
        for extreme in block.aminmax()
    )


def diverged_error(who: str, tensor: str) -> MergeError:
    """The refusal of NaN and infinity."""
    return MergeError(
        f"{who} holds NaN or infinite weights",
        got=tensor,
        next_step="leave that checkpoint out; the run diverged before it",
    )


def label(path: Path) -> str:
    """A checkpoint's name with its run's, which tells two of the same name apart."""
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def _check_vocabulary(one: Source, other: Source) -> None:
    sizes = [_setting(source.config, "vocab_size") for source in (one, other)]
    if None not in sizes and sizes[0] != sizes[1]:
        raise _differ(one, other, "vocabulary sizes", f"{sizes[0]} and {sizes[1]} tokens")


def _check_ties(one: Source, other: Source) -> None:
    ties = [_setting(source.config, "tie_word_embeddings") for source in (one, other)]
    if None not in ties and ties[0] != ties[1]:
        raise _differ(
            one, other, "settings of tied embeddings", f"tie_word_embeddings {ties[0]} and {ties[1]}"
        )


def _check_names(one: Source, other: Source) -> None:
    for source, foil in ((one, other), (other, one)):
        extra = sorted(source.tensors.keys() - foil.tensors.keys())
        if extra:
            text = f"{len(extra)} in {label(source.path)} only, such as {extra[0]}"
            raise _differ(one, other, "sets of tensors", text)


def _check_specs(one: Source, other: Source) -> None:
    for name, spec in one.tensors.items():
        if spec.shape != other.tensors[name].shape:
            raise _differ(one, other, "shapes", f"{name}: {spec.shape} and {other.tensors[name].shape}")
    for name, spec in one.tensors.items():
        if spec.dtype != other.tensors[name].dtype:
            raise _differ(one, other, "dtypes", f"{name}: {spec.dtype} and {other.tensors[name].dtype}")


def _check_architecture(one: Source, other: Source) -> None:
    """Shapes do not show heads, rotary bases or activations; only keys that both name are compared."""
    left, right = dict(_flat(one.config)), dict(_flat(other.config))
    for key in sorted(left.keys() & right.keys()):
        if left[key] != right[key]:
            raise _differ(one, other, "architectures", f"{key} {left[key]!r} and {right[key]!r}")


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if key in NOT_ARCHITECTURE:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _setting(config: Mapping[str, Any], key: str) -> Any:
    """A setting of the language model, which multimodal configurations nest."""
    return config.get(key, (config.get("text_config") or {}).get(key))


def _base_name(adapter: Adapter) -> str:
    name = str(adapter.config.get("base_model_name_or_path") or "(none named)")
    revision = adapter.config.get("revision")
    resolved = str(real_path(name)) if Path(name).is_dir() else name
    return f"{resolved}@{revision}" if revision else resolved


def _differ(one: Source, other: Source, what: str, got: str) -> MergeError:
    return MergeError(
        f"{label(one.path)} and {label(other.path)} have different {what}",
        got=got,
        expected="checkpoints of one model",
    )
