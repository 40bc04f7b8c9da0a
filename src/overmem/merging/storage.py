"""Tensors on disk, a few rows at a time: read from safetensors, written into new shards.

A safetensors file is eight bytes of length, a JSON header and the raw data
(https://github.com/huggingface/safetensors#format). It is read and written here directly, because
`safe_open` maps whole files into memory and `save_file` wants a whole shard there; this way a merge
of any size stays within a few segments.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from overmem.checkpoints import plain_name, read_header
from overmem.errors import MergeError

SEGMENT_BYTES = 512 * 2**10
"""Rows are read in segments of about this size, which the allocator reuses; one longer row is one segment."""
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""By their names in a safetensors header. Narrower floats are quantized weights, which have no average."""


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """Shape and dtype of a tensor."""

    shape: tuple[int, ...]
    dtype: str
    """A key of DTYPES."""

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype in torch's terms."""
        return DTYPES[self.dtype]

    @property
    def row_bytes(self) -> int:
        """Bytes of one entry of the first dimension."""
        return math.prod(self.shape[1:]) * self.torch_dtype.itemsize

    @property
    def n_rows(self) -> int:
        """Length of the first dimension; a scalar is one row."""
        return self.shape[0] if self.shape else 1

    @property
    def n_bytes(self) -> int:
        """Bytes of the whole tensor."""
        return self.n_rows * self.row_bytes

    def segments(self) -> Iterator[tuple[int, int]]:
        """First row and end of every segment, in order."""
        step = max(1, SEGMENT_BYTES // max(1, self.row_bytes))
        for start in range(0, self.n_rows, step):
            yield start, min(start + step, self.n_rows)


@dataclass(frozen=True, kw_only=True)
class StoredTensor(TensorSpec):
    """A tensor and where it lies."""

    file: Path
    offset: int
    """Of its first byte in the file."""

    def rows(self, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Rows `start` to `stop` (all by default), copied out of the file."""
        stop = self.n_rows if stop is None else stop
        raw = torch.empty((stop - start) * self.row_bytes, dtype=torch.uint8)
        with self.file.open("rb", buffering=0) as handle:
            handle.seek(self.offset + start * self.row_bytes)
            view, done = _bytes_of(raw), 0
            while done < len(view):
                done += _some(handle.readinto(view[done:]), self.file)
        rows = raw.view(self.torch_dtype)
        return rows.view(stop - start, *self.shape[1:]) if self.shape else rows.view(())


def read_headers(files: Iterable[Path]) -> dict[str, StoredTensor]:
    """Every tensor of some safetensors files by its plain name, in the order of its data.

    Raises:
        MergeError: a dtype that has no average, or a name that two files hold.
    """
    tensors: dict[str, StoredTensor] = {}
    for file in files:
        for name, tensor in _read_header(file).items():
            if name in tensors:
                raise MergeError(
                    f"{file.parent.name} holds a tensor twice",
                    got=f"{name} in {tensors[name].file.name} and {file.name}",
                    next_step="keep either the single file or the shards",
                )
            tensors[name] = tensor
    return tensors


def write_shards(
    folder: Path,
    stem: str,
    tensors: Mapping[str, TensorSpec],
    segments: Callable[[str], Iterable[torch.Tensor]],
    max_shard_bytes: int,
) -> None:
    """Write tensors as `stem.safetensors`, or as numbered shards with an index when they are larger.

    Args:
        folder: where the files go.
        stem: `model` or `adapter_model`.
        tensors: what is written, in order.
        segments: a tensor's rows, in order, in its dtype.
        max_shard_bytes: data bytes in a file; a larger tensor has a file of its own.
    """
    shards = _split(tensors, max_shard_bytes)
    names = [f"{stem}.safetensors"]
    if len(shards) > 1:
        names = [f"{stem}-{i:05d}-of-{len(shards):05d}.safetensors" for i in range(1, len(shards) + 1)]
        index = {
            "metadata": {
                "total_parameters": sum(math.prod(spec.shape) for spec in tensors.values()),
                "total_size": sum(spec.n_bytes for spec in tensors.values()),
            },
            "weight_map": {key: name for name, keys in zip(names, shards, strict=True) for key in keys},
        }
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    for name, keys in zip(names, shards, strict=True):
        _write_file(folder / name, {key: tensors[key] for key in keys}, segments)


def _read_header(file: Path) -> dict[str, StoredTensor]:
    header, n_header = read_header(file)
    unknown = sorted(name for name, entry in header.items() if entry["dtype"] not in DTYPES)
    if unknown:
        raise MergeError(
            f"{file.parent.name}/{file.name} holds quantized weights, which have no average",
            got=f"{unknown[0]} of dtype {header[unknown[0]]['dtype']}",
            expected=", ".join(DTYPES),
            next_step="merge the weights from before quantization",
        )
    return {
        plain_name(name): StoredTensor(
            shape=tuple(entry["shape"]),
            dtype=entry["dtype"],
            file=file,
            offset=8 + n_header + entry["data_offsets"][0],
        )
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"][0])
    }


def _split(tensors: Mapping[str, TensorSpec], max_shard_bytes: int) -> list[list[str]]:
    """Names by shard, filled in order."""
    shards: list[list[str]] = [[]]
    filled = 0
    for name, spec in tensors.items():
        if shards[-1] and filled + spec.n_bytes > max_shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += spec.n_bytes
    return shards


def _write_file(
    path: Path, tensors: Mapping[str, TensorSpec], segments: Callable[[str], Iterable[torch.Tensor]]
) -> None:
    # Wider dtypes first, as safetensors itself does: every tensor then starts at a multiple of its size.
    order = sorted(tensors, key=lambda name: -tensors[name].torch_dtype.itemsize)
    with path.open("wb", buffering=0) as handle:
        _write(handle.write, _header_bytes([(name, tensors[name]) for name in order]))
        for name in order:
            start = handle.tell()
            for rows in segments(name):
                _write(handle.write, _bytes_of(rows))
            assert handle.tell() - start == tensors[name].n_bytes, name


def _header_bytes(tensors: Sequence[tuple[str, TensorSpec]]) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, spec in tensors:
        end = offset + spec.n_bytes
        header[name] = {"dtype": spec.dtype, "shape": list(spec.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    """The tensor's own memory, whatever its dtype (numpy has no bf16)."""
    array: Any = tensor.contiguous().view(-1).view(torch.uint8).numpy()
    return memoryview(array)


def _write(write: Callable[[memoryview], int], data: bytes | memoryview) -> None:
    view, done = memoryview(data), 0
    while done < len(view):
        done += write(view[done:])


def _some(n: int, file: Path) -> int:
    if not n:
        raise OSError(f"{os.fspath(file)} ended early; it changed while it was read")
    return n
