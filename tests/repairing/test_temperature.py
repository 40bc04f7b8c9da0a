"""The temperature of a repair, fitted on one half and read on the other."""

import numpy as np
import polars as pl
import pytest
import torch

from overmem.artifacts.token_sums import with_sums
from overmem.repairing.temperature import fit_temperature, read_temperature


def rows_of(logits_N_V, labels_N, grid):
    """Likelihood rows of one-token completions."""
    logprob = [
        [torch.log_softmax(torch.tensor(row) / t, -1)[label].item() for t in grid]
        for row, label in zip(logits_N_V, labels_N, strict=True)
    ]
    return with_sums(
        pl.DataFrame({"n_tokens": [1] * len(labels_N), "logprob_at_temperature": [[row] for row in logprob]})
    )


def test_a_model_twice_too_sure_is_mended_by_temperature_two():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4000, 5))
    p = torch.softmax(torch.tensor(logits), -1).numpy()
    labels = [int(rng.choice(5, p=row)) for row in p]
    grid = (0.5, 1.0, 1.5, 2.0, 3.0)
    search, confirm = (
        rows_of(2 * logits[:2000], labels[:2000], grid),
        rows_of(2 * logits[2000:], labels[2000:], grid),
    )
    assert fit_temperature(search, grid) == 2.0
    found = read_temperature(confirm, grid, 2.0)
    by_hand = [
        torch.nn.functional.cross_entropy(torch.tensor(2 * logits[2000:]) / t, torch.tensor(labels[2000:]))
        for t in (2.0, 1.0)
    ]
    assert found.nll_change.value == pytest.approx((by_hand[0] - by_hand[1]).item(), abs=1e-6)
    assert found.nll_change.high < 0
