import math

import pytest
import torch

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
from tests.helpers.merging import noise


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
