"""Data of an audit of pico models: files of val, train and an OOD set, and a tokenizer that grew."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from tests.conftest import VAL_ROWS

QUICK = {"max_new_tokens": 6, "samples": 3, "grader": "regex:([a-z])", "axes": ("all",)}


def write_files(tmp_path):
    """Val problems whose answers a random model hits now and then, train data, and an OOD set."""
    found = {}
    for name, offset in (("val", 0), ("train", 100), ("ood", 200)):
        rows = [
            r
            | {
                "id": f"{name}{i + offset}",
                "prompt": f"Question: Ana has {i + offset} cups. How many?\nAnswer:",
            }
            | {"answer": "abcdefgh"[i % 8]}
            for i, r in enumerate(VAL_ROWS * 3)
        ]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found[name] = str(path)
    return found


def with_added_tokens(files, tokenizer):
    """A tokenizer with a token of its own, which the training data hold."""
    grown = copy.deepcopy(tokenizer)
    grown.add_tokens(["<think>"])
    path = Path(files["train"])
    path.write_text(path.read_text().replace("Then Tom", "<think> Tom"))
    return grown
