"""Weights that are spread over processes are left alone."""

import torch

from overmem.monitor.distributed import why_not_measurable


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
