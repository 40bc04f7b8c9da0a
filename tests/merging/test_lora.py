"""Updates of LoRA as stacked factors of a lower rank."""

import math

import numpy as np
import pytest
import torch

from overmem.merging.lora import Factors, delta_rows, reduce_rank, stack
from tests.helpers.merging import noise


def random_factors(r, n_in=20, n_out=30, seed=0):
    return Factors(a=noise(r, n_in, seed=seed), b=noise(n_out, r, seed=seed + 100))


def test_stacking_is_exact():
    parts = [(random_factors(2), 0.4), (random_factors(5, seed=1), 1.7)]
    stacked = stack(parts)
    assert stacked.a.shape == (7, 20) and stacked.b.shape == (30, 7)
    by_hand = sum(f * (p.b.double() @ p.a.double()) for p, f in parts)
    torch.testing.assert_close(stacked.b.double() @ stacked.a.double(), by_hand, rtol=1e-6, atol=1e-6)
    # A and B averaged apart is another matrix altogether.
    apart = sum(math.sqrt(f) * p.b[:, :2] for p, f in parts) @ sum(math.sqrt(f) * p.a[:2] for p, f in parts)
    assert (apart - by_hand).norm() > 0.5 * by_hand.norm()


@pytest.mark.parametrize(("n_in", "n_out"), [(20, 30), (30, 20), (5, 40), (40, 5)])
def test_a_smaller_rank_is_the_svd_of_the_whole_update(n_in, n_out):
    factors = stack([(random_factors(6, n_in, n_out), 0.5), (random_factors(4, n_in, n_out, seed=1), 0.5)])
    delta = (factors.b.double() @ factors.a.double()).numpy()
    u, s, v = np.linalg.svd(delta, full_matrices=False)
    for rank in (1, 3, 7):
        reduced, loss = reduce_rank(factors, rank)
        assert reduced.a.shape == (rank, n_in) and reduced.b.shape == (n_out, rank)
        best = (u[:, :rank] * s[:rank]) @ v[:rank]
        np.testing.assert_allclose((reduced.b.double() @ reduced.a.double()).numpy(), best, atol=1e-4)
        assert loss.share == pytest.approx((s[rank:] ** 2).sum() / (s**2).sum(), abs=1e-9)
        assert loss.total == pytest.approx((s**2).sum())
    whole, loss = reduce_rank(factors, 10)
    assert whole is factors and loss.share == 0 and loss.total == pytest.approx((s**2).sum())


def test_an_adapter_that_was_never_trained_loses_nothing_knowable():
    idle = Factors(a=noise(4, 20), b=torch.zeros(30, 4))
    reduced, loss = reduce_rank(idle, 2)
    assert not (reduced.b @ reduced.a).any() and math.isnan(loss.share)


def test_rows_of_an_update_as_they_are_stored():
    factors = random_factors(3)
    delta = 0.5 * factors.b @ factors.a
    torch.testing.assert_close(delta_rows(factors, 0.5, 4, 9, transposed=False), delta[4:9])
    torch.testing.assert_close(delta_rows(factors, 0.5, 4, 9, transposed=True), delta.T[4:9])
