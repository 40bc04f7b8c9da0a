"""What the hub may do wrong, and a name that is refused before anything is asked."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from overmem.tasks import load_examples
from tests.helpers.datasets import GSM8K, GSM_HARD, SVAMP
from tests.tasks.test_sources import error_of


class FakeHub(types.ModuleType):
    """Stands for `datasets`: records calls, returns rows or raises."""

    def __init__(self, rows: list[dict[str, Any]], splits: tuple[str, ...] = ("train", "test")) -> None:
        super().__init__("datasets")
        self.rows, self.splits, self.calls = rows, splits, []  # type: ignore[var-annotated]

    def load_dataset(self, hub_id: str, config: str | None, *, split: str) -> list[dict[str, Any]]:
        self.calls.append((hub_id, config, split))
        if split not in self.splits:
            raise ValueError(f'Unknown split "{split}".\nmore lines')
        return self.rows

    def get_dataset_split_names(self, hub_id: str, config: str | None) -> list[str]:
        return list(self.splits)


@pytest.mark.parametrize(
    ("source", "rows", "call", "task"),
    [
        ("gsm8k", GSM8K, ("openai/gsm8k", "main", "test"), "gsm8k"),
        ("gsm8k:#train", GSM8K, ("openai/gsm8k", "main", "train"), "gsm8k"),
        ("openai/gsm8k#train", GSM8K, ("openai/gsm8k", "main", "train"), "hub"),
        ("openai/gsm8k#socratic/train", GSM8K, ("openai/gsm8k", "socratic", "train"), "hub"),
        ("gsm8k:me/copy#train", GSM8K, ("me/copy", None, "train"), "gsm8k"),
        ("svamp", SVAMP, ("ChilleD/SVAMP", None, "test"), "svamp"),
        ("gsm_hard", GSM_HARD, ("reasoning-machines/gsm-hard", None, "train"), "gsm_hard"),
    ],
)
def test_hub_locations(
    hub_is_on: pytest.MonkeyPatch, source: str, rows: list[Any], call: tuple[object, ...], task: str
) -> None:
    hub = FakeHub(rows)
    hub_is_on.setitem(sys.modules, "datasets", hub)
    loaded = load_examples(source)
    assert hub.calls == [call]
    assert (loaded.task, len(loaded.examples)) == (task, len(rows))


def test_hub_errors_are_one_message(hub_is_on: pytest.MonkeyPatch) -> None:
    hub_is_on.setitem(sys.modules, "datasets", FakeHub(GSM8K))
    message = error_of("gsm8k:#validation")
    assert "openai/gsm8k" in message
    assert 'ValueError: Unknown split "validation".' in message
    assert "more lines" not in message
    assert "local file" in message
    message = error_of("me/data")
    assert "which split" in message
    assert "me/data#train" in message
    hub_is_on.setitem(sys.modules, "datasets", FakeHub(GSM8K, ("only",)))
    assert len(load_examples("me/data").examples) == 10


def test_the_real_library_without_a_network(tmp_path: Path) -> None:
    (tmp_path / "datasets" / "openai___gsm8k").mkdir(parents=True)  # as if it had been downloaded once
    code = (
        "from overmem.tasks import load_examples\n"
        "from overmem.errors import DataError\n"
        "try:\n    load_examples('openai/gsm8k#train')\n"
        "except DataError as error:\n    print(error)\n"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=100
    )
    assert "cannot load openai/gsm8k (split train) from the Hugging Face hub" in result.stdout, result.stderr
    assert "local file" in result.stdout and "never downloaded" not in result.stdout


@pytest.fixture
def off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub is off, its caches are empty, and `datasets` must not be imported."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("HF_DATASETS_CACHE", "HF_DATASETS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "datasets", None)
    return tmp_path


def is_refused(source: str) -> bool:
    """Whether the name alone was; else `datasets` would have been imported, which it cannot be."""
    message = error_of(source)
    assert "local file" in message
    refused = "HF_HUB_OFFLINE" in message and "never downloaded" in message
    assert refused or "import of datasets halted" in message
    return refused


def test_with_the_hub_off_a_name_is_refused_before_datasets_is_imported(
    off: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (off / "datasets" / "no-owner___other").mkdir(parents=True)
    assert is_refused("no-owner/no-set") and is_refused("gsm8k") and is_refused("no-owner/no-set#train[:3]")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "0")
    assert not is_refused("no-owner/no-set")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert is_refused("no-owner/no-set")


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("datasets/no-owner___my_set", "no-owner/MySet"),  # as `datasets` calls it
        ("hub/datasets--no-owner--MySet", "no-owner/MySet"),  # as the hub's own cache does
        ("elsewhere/no-owner___no-set", "no-owner/no-set"),
    ],
)
def test_what_was_downloaded_is_left_to_datasets(
    off: Path, folder: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if folder.startswith("elsewhere"):
        monkeypatch.setenv("HF_DATASETS_CACHE", str(off / "elsewhere"))
    assert is_refused(source)
    (off / folder).mkdir(parents=True)
    assert not is_refused(source)
