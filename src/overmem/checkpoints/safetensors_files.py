"""Headers of safetensors files: are they whole, and what are their tensors called.

A file is eight bytes of length, a JSON header and the raw data
(https://github.com/huggingface/safetensors#format). Only the header is read.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from overmem.boundary import reason
from overmem.errors import CheckpointError
from overmem.parsing import ParseError, parse_json

_LARGEST_HEADER = 100_000_000
"""Bytes; safetensors itself refuses more."""
_LFS = b"version https://git-lfs.github.com/spec/"
WRAPPERS = (
    r"_orig_mod\.",
    r"_fsdp_wrapped_module\.",
    r"_checkpoint_wrapped_module\.",
    r"^(?:module\.)+",
)
"""What a tensor's name gains where a model was saved inside a wrapper, in the order in which it is taken off:
torch.compile, FSDP and activation checkpointing anywhere, DDP and DeepSpeed in front."""


def check_safetensors(file: Path) -> None:
    """Compare a safetensors header with the file's size; a truncated copy fails here.

    Raises:
        CheckpointError: the header is damaged, the file is shorter or longer than it says, or it holds
            tensors without a value.
    """
    size = file.stat().st_size
    header, header_bytes = read_header(file)
    data_bytes = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    expected = 8 + header_bytes + data_bytes
    if size != expected:
        raise CheckpointError(
            f"{short(file)} is truncated",
            got=f"{size} bytes",
            expected=f"{expected} bytes",
            next_step="copy the checkpoint again",
        )
    _refuse_empty(file, header)


def _refuse_empty(file: Path, header: dict[str, Any]) -> None:
    """ZeRO-3 leaves an empty tensor in place of every parameter that it does not gather."""
    empty = sorted(name for name, entry in header.items() if entry["shape"] == [0])
    if not empty:
        return
    folder = file.parent
    gather = f"python {folder}/zero_to_fp32.py {folder} {folder} --safe_serialization"
    raise CheckpointError(
        f"{short(file)} has {len(empty)} of {len(header)} tensors without a value, as DeepSpeed ZeRO-3 saves "
        "what it does not gather",
        got=f"{empty[0]} of shape {header[empty[0]]['shape']}",
        expected="whole tensors",
        next_step=f"remove {file.name}, and gather the shards beside it: `{gather}`"
        if (folder / "zero_to_fp32.py").is_file()
        else "take the folder with its zero_to_fp32.py and global_step*/, or train with "
        "stage3_gather_16bit_weights_on_model_save",
    )


def read_header(file: Path) -> tuple[dict[str, Any], int]:
    """The tensors that a safetensors file says it holds, and the bytes of its header.

    Raises:
        CheckpointError: it is damaged, or Git LFS has left a pointer in its place.
    """
    size = file.stat().st_size
    try:
        if not file.is_file():
            raise ParseError("it is a folder, a pipe or a device")
        with file.open("rb") as handle:
            start = handle.read(len(_LFS))
            if start == _LFS:
                raise _pointer(file)
            (header_bytes,) = struct.unpack("<Q", start[:8])
            if header_bytes > min(size - 8, _LARGEST_HEADER):
                raise ParseError("header longer than the file")
            handle.seek(8)
            header = parse_json(handle.read(header_bytes).decode())
        if not isinstance(header, dict):
            raise ParseError("its header is no object")
        header.pop("__metadata__", None)
        for name, entry in header.items():
            if not _is_tensor(entry):
                raise ParseError(f"its header does not say what `{name:.80}` is")
    except (struct.error, OSError, UnicodeDecodeError, ParseError) as error:
        raise CheckpointError(
            f"{short(file)} is not a whole safetensors file",
            got=f"{size} bytes ({reason(error)})",
            next_step="copy the checkpoint again",
        ) from None
    return header, header_bytes


def plain_name(name: str) -> str:
    """A tensor's name without the wrappers that the model was saved in: `_orig_mod.lm_head.weight`."""
    for wrapper in WRAPPERS:
        name = re.sub(wrapper, "", name)
    return name


def wrapped_prefixes(files: Iterable[Path]) -> dict[str, str]:
    """Beginnings of wrapped names as patterns, and what they are without the wrappers; see `wrapped_names`.

    transformers applies a pattern once to a name, so each takes off all that there is, the longest first.
    """
    found = {}
    for name, plain in wrapped_names(files).items():
        # Up to the dot after which both names are the same.
        end = next(i for i in range(len(name)) if plain.endswith(name[i:]) and name[i - 1] == ".")
        found["^" + re.escape(name[:end])] = plain[: len(plain) - len(name) + end]
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def wrapped_names(files: Iterable[Path]) -> dict[str, str]:
    """Plain names of the tensors that are named otherwise in some files; empty where none is.

    Raises:
        CheckpointError: a damaged file.
    """
    names = (name for file in files for name in read_header(file)[0])
    return {name: plain for name in names if (plain := plain_name(name)) != name}


def short(file: Path) -> str:
    """A file with its folder, as errors name it."""
    return f"{file.parent.name}/{file.name}"


def _pointer(file: Path) -> CheckpointError:
    return CheckpointError(
        f"{short(file)} is a pointer of Git LFS, not the weights",
        next_step=f"run `git -C {file.parent} lfs pull`",
    )


def _is_tensor(entry: object) -> bool:
    """Whether an entry of a header has a dtype, a shape and where its bytes begin and end."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    sizes = [shape, offsets] if isinstance(shape, list) and isinstance(offsets, list) else [[None]]
    whole = all(type(size) is int and 0 <= size < 2**63 for part in sizes for size in part)
    return whole and isinstance(offsets, list) and len(offsets) == 2 and offsets[0] <= offsets[1]
