"""How to measure a model in the middle of someone else's training without leaving a trace."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers.trainer_callback import CallbackHandler


@contextmanager
def preserving_state(model: torch.nn.Module) -> Iterator[None]:
    """Lend the model for measuring: dropout is off and no gradients are kept inside.

    Afterwards every module has the mode it had, every random generator its state, and autocast no
    weights cached without gradients. Modes are set directly, since `train()` of some modules does more.
    """
    modes = [(module, module.training) for module in model.modules()]
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, training in modes:
                module.training = training
            random.setstate(python_state)
            np.random.set_state(numpy_state)
            torch.clear_autocast_cache()


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


def find_callback_handler() -> CallbackHandler | None:
    """The Trainer's callback handler that is calling us, through which its own reporters are reached.

    A callback is given neither the Trainer nor the handler, and `Trainer.log` would flush the metrics that
    trainers collect for their next log; so the handler is looked up in the call that is under way.
    """
    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, CallbackHandler):
            return owner
        frame = frame.f_back
    return None
