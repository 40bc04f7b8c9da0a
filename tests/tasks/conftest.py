"""Small files of the known data sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.datasets import GSM8K, GSM_HARD, SVAMP


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, rows in (("gsm8k", GSM8K), ("hard", GSM_HARD)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "SVAMP.json").write_text(json.dumps(SVAMP, indent=2))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def hub_is_on(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """For tests in which something stands for `datasets`; all others run with the hub off."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return monkeypatch
