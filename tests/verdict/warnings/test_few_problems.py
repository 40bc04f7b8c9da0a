"""When a verdict says that its problems are few for its checkpoints."""

from __future__ import annotations

import numpy as np
import pytest

from overmem import judge
from overmem.verdict.warnings.few_problems import few_problems_note


@pytest.mark.parametrize(
    ("units", "checkpoints", "said"), [(149, 12, True), (150, 12, False), (149, 11, False), (60, 40, True)]
)
def test_few_problems_for_many_checkpoints_are_said(units: int, checkpoints: int, said: bool) -> None:
    notes = few_problems_note(units, checkpoints)
    assert bool(notes) == said
    assert all(
        f"{units} independent problems are few for {checkpoints} checkpoints" in note for note in notes
    )


def test_groups_of_problems_count_once_and_no_stage_needs_no_warning() -> None:
    rng = np.random.default_rng(0)
    right_C_N = np.repeat(rng.random((1, 200)) < 0.6, 12, axis=0).astype(float)
    nll_C_N = np.linspace(30, 60, 12)[:, None] * rng.uniform(0.8, 1.2, (1, 200))
    rows = (np.arange(1, 13) * 100, right_C_N, nll_C_N, np.full(200, 50))
    alone, in_pairs = judge(*rows), judge(*rows, group=np.arange(200) // 2)
    assert alone.stage == in_pairs.stage == "over-memorized"
    assert not any("are few for" in note for note in alone.notes)
    assert any("100 independent problems are few for 12" in note for note in in_pairs.notes)
    tens = judge(*rows, group=np.arange(200) // 10)
    assert tens.stage == "undetermined" and not any("are few for" in note for note in tens.notes)
