"""How many workers there are, each on which kind of device."""

import pytest

from overmem.errors import RunError
from overmem.workers.cluster import devices


@pytest.mark.parametrize(
    ("resources", "device", "workers", "expected"),
    [
        ({"CPU": 16.0, "GPU": 8.0}, "auto", None, ("cuda", 8)),
        ({"CPU": 16.0, "GPU": 8.0}, "cpu", None, ("cpu", 16)),
        ({"CPU": 2.0}, "auto", None, ("cpu", 2)),
        ({"CPU": 2.0}, "cuda", 4, ("cuda", 4)),  # a cluster that grows on demand
    ],
)
def test_one_worker_a_device(resources, device, workers, expected):
    assert devices(resources, device, workers) == expected


def test_devices_that_ray_cannot_give():
    with pytest.raises(RunError, match=r"cuda:1[\s\S]*auto, cpu or cuda"):
        devices({"CPU": 2.0}, "cuda:1", None)
    with pytest.raises(RunError, match="0 GPUs"):
        devices({"CPU": 2.0}, "cuda", None)
