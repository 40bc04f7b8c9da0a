"""Safetensors files of a few bytes, for tests that read no more than names and headers."""

import json
import struct
from pathlib import Path


def safetensors(path: Path, n_bytes: int = 8, fill: int = 0, name: str = "w") -> None:
    """Write a file of one tensor, and a configuration beside whole weights."""
    header = json.dumps(
        {name: {"dtype": "F32", "shape": [n_bytes // 4], "data_offsets": [0, n_bytes]}}
    ).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes([fill]) * n_bytes)
    if path.name.startswith("model"):
        (path.parent / "config.json").write_text("{}")
    elif path.name.startswith("adapter"):
        (path.parent / "adapter_config.json").write_text("{}")
