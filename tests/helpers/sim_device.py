"""A pretend accelerator: tensors say that they are on `sim:0` or `sim:1`, and are computed on the CPU.

What GPUs refuse is refused: a tensor of another device, a NumPy view, a CPU generator. Their
random numbers are its own. PyTorch lets a device be written in Python (`torch.utils.backend_registration`),
once in a process and for good: `become_the_device` is for processes that run nothing else.

It computes what a CPU does: it says nothing of rounding, kernels, memory, streams or how devices copy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

NAME = "sim"
REGISTER = "_setup_privateuseone_for_python_backend"
"""What registers a device written in Python; older PyTorch lacks it."""
COUNT = 2
"""Devices there are."""
MEMORY = 1 << 32
"""Bytes that each device says it has."""
aten = torch.ops.aten
BETWEEN_DEVICES = {aten._to_copy.default, aten.copy_.default, aten._copy_from.default}
INDEXING = {
    packet.default if packet is not aten.index else packet.Tensor
    for packet in (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_)
} | {aten._unsafe_index.Tensor}
"""Tensors on the device may be indexed by tensors on the CPU, not the other way round."""


class SimTensor(torch.Tensor):
    """A tensor on the device; `held` are its values."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor, index: int = 0, **parameter: Any) -> Any:
        if parameter:  # As Accelerate makes a parameter again, wherever its values are.
            return torch.nn.Parameter(held, requires_grad=parameter["requires_grad"])
        # A view of a parameter is no inference tensor, wherever it is made; only `held` has to know.
        inference = torch.is_inference_mode_enabled()
        with torch.inference_mode(False) if inference else contextlib.nullcontext():
            found = torch.Tensor._make_wrapper_subclass(
                cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(),
                dtype=held.dtype, layout=held.layout, device=torch.device(NAME, index),
                requires_grad=held.requires_grad,
            )  # fmt: skip
        found.held = held
        return found

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})

    @property
    def data(self) -> torch.Tensor:
        return torch._C.TensorBase.data.__get__(self)

    @data.setter
    def data(self, value: torch.Tensor) -> None:
        _set_data(self, value)

    def __repr__(self, **kwargs: Any) -> str:
        return f"SimTensor({self.held!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        if id(self) not in memo:
            found: torch.Tensor = SimTensor(self.held.detach().clone(), self.device.index)
            if getattr(self, "_is_param", False):
                found = torch.nn.Parameter(found, requires_grad=self.requires_grad)
            memo[id(self)] = found
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.__reduce_ex__(protocol)

    def tolist(self) -> Any:
        return self.held.tolist()

    def untyped_storage(self) -> Any:
        return self.held.untyped_storage()

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def numpy(self, **kwargs: Any) -> Any:
        raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu()")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self.numpy()


def _set_data(tensor: torch.Tensor, value: torch.Tensor) -> None:
    """Give a tensor other values, which may be on another device, as PEFT does to its parameters."""
    if tensor.device != value.device:
        torch.utils.swap_tensors(tensor, torch.nn.Parameter(value, requires_grad=tensor.requires_grad))
        return
    torch._C.TensorBase.data.__set__(tensor, value)
    if isinstance(tensor, SimTensor):
        tensor.held = value.held


class SimMode(TorchDispatchMode):
    """Everything that PyTorch computes within, so that tensors can be made on the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operator, on the device where its tensors or its `device` are.

    Raises:
        RuntimeError: a CPU tensor or a CPU generator where the device's is needed.
    """
    tensors = [leaf for leaf in _leaves((args, *kwargs.values())) if isinstance(leaf, torch.Tensor)]
    ours = [tensor for tensor in tensors if isinstance(tensor, SimTensor)]
    asked = kwargs.get("device")
    to_us = asked is not None and torch.device(asked).type == NAME
    index = next((tensor.device.index for tensor in ours), 0)
    if to_us:
        index = torch.device(asked).index or 0
    if not ours and not to_us:
        return func(*args, **kwargs)
    _check_devices(func, args, tensors)
    if to_us:
        kwargs = kwargs | {"device": torch.device("cpu")}
    on_sim = to_us or asked is None
    if func is aten.copy_.default:
        on_sim, index = isinstance(args[0], SimTensor), args[0].device.index
    random = on_sim and torch.Tag.nondeterministic_seeded in func.tags
    with _own_random_numbers(args, kwargs) if random else contextlib.nullcontext():
        found = func(*map(_held, args), **{name: _held(value) for name, value in kwargs.items()})
    known = {id(tensor.held): tensor for tensor in ours}
    for tensor in ours:
        assert tensor.shape == tensor.held.shape, f"{func} changes a shape in place, which {NAME} cannot"
    return _on_sim(found, known, index) if on_sim else found


