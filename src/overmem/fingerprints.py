"""Fingerprints of a model's weights: of every byte, and of sampled blocks, which cost milliseconds.

What was measured is named by its content. Times say nothing of it: rsync, tar and `cp -p` keep those of
their source, and a training that writes `checkpoint-100` again leaves new ones on other weights. So the full
fingerprint names the rows of an audit, and the sampled one, kept beside it, tells later whether the files
still are what they were.

What the sampled fingerprint can miss: a change that touches none of the sampled blocks. Of a file above
`WHOLE_BYTES` it reads the header, the first and the last block and one block in each of `N_BLOCKS` equal
stretches. So a changed piece longer than two stretches (1/128 of the file) is always seen, and changes that
are scattered over a share f of its blocks are missed with probability (1 - f) ** 256. A few numbers that
somebody changed on purpose can be missed; the full fingerprint misses nothing.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from io import BufferedReader
from itertools import pairwise
from pathlib import Path

from overmem.checkpoints import ADAPTER_CONFIG, stored_weights
from overmem.errors import CheckpointError

CONFIGS = ("config.json", "generation_config.json", ADAPTER_CONFIG)
"""What decides beside the weights how a model computes."""
WHOLE_BYTES = 8 * 2**20
"""Files up to this size are read whole."""
BLOCK_BYTES = 16 * 2**10
N_BLOCKS = 256
MOST_HEADER_BYTES = 100 * 2**20
"""The longest header that safetensors itself reads."""


def full_fingerprint(folder: Path) -> str:
    """sha256 over a model's weight files and its configuration, in a fixed order.

    Raises:
        CheckpointError: a file is missing or cannot be read.
    """
    return _digest(folder, _add_whole)


def sampled_fingerprint(folder: Path) -> str:
    """sha256 over names, sizes and sampled blocks of the same files; small ones are read whole.

    Raises:
        CheckpointError: a file is missing or cannot be read.
    """
    return _digest(folder, _add_sampled)


def fingerprinted_files(folder: Path) -> list[Path]:
    """The files that decide what a model computes, in a fixed order.

    Raises:
        CheckpointError: a shard is missing.
    """
    configs = (folder / name for name in CONFIGS)
    return [*(config for config in configs if config.is_file()), *stored_weights(folder)]


def block_offsets(size: int) -> list[int]:
    """Where the sampled blocks of a file begin: at its start, at its end, and at one place in each stretch.

    Args:
        size: of the file, bytes; at least `N_BLOCKS * BLOCK_BYTES`. Nothing else decides the places.
    """
    bounds = [size * i // N_BLOCKS for i in range(N_BLOCKS + 1)]
    inner = []
    for start, end in pairwise(bounds):
        drawn = int.from_bytes(hashlib.sha256(f"{size}/{start}".encode()).digest()[:8])
        inner.append(start + drawn % (end - start - BLOCK_BYTES + 1))
    return [0, *inner, size - BLOCK_BYTES]


def _digest(folder: Path, add: Callable[[hashlib._Hash, Path, BufferedReader], None]) -> str:
    digest = hashlib.sha256()
    try:
        for file in fingerprinted_files(folder):
            with file.open("rb") as handle:
                add(digest, file, handle)
    except OSError as error:
        raise CheckpointError(
            f"the weights of {folder.name} cannot be read",
            got=f"{error.strerror or error}: {error.filename or folder}",
            next_step="copy the checkpoint again",
        ) from None
    return digest.hexdigest()


def _add_whole(digest: hashlib._Hash, _: Path, handle: BufferedReader) -> None:
    digest.update(hashlib.file_digest(handle, "sha256").digest())


def _add_sampled(digest: hashlib._Hash, file: Path, handle: BufferedReader) -> None:
    size = handle.seek(0, 2)
    digest.update(f"{len(file.name.encode())}:{file.name}={size};".encode())
    handle.seek(0)
    if size <= WHOLE_BYTES:
        _add_whole(digest, file, handle)
        return
    if file.suffix == ".safetensors":
        (n_header,) = struct.unpack("<Q", handle.read(8))
        digest.update(handle.read(min(n_header, size, MOST_HEADER_BYTES)))
    for offset in block_offsets(size):
        handle.seek(offset)
        digest.update(handle.read(BLOCK_BYTES))
