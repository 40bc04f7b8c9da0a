"""Which checkpoints a verdict compares, and that its thresholds decide it."""

import numpy as np
import pytest

from overmem.artifacts.jobs import VAL_ANSWERS
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.manifest_parts.model_rows import CheckpointRows
from overmem.rule import Rule
from overmem.stats.moments import measure_curves
from overmem.sweeping.config import Sweep
from overmem.verdict import key_checkpoints as module


def curves(n=400):
    """Accuracy 0.5, 0.7, 0.8, 0.9 while perplexity grows to 1, 1.2, 1.5 and 2 times its lowest."""
    rank_N = np.arange(n)
    correct = np.array([(rank_N < share * n).astype(float) for share in (0.5, 0.7, 0.8, 0.9)])
    nats = np.log(1.5) + np.log([[1.0], [1.2], [1.5], [2.0]])
    return measure_curves(correct, 10 * nats * np.ones((1, n)), np.full(n, 10.0))


@pytest.mark.parametrize(("ratio", "keys"), [(1.1, [0, 3]), (1.25, [0, 1, 3]), (1.6, [0, 2, 3])])
def test_the_recommended_one_follows_the_ratio(monkeypatch, ratio, keys):
    rows = tuple(
        CheckpointRows(name=f"c{i}", step=i, weights="", row_keys={str(VAL_ANSWERS): "k"}) for i in range(4)
    )
    monkeypatch.setattr(module, "_curves", lambda *_: curves())
    manifest = Manifest(splits={}, checkpoints=rows)
    found = module.key_checkpoints(None, manifest, Rule(perplexity_ratio=ratio))
    assert found == tuple(f"c{i}" for i in keys)


def test_the_most_accurate_one_is_compared_wherever_it_is(monkeypatch):
    rows = tuple(
        CheckpointRows(name=f"c{i}", step=i, weights="", row_keys={str(VAL_ANSWERS): "k"}) for i in range(4)
    )
    rank_N = np.arange(400)
    correct = np.array([(rank_N < share * 400).astype(float) for share in (0.5, 0.7, 0.9, 0.8)])
    nats = np.log(1.5) + np.log([[1.0], [1.2], [1.5], [2.0]])
    moments = measure_curves(correct, 10 * nats * np.ones((1, 400)), np.full(400, 10.0))
    monkeypatch.setattr(module, "_curves", lambda *_: moments)
    assert module.key_checkpoints(None, Manifest(splits={}, checkpoints=rows), Rule()) == ("c0", "c2", "c3")


def test_a_sweep_measures_by_its_own_rule():
    sweep = Sweep(recipe="demo", output="o", grid={"seed": [0, 1]}, rule={"perplexity_ratio": 1.3})
    assert sweep.audit_options().rule == Rule(perplexity_ratio=1.3)
