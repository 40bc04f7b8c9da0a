"""How a monitor behaves in another's model."""

import random

import numpy as np
import pytest
import torch

from overmem.models.preserving_state import preserving_state
from overmem.monitor.distributed import why_not_measurable


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


def test_spread_weights_are_left_alone(tmp_path):
    from torch.distributed.fsdp import fully_shard

    model = torch.nn.Linear(2, 2)
    assert why_not_measurable(model) is None
    model.weight.ds_id = 3
    assert "ZeRO-3" in why_not_measurable(model)
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
        assert "FSDP2" in why_not_measurable(fully_shard(torch.nn.Linear(2, 2), mesh=mesh))
    finally:
        torch.distributed.destroy_process_group()
