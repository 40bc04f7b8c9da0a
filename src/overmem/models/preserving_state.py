"""Measure, or let another library work, and leave the process and the model as they were.

Libraries that evaluate models seed the global generators, print bars and tables, and adjust the model's
generation settings. What an audit measures next must not depend on whether they were used before.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import random
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from overmem.models.pretrained import unwrap_adapter

PACKS = "support_avx512bf16_for_cpu"
"""Set in 4-bit layers of bitsandbytes that pack their weights anew in the first pass without gradients on a
CPU, to scales that are rounded, and do not take that back for the next step of training."""


@contextlib.contextmanager
def quiet_and_seeded(seed: int, loggers: Sequence[str]) -> Iterator[None]:
    """Seed all generators and silence output inside; afterwards everything is as it was before.

    Args:
        seed: of numpy and torch; Python's own generator starts from 0.
        loggers: names of the loggers that keep all but errors to themselves.
    """
    kind, devices = _devices_in_use()
    with (
        warnings.catch_warnings(),
        _states_restored(),
        torch.random.fork_rng(devices=devices, device_type=kind),
        _errors_only(loggers),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        random.seed(0)
        np.random.seed(seed)
        # Not torch.manual_seed, which also seeds devices that are set up only later.
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.get_device_module(kind).manual_seed_all(seed)
        yield


@contextlib.contextmanager
def generation_config_restored(model: Any) -> Iterator[None]:
    """Lend the model, and the one under an adapter, generation settings that may be changed."""
    under = unwrap_adapter(model)
    originals = [(item, item.generation_config) for item in (under, model)]
    for item, original in originals:
        item.generation_config = copy.deepcopy(original)
    try:
        yield
    finally:
        for item, original in originals:
            item.generation_config = original


@contextlib.contextmanager
def preserving_state(model: torch.nn.Module) -> Iterator[None]:
    """Lend the model for measuring: dropout is off and no gradients are kept inside.

    Afterwards every module has the mode it had, every random generator its state, and autocast no
    weights cached without gradients. Modes are set directly, since `train()` of some modules does more.
    Packed weights stay as they are packed.
    """
    modes = [(module, module.training) for module in model.modules()]
    packing = [module for module, _ in modes if getattr(module, PACKS, False)]
    kind, devices = _devices_in_use()
    with _states_restored(), torch.random.fork_rng(devices=devices, device_type=kind), torch.no_grad():
        try:
            for module, _ in modes:
                module.training = False
            for module in packing:
                setattr(module, PACKS, False)
            yield
        finally:
            for module in packing:
                setattr(module, PACKS, True)
            for module, training in modes:
                module.training = training
            torch.clear_autocast_cache()


def _devices_in_use() -> tuple[str, list[int]]:
    """The kind of accelerator and its devices that have random numbers; none is set up for the question.

    MPS, whose module does not say whether it is in use, is left alone.
    """
    found = torch.accelerator.current_accelerator()
    kind = "cuda" if found is None else found.type
    module = torch.get_device_module(kind)
    in_use = getattr(module, "is_initialized", lambda: False)()
    return kind, list(range(module.device_count())) if in_use else []


@contextlib.contextmanager
def _states_restored() -> Iterator[None]:
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


@contextlib.contextmanager
def _errors_only(names: Sequence[str]) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
