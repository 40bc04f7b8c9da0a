"""A fine-tune over several processes: can one of them measure the model, and what do all agree on."""

from __future__ import annotations

from typing import Any

import torch


def why_not_measurable(model: torch.nn.Module) -> str | None:
    """Why one process cannot measure this model alone, or None when it can."""
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
        return "FSDP: the weights are spread over processes"
    for parameter in model.parameters():
        if hasattr(parameter, "ds_id"):
            return "DeepSpeed ZeRO-3: the weights are spread over processes"
        if type(parameter).__name__ == "DTensor" or type(parameter.data).__name__ == "DTensor":
            return "FSDP2 or tensor parallelism: the weights are spread over processes"
    return None


def broadcast_flag(flag: bool) -> bool:
    """What process 0 says, on every process; all of them must call it."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return flag
    said: list[Any] = [flag]
    torch.distributed.broadcast_object_list(said, src=0)
    return bool(said[0])
