"""Fingerprints follow the content, never times: every byte for the full one, blocks for the cheap one."""

import hashlib
import json
import os
import struct
from itertools import pairwise

import pytest

from overmem import fingerprints
from overmem.errors import CheckpointError
from overmem.fingerprints import (
    BLOCK_BYTES,
    N_BLOCKS,
    WHOLE_BYTES,
    block_offsets,
    full_fingerprint,
    sampled_fingerprint,
)

LARGE = WHOLE_BYTES + 12345


def folder(tmp_path, n_bytes=1000):
    """A checkpoint with `n_bytes` of data in one tensor, and a header of its own."""
    header = {"__metadata__": {"step": "1"}, "w": {"dtype": "U8", "shape": [n_bytes]}}
    header["w"]["data_offsets"] = [0, n_bytes]
    text = json.dumps(header).encode()
    made = tmp_path / "checkpoint-1"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(n_bytes))
    return made


def flip(file, offset):
    with file.open("r+b") as handle:
        handle.seek(offset, 0 if offset >= 0 else 2)
        byte = handle.read(1)[0]
        handle.seek(-1, 1)
        handle.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("fingerprint", [full_fingerprint, sampled_fingerprint])
def test_a_fingerprint_follows_the_weights_and_nothing_else(tmp_path, fingerprint):
    made = folder(tmp_path)
    before = fingerprint(made)
    (made / "trainer_state.json").write_text("{}")
    for at in (0, 4e9):
        os.utime(made / "model.safetensors", (at, at))
        assert fingerprint(made) == before
    flip(made / "model.safetensors", -500)
    assert fingerprint(made) != before
    flip(made / "model.safetensors", -500)
    assert fingerprint(made) == before
    (made / "config.json").write_text('{"rope_theta": 1}')
    assert fingerprint(made) != before


def test_the_full_one_is_the_one_that_saved_rows_are_named_by(tmp_path):
    made = folder(tmp_path)
    parts = [
        hashlib.sha256((made / name).read_bytes()).digest() for name in ("config.json", "model.safetensors")
    ]
    assert full_fingerprint(made) == hashlib.sha256(b"".join(parts)).hexdigest()


def test_of_a_large_file_the_header_both_ends_and_a_block_in_every_stretch_are_read(tmp_path):
    made = folder(tmp_path, LARGE)
    file, size = made / "model.safetensors", (made / "model.safetensors").stat().st_size
    before = sampled_fingerprint(made)
    offsets = block_offsets(size)
    for at in (
        20,
        -1,
        -BLOCK_BYTES,
        *(offset for offset in offsets[1:-1:51]),
        offsets[100] + BLOCK_BYTES - 1,
    ):
        flip(file, at)
        assert sampled_fingerprint(made) != before, at
        flip(file, at)
    assert sampled_fingerprint(made) == before
    # What it is said to miss: a byte that no block touches. The full one sees it.
    read = sorted(offsets)
    gap = next(a + BLOCK_BYTES for a, b in pairwise(read) if b > a + BLOCK_BYTES)
    full = full_fingerprint(made)
    flip(file, gap)
    assert sampled_fingerprint(made) == before and full_fingerprint(made) != full


def test_a_changed_piece_longer_than_two_stretches_is_always_seen():
    for size in (WHOLE_BYTES + 1, LARGE, 5 * 2**30 + 7):
        offsets = sorted(block_offsets(size))
        assert len(offsets) == N_BLOCKS + 2 and (offsets[0], offsets[-1]) == (0, size - BLOCK_BYTES)
        assert max(b - a for a, b in pairwise(offsets)) <= 2 * size / N_BLOCKS + 1
        assert offsets == sorted(block_offsets(size)) != sorted(block_offsets(size + 1))


def test_a_header_longer_than_a_block_is_read_whole(tmp_path):
    made = folder(tmp_path, LARGE)
    file = made / "model.safetensors"
    text = b" " * (4 * 2**20)
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(LARGE))
    offsets, before = block_offsets(file.stat().st_size), sampled_fingerprint(made)
    missed = next(
        at for at in range(BLOCK_BYTES, len(text)) if all(abs(at - o) > BLOCK_BYTES for o in offsets)
    )
    flip(file, missed)
    assert sampled_fingerprint(made) != before


def test_files_that_cannot_be_read_are_one_message(tmp_path, monkeypatch):
    made = folder(tmp_path)
    monkeypatch.setattr(fingerprints, "fingerprinted_files", lambda _: [made / "gone.safetensors"])
    for fingerprint in (full_fingerprint, sampled_fingerprint):
        with pytest.raises(CheckpointError, match=r"checkpoint-1 cannot be read[\s\S]*gone\.safetensors"):
            fingerprint(made)