def _leaves(values: Iterable[Any]) -> Iterator[Any]:
    """What an operator is given: values, and those in its lists."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from _leaves(value)
        else:
            yield value


def _held(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_held, value))
    return value.held if isinstance(value, SimTensor) else value


def _on_sim(value: Any, known: dict[int, SimTensor], index: int) -> Any:
    """Results on the device; what was changed in place is given back itself."""
    if isinstance(value, list | tuple):
        return type(value)(_on_sim(part, known, index) for part in value)
    if not isinstance(value, torch.Tensor) or isinstance(value, SimTensor):
        return value
    same = known.get(id(value))
    if same is None:
        return SimTensor(value, index)
    return same if same.device.index == index else SimTensor(value.clone(), index)


def _check_devices(func: Any, args: Any, tensors: list[torch.Tensor]) -> None:
    if func in BETWEEN_DEVICES:
        return
    used = sorted({str(tensor.device) for tensor in tensors if isinstance(tensor, SimTensor)})
    if len(used) > 1:
        raise RuntimeError(f"Expected all tensors to be on the same device, found {used} ({func})")
    strangers = [tensor for tensor in tensors if tensor.device.type == "cpu"]
    if not strangers or len(strangers) == len(tensors):
        return
    if func in INDEXING and isinstance(args[0], SimTensor):
        strangers = [value for value in args[2:3] if isinstance(value, torch.Tensor) and value.is_cpu]
        if all(value.dim() == 0 for value in strangers):
            return
    elif torch.Tag.pointwise in func.tags or "_foreach_" in str(func):
        # A number in a CPU tensor may meet any tensor where elements are computed one by one.
        strangers = [tensor for tensor in strangers if tensor.dim() > 0]
    if strangers:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, found {NAME}:0 and cpu "
            f"({func}, a CPU tensor of shape {tuple(strangers[0].shape)})"
        )


class SimModule(backend_registration._DummyBackendModule):
    """`torch.sim`: what PyTorch asks a device's module for."""

    state = torch.Generator().get_state()
    """Of the device's random numbers."""

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return COUNT

    def manual_seed_all(self, seed: int) -> None:
        # Not the CPU's numbers of the same seed, as on a GPU.
        SimModule.state = torch.Generator().manual_seed(seed ^ 0x5EED).get_state()

    def mem_get_info(self, device: Any = NAME) -> tuple[int, int]:
        return MEMORY // 2, MEMORY

    def memory_allocated(self, device: Any = NAME) -> int:
        return MEMORY // 4

    def max_memory_allocated(self, device: Any = NAME) -> int:
        return MEMORY // 2

    def manual_seed(self, seed: int) -> None:
        self.manual_seed_all(seed)

    def get_rng_state(self, device: Any = NAME) -> torch.Tensor:
        return SimModule.state.clone()

    def set_rng_state(self, state: torch.Tensor, device: Any = NAME) -> None:
        SimModule.state = state.clone()


@contextlib.contextmanager
def _own_random_numbers(args: Any, kwargs: dict[str, Any]) -> Iterator[None]:
    if any(isinstance(leaf, torch.Generator) for leaf in (*args, *kwargs.values())):
        raise RuntimeError(f"Expected a '{NAME}' device type for generator but found 'cpu'")
    of_the_cpu = torch.default_generator.get_state()
    torch.default_generator.set_state(SimModule.state)
    try:
        yield
    finally:
        SimModule.state = torch.default_generator.get_state()
        torch.default_generator.set_state(of_the_cpu)


def become_the_device() -> None:
    """From here on this process has the device."""
    getattr(backend_registration, REGISTER)(NAME, backend_module=SimModule())
    # Parameters are exchanged, not given other data: a module's `to` then keeps tied weights tied.
    torch.__future__.set_swap_module_params_on_conversion(True)
    global _library
    _library = torch.library.Library("aten", "IMPL")
    _library.impl("empty_strided", _empty_strided, "PrivateUse1")
    _library.impl("empty.memory_format", _empty, "PrivateUse1")
    _library.impl("_copy_from", _copy_from, "PrivateUse1")
    torch.nn.Parameter.data = property(torch._C.TensorBase.data.__get__, _set_data)  # type: ignore[assignment]
    torch.accelerator.synchronize = lambda device=None: None  # nothing is ever under way
    SimMode().__enter__()


_library: Any = None
"""Of the operators that PyTorch calls below `__torch_dispatch__`; they go when it does."""


def _empty_strided(size: Any, stride: Any, dtype: Any = None, device: Any = None, **_: Any) -> SimTensor:
    return SimTensor(torch.empty_strided(size, stride, dtype=dtype, device="cpu"), _index(device))


def _empty(size: Any, dtype: Any = None, device: Any = None, **_: Any) -> SimTensor:
    return SimTensor(torch.empty(size, dtype=dtype, device="cpu"), _index(device))


def _index(device: Any) -> int:
    return 0 if device is None else torch.device(device).index or 0


def _copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    _held(target).copy_(_held(source))
    return target
