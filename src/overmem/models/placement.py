"""Where the parts of a model are: on one device, or shared out by Accelerate over several, CPU and disk.

A model that is shared out is never moved. Accelerate's hooks bring what a part is given to the device where
it computes, and what comes out back to where the inputs were. Weights of parts that are offloaded (kept in
the CPU's memory or on the disk) come to a device for each pass, and their parameters are empty (`meta`)
otherwise.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from accelerate.hooks import AlignDevicesHook, SequentialHook
from accelerate.utils import get_max_memory
from accelerate.utils.memory import clear_device_cache

from overmem.checkpoints import read_adapter_config
from overmem.errors import CheckpointError
from overmem.models.adapters import changed_base
from overmem.models.pretrained import unwrap_adapter

log = logging.getLogger("overmem.models")
WEIGHTS_SHARE = 0.9
"""Of the memory that is free on each device, which weights may take; the rest is for what is computed."""
NEEDS_WEIGHTS = {
    "use_dora": "DoRA",
    "modules_to_save": "whole modules beside the adapter",
    "trainable_token_indices": "trained tokens",
    "target_parameters": "an adapter on bare parameters",
    "lora_bias": "trained biases",
}
"""Fields of an adapter's configuration that, where they are set, need the base model's weights themselves."""


def devices_for(device: torch.device, device_map: str | Mapping[str, Any] | None) -> list[torch.device]:
    """The devices that a model will compute on.

    Args:
        device: that was chosen.
        device_map: how the model is shared out; None puts all of it on the device.
    """
    if device_map is None or device.type == "cpu":
        return [device]
    return [torch.device(device.type, index) for index in range(torch.accelerator.device_count())]


def load_shared_out(
    load: Callable[..., tuple[Any, Any]], device_map: str | Mapping[str, Any]
) -> tuple[Any, Any]:
    """Load a model, each weight straight to where it belongs.

    Args:
        load: takes more settings of `from_pretrained`; gives the model and its loading information.
        device_map: `auto`, or a device for each part, by its name.
    """
    # Weights that do not lie in the model's files as they are needed, such as merged experts.
    folder = tempfile.mkdtemp(prefix="overmem-offloaded-")
    settings = {"device_map": device_map, "offload_folder": folder}
    if isinstance(device_map, str):
        # What the model before has left must not look as if it were in use.
        clear_device_cache(garbage_collection=True)
        settings["max_memory"] = {at: int(WEIGHTS_SHARE * free) for at, free in get_max_memory().items()}
    try:
        model, loading = load(**settings)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)
    _say_offloaded(type(model).__name__, " and ".join(offloaded_to(model)))
    return model, loading


@cache
def _say_offloaded(kind: str, away: str) -> None:
    if away:
        log.warning(
            "%s: the devices do not hold all of it; parts stay on %s and are read for each pass; it is slow",
            kind, away,
        )  # fmt: skip


def input_device(model: Any) -> torch.device:
    """The device that tokens go to, and that logits come out on."""
    hook = next(_hooks(unwrap_adapter(model)), None)
    if hook is not None and hook.execution_device is not None:
        return torch.device(hook.execution_device)
    device: torch.device = next(model.parameters()).device
    return device


def devices_of(model: Any) -> list[torch.device]:
    """The devices that a model computes on, that of its inputs first."""
    found = [input_device(model)]
    for module in model.modules() if _is_shared_out(model) else ():
        found += [torch.device(h.execution_device) for h in _hooks(module) if h.execution_device is not None]
    return list(dict.fromkeys(found))


def offloaded_to(model: Any) -> list[str]:
    """Where the weights are that come to a device only for a pass: `cpu`, `disk`, both or none."""
    if not any(hook.offload for module in model.modules() for hook in _hooks(module)):
        return []
    places = map(str, unwrap_adapter(model).hf_device_map.values())
    away = {"disk"} if input_device(model).type == "cpu" else {"cpu", "disk"}
    return sorted(away.intersection(places))


def named_weights(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every weight, by name; those that are offloaded are read, one after another."""
    for prefix, module in model.named_modules():
        away = next((hook for hook in _hooks(module) if hook.offload), None)
        for name, value in module.named_parameters(recurse=False):
            yield f"{prefix}.{name}", value if away is None else away.weights_map[name]


def check_adapter_goes_on(model: Any, folder: Path, name: str, *, merged: bool = False) -> None:
    """Refuse an adapter that needs weights of its base model which are not there but for a pass.

    Args:
        model: the base model.
        folder: of the adapter.
        name: of its checkpoint, for errors.
        merged: it is to be added to the weights.

    Raises:
        CheckpointError: says what needs them.
    """
    away = offloaded_to(model)
    if not away:
        return
    config = read_adapter_config(folder)
    kind = str(config.get("peft_type") or "LORA")
    what = next((said for field, said in NEEDS_WEIGHTS.items() if config.get(field)), None)
    if config.get("bias", "none") != "none":
        what = NEEDS_WEIGHTS["lora_bias"]
    if (start := changed_base(config)) is not None:
        what = f"{start}, which takes a part out of the base model"
    if kind != "LORA":
        what = f"{kind} adapters"
    if merged:
        what = "an adapter that another stands on"
    if what is not None:
        raise CheckpointError(
            f"{name} cannot go on a base model that is partly offloaded to {' and '.join(away)}",
            got=what,
            expected="plain LoRA, or devices that hold the base model whole",
            next_step="make it a full checkpoint with overmem merge --into-full, and audit that",
        )


@contextmanager
def takes_adapters(model: Any) -> Iterator[None]:
    """Within, PEFT can put adapters on a model that is shared out, and leaves its parts where they are.

    It puts an adapter's weights where those of its layer are: for weights that are offloaded something of
    their shape stands in, on the device where the layer computes, and takes no memory. And it would share a
    model with offloaded parts out anew, by the memory that is then free, if it knew that it is one.
    """
    base = unwrap_adapter(model)
    device_map = vars(base).pop("hf_device_map", None)
    away = [
        (module, name, value, torch.device(hook.execution_device))
        for module in base.modules()
        for hook in _hooks(module)
        if hook.offload
        for name, value in module.named_parameters(recurse=False)
    ]
    for module, name, value, device in away:
        stands_in = torch.empty((), dtype=value.dtype, device=device).expand(value.shape)
        module._parameters[name] = torch.nn.Parameter(stands_in, requires_grad=False)
    try:
        yield
    finally:
        for module, name, value, _ in away:
            module._parameters[name] = value
        if device_map is not None:
            base.hf_device_map = device_map


def _is_shared_out(model: Any) -> bool:
    return any(True for _ in _hooks(unwrap_adapter(model)))


def _hooks(module: Any) -> Iterator[AlignDevicesHook]:
    """What Accelerate has put on a module to bring its inputs and weights together."""
    hook = vars(module).get("_hf_hook")
    for found in hook.hooks if isinstance(hook, SequentialHook) else (hook,):
        if isinstance(found, AlignDevicesHook):
            yield found
