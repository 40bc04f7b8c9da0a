"""Packed rows: from the settings, or from steps that all have the same tokens; what is said then."""

import json
from pathlib import Path
from typing import Any

import pytest

from overmem.logs.findings.packing import find_packing, tokens_a_step
from overmem.logs.history import LoggedHistory
from overmem.logs.kinds import find_task
from overmem.logs.series import read_series

LOGS = json.loads(Path(__file__).with_name("written_by_trl.json").read_text())


def history(rows: list[dict[str, Any]], **settings: Any) -> LoggedHistory:
    return LoggedHistory(rows=tuple(rows), source="log", kind="t", settings=settings)


def said(log: LoggedHistory) -> str:
    found = find_packing(log, read_series(log), find_task(log.rows, log.settings))
    return " ".join(finding.sentence for finding in found)


@pytest.mark.parametrize("setting", ["packing", "sample_packing", "neat_packing"])
def test_a_setting_says_so(setting: str) -> None:
    text = said(history([{"step": 12, "epoch": 3.0, "loss": 1.0}], **{setting: True}))
    assert f"packed (`{setting}` in its arguments)" in text and "4 steps of an epoch count blocks" in text
    assert "Evaluation" not in text
    assert not said(history([{"step": 12, "epoch": 3.0, "loss": 1.0}], **{setting: False}))


def test_token_counts_betray_blocks_that_are_filled() -> None:
    assert tokens_a_step(history(LOGS["sft-packing"])) == 256  # batches of 4, blocks of 64
    assert "exactly 256 tokens" in said(history(LOGS["sft-packing"]))
    assert not said(history(LOGS["sft"])) and tokens_a_step(history(LOGS["sft"])) is None


def test_tokens_of_rows_that_are_logged_seldom_are_of_one_step() -> None:
    rows = [{"step": 5 * i, "loss": 1.0, "num_tokens": 5 * 512 * i} for i in range(1, 9)]
    assert tokens_a_step(history(rows)) == 512
    assert tokens_a_step(history(rows[:6])) is None


def test_pairs_of_one_length_are_not_packed() -> None:
    rows = [{"step": i, "loss": 1.0, "num_tokens": 96 * i, "rewards/chosen": 0.1} for i in range(1, 9)]
    assert not said(history(rows))


def test_packed_evaluations_are_not_counted_as_problems() -> None:
    row = {"step": 1, "eval_loss": 1.0, "eval_accuracy": 0.5, "eval_runtime": 2.0}
    rows = [row | {"eval_samples_per_second": 10.0}]
    assert {one.n for one in read_series(history(rows))} == {20}
    assert {one.n for one in read_series(history(rows, packing=True))} == {None}
    assert "Evaluation may be packed too" in said(history(rows, packing=True))
