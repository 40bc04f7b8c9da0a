import math

import numpy as np
import pytest
import torch

from overmem.merging.lora import Factors, delta_rows, reduce_rank, stack
from overmem.merging.methods import (
    BLOCK_ELEMENTS,
    ema_weights,
    greedy_soup,
    inner_products,
    pair_weights,
    slerp_weights,
    soup_weights,
    weighted_sum,
    wise_weights,
)
from overmem.models.adapters import scaling


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def same_bits(a, b):
    return a.dtype == b.dtype and torch.equal(a.view(torch.uint8), b.view(torch.uint8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.3, 0.7), (0.1, 0.2, 0.7), (1 / 3, 1 / 3, 1 / 3)])
def test_the_average_of_equals_is_equal_to_the_last_bit(dtype, weights):
    a = noise(2 * BLOCK_ELEMENTS + 7, dtype=dtype)
    a[:2] = torch.tensor([1e-45, 6e4]).to(dtype)
    assert same_bits(weighted_sum([a] * len(weights), weights), a)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_weight_of_zero_leaves_no_trace(dtype):
    a, b, bad = (
        noise(33, dtype=dtype),
        noise(33, seed=1, dtype=dtype),
        torch.full((33,), math.nan, dtype=dtype),
    )
    assert same_bits(weighted_sum((a, b), (1, 0)), a)
    assert same_bits(weighted_sum((a, b), (0, 1)), b)
    assert same_bits(weighted_sum((bad, b, bad), (0, 1, 0)), b)


def test_the_weighted_sum_is_the_one_of_fp64_rounded_once():
    tensors = [noise(3, 5, 7, seed=i, dtype=torch.bfloat16) for i in range(4)]
    weights = (0.1, 0.4, 0.2, 0.3)
    exact = sum(w * t.double() for w, t in zip(weights, tensors, strict=True))
    assert torch.equal(weighted_sum(tensors, weights), exact.to(torch.bfloat16))
    assert torch.equal(weighted_sum(tensors, weights, torch.float32), exact.float())
    # Three times 2^-25 is more than half a step of fp32 above 1; each alone is less.
    steps = [torch.full((1,), value) for value in (4.0, 2**-23, 2**-23, 2**-23)]
    assert weighted_sum(steps, (0.25,) * 4).item() == 1.0 + 2**-23


def test_weights_need_not_sum_to_one_but_may_not_be_negative():
    a, b = noise(9), noise(9, seed=1)
    torch.testing.assert_close(weighted_sum((a, b), (2.0, 0.5)), 2 * a + 0.5 * b)
    for bad in ((-0.5, 1.5), (0, 0)):
        with pytest.raises(ValueError, match="at least zero"):
            weighted_sum((a, b), bad)
    with pytest.raises(ValueError, match="shorter"):
        weighted_sum((a, b), (1.0,))


def test_scalars_and_empty_tensors_have_averages():
    assert weighted_sum((torch.tensor(1.0), torch.tensor(3.0)), (0.5, 0.5)).item() == 2.0
    assert weighted_sum((torch.empty(0, 4), torch.empty(0, 4)), (0.5, 0.5)).shape == (0, 4)


def test_weights_of_the_methods():
    assert pair_weights() == (0.5, 0.5)
    assert wise_weights(0.25) == (0.75, 0.25)
    assert soup_weights(4) == (0.25,) * 4
    # By hand: e1 = a1; e2 = .9 a1 + .1 a2; e3 = .9 e2 + .1 a3.
    assert ema_weights(3, 0.9) == pytest.approx((0.81, 0.09, 0.1))
    for n in (2, 3, 10):
        assert math.fsum(ema_weights(n, 0.7)) == pytest.approx(1.0)


def slerp(a, b, t):
    return weighted_sum((a, b), slerp_weights(inner_products(a, b), t))


def test_slerp_goes_along_the_circle():
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    torch.testing.assert_close(slerp(a, b, 1 / 3), 2 * torch.tensor([math.cos(math.pi / 6), 0.5]))
    for t, end in ((0.0, a), (1.0, b)):
        torch.testing.assert_close(slerp(a, b, t), end)
    x, y = noise(40, 50), noise(40, 50, seed=1)
    angle = math.acos(float((x * y).sum() / x.norm() / y.norm()))
    by_hand = (math.sin(0.7 * angle) * x + math.sin(0.3 * angle) * y) / math.sin(angle)
    torch.testing.assert_close(slerp(x, y, 0.3), by_hand)


def test_slerp_is_linear_when_nearly_parallel():
    a = noise(50)
    assert same_bits(slerp(a, a, 0.3), a)
    for b in (3 * a, -a, torch.zeros(50), a + 1e-3 * noise(50, seed=1)):
        torch.testing.assert_close(slerp(a, b, 0.25), 0.75 * a + 0.25 * b)


def test_greedy_soup_keeps_what_does_not_hurt():
    order = (1, 3, 4, 0)
    asked = []

    def evaluate(members):
        asked.append(members)
        return {(1,): 0.9, (1, 3): 0.9, (1, 3, 4): 0.8, (1, 3, 0): 0.95}[members]

    assert greedy_soup(order, evaluate) == ((1, 3, 0), 0.95)
    assert len(asked) == 4
    with pytest.raises(ValueError, match="at least one"):
        greedy_soup((), evaluate)


def test_scaling_follows_patterns_and_rslora():
    config = {
        "r": 4,
        "lora_alpha": 8,
        "rank_pattern": {"layers.1.mlp.up_proj": 16},
        "alpha_pattern": {r".*\.up_proj": 2, "^model.layers.0.q_proj": 6},
    }
    assert scaling(config, "model.layers.0.v_proj") == (4, 2.0)
    assert scaling(config, "model.layers.0.q_proj") == (4, 1.5)
    assert scaling(config, "model.layers.1.mlp.up_proj") == (16, 0.125)
    assert scaling(config | {"use_rslora": True}, "model.layers.1.mlp.up_proj") == (16, 0.5)


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
