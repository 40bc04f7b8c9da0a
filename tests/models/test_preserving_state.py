"""A visit to another's model leaves no trace."""

import random

import bitsandbytes
import numpy as np
import pytest
import torch

from overmem.models.preserving_state import preserving_state


def test_a_visit_leaves_no_trace():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(2))
    model[2].eval()
    model[0](torch.ones(1, 2)).sum().backward()
    grad = model[0].weight.grad.clone()
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    buffers = model[2].running_mean.clone()
    with pytest.raises(KeyError), preserving_state(model):
        assert not any(module.training for module in model.modules()) and not torch.is_grad_enabled()
        model(torch.rand(4, 2)), np.random.rand(), random.random()
        raise KeyError
    assert [module.training for module in model.modules()] == [True, True, True, False]
    assert torch.equal(model[0].weight.grad, grad) and torch.equal(model[2].running_mean, buffers)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all() and random.getstate() == states[2]


def test_packed_weights_are_not_packed_anew():
    """Training would go on over other weights, and on some CPUs without their gradients."""
    torch.manual_seed(0)
    layer = bitsandbytes.nn.Linear4bit(64, 64, bias=False, compute_dtype=torch.float32).to("cpu")
    x = torch.randn(3, 64, requires_grad=True)
    before, scales = layer.weight.data.clone(), layer.weight.quant_state.absmax.clone()
    expected = layer(x).detach()
    with preserving_state(layer):
        inside = layer(x.detach())
    torch.testing.assert_close(inside, expected)
    assert torch.equal(layer.weight.data, before) and torch.equal(layer.weight.quant_state.absmax, scales)
    assert torch.equal(layer(x), expected)
    with preserving_state(layer):
        pass
    assert layer.support_avx512bf16_for_cpu == bitsandbytes.functional.has_avx512bf16()
