"""Weights in fewer bits: what a model's file says of them, and under which precision it is loaded.

A file is loaded as it says, unless asked otherwise: `4bit` and `8bit` quantize full weights with bitsandbytes
while they are loaded, as QLoRA does (arXiv 2305.14314), and `none` takes quantized weights back to floats.
Whatever reads a method's weights is a package of its own, which transformers asks for by name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from overmem.boundary import reason
from overmem.errors import OvermemError

if TYPE_CHECKING:
    import torch

log = logging.getLogger("overmem.models")
Quantize = Literal["4bit", "8bit", "none"]
"""Bits of the weights that an audit measures with; `none` is floats."""

PACKAGES = {
    "aqlm": '"aqlm[cpu,gpu]"',
    "auto-round": "auto-round",
    "awq": "gptqmodel",
    "bitsandbytes": '"overmem[quantized]"',
    "compressed-tensors": "compressed-tensors",
    "gptq": "optimum gptqmodel",
    "hqq": "hqq",
    "quanto": "optimum-quanto",
    "quark": "amd-quark",
    "torchao": "torchao",
    "vptq": "vptq",
}
"""What reads the weights of a method, as pip is told."""
NAMED = ("-bnb-4bit", "-bnb-8bit")
"""Endings of hub ids, Unsloth's above all, that say how a model was quantized."""
PACKED = ("Params4bit", "Int8Params")
"""Classes of bitsandbytes' weights."""
BNB = "bitsandbytes"
IN_FLOATS = "pass --quantize none, which takes the memory of the model in floats"


def stored_quantization(config: Any) -> dict[str, Any] | None:
    """What a model's configuration says of quantized weights; None where they are floats.

    Args:
        config: of transformers, of the whole model.
    """
    text = config.get_text_config(decoder=True) if hasattr(config, "get_text_config") else config
    found = getattr(config, "quantization_config", None) or getattr(text, "quantization_config", None)
    if found is None:
        return None
    if hasattr(found, "to_dict"):
        found = found.to_dict()
    return dict(found) if isinstance(found, Mapping) else {"quant_method": str(found)}


def describe(found: Mapping[str, Any]) -> str:
    """A method and its bits, for people: `bitsandbytes 4 bit`, `fp8`."""
    bits = _bits(found)
    return f"{_method(found)} {bits} bit" if bits else _method(found)


def measured_as(config: Any, quantize: Quantize | None) -> str:
    """The precision in which a model's quantized weights are measured; empty where they are floats.

    Args:
        config: of the file.
        quantize: what was asked for.
    """
    if quantize == "none":
        return ""
    found = stored_quantization(config)
    if found is None:
        return "" if quantize is None else describe({"quant_method": BNB, f"load_in_{quantize}": True})
    return describe(found)


def named_quantization(name: str) -> str | None:
    """What the name of a model says of its bits, such as `4bit` of `unsloth/X-bnb-4bit`; else None."""
    ending = next((ending for ending in NAMED if name.lower().partition("@")[0].endswith(ending)), None)
    return None if ending is None else ending.rpartition("-")[2]


def loading_settings(
    config: Any,
    quantize: Quantize | None,
    *,
    name: str,
    dtype: torch.dtype | None,
    device: torch.device | None,
    error: type[OvermemError],
) -> dict[str, Any]:
    """What `from_pretrained` is told beside the rest, so that weights are loaded in the precision asked for.

    Args:
        config: of the file.
        quantize: what was asked for; as the file says by default.
        name: of the model, for errors.
        dtype: of what is not quantized, and of the computation where we quantize.
        device: where quantized weights are put as they are loaded: most methods cannot move them later.
        error: class of the error.

    Raises:
        OvermemError: of the class `error`: the weights cannot be read here, or not in that precision.
    """
    found = stored_quantization(config)
    place = {} if device is None else {"device_map": {"": str(device)}}
    if found is None:
        if quantize in (None, "none"):
            return {}
        wanted = _bitsandbytes(quantize, dtype)
        _check_environment(wanted, wanted.to_dict(), name, place, error, stored=False)
        return {"quantization_config": wanted, **place}
    quantizer = _check_environment(found, found, name, place, error, stored=True)
    if quantize in ("4bit", "8bit") and (_method(found) != BNB or f"{_bits(found)}bit" != quantize):
        raise error(
            f"{name} is quantized in its file, and is not quantized again",
            got=f"--quantize {quantize} of {describe(found)}",
            expected=" or ".join(([f"{_bits(found)}bit"] if _method(found) == BNB else []) + ["none"]),
            next_step="leave --quantize out, or name the model from before quantization",
        )
    if quantize != "none" or _method(found) == BNB:
        return place
    if not hasattr(quantizer.quantization_config, "dequantize"):
        raise error(
            f"{name} holds quantized weights that transformers does not turn back into floats",
            got=f"--quantize none of {describe(found)}",
            expected="weights of bitsandbytes, fp8, mxfp4 or compressed-tensors",
            next_step="leave --quantize out, or name the model from before quantization",
        )
    return {"quantization_config": _read(found | {"dequantize": True}), **place}


@contextmanager
def packed_whole(name: str, error: type[OvermemError]) -> Iterator[None]:
    """Say in our words, while weights are loaded, that packed ones are kept on devices alone.

    Raises:
        OvermemError: of the class `error`: the devices do not hold them.
    """
    try:
        yield
    except ValueError as raised:
        if "dispatched on the CPU or the disk" not in str(raised):
            raise
        raise error(
            f"the devices do not hold all of {name}, and quantized weights are not offloaded",
            expected="devices that hold it whole, or weights in floats, which are offloaded",
            next_step="free the devices, or name the model from before quantization, without --quantize",
        ) from raised


def is_quantized(model: Any) -> bool:
    """Whether a model that is loaded holds quantized weights; one that was made floats again does not."""
    return bool(getattr(model, "is_quantized", False))


def reads_across_rows(model: Any) -> bool:
    """Whether what a layer makes of a token hangs on the others that it is read with, padding included.

    bitsandbytes in 8 bits (LLM.int8, arXiv 2208.07339) takes a feature in 16 bits for all tokens of a pass
    as soon as one of them has it above a threshold.
    """
    return any(type(weight).__name__ == "Int8Params" for weight in model.parameters())


def finish(
    model: Any,
    quantize: Quantize | None,
    name: str,
    error: type[OvermemError],
    dtype: torch.dtype | None = None,
) -> None:
    """Turn what was just loaded into floats where that was asked for; see that what was asked for came of it.

    Before anything went through the model: on a CPU a forward pass rounds what bitsandbytes keeps.
    transformers leaves embeddings and norms beside packed weights in the dtype of their file; beside those of
    bitsandbytes, which take any, they are put in the one that was asked for.

    Raises:
        OvermemError: of the class `error`: nothing in the model could be quantized.
    """
    if quantize == "none":
        if is_quantized(model):
            model.dequantize()
            if dtype is not None:
                _put_floats_in(model, dtype)
        return
    if is_quantized(model) and dtype is not None:
        method = _method(stored_quantization(model.config) or {})
        own = model.get_input_embeddings().weight.dtype
        if method == BNB:
            _put_floats_in(model, dtype)
        elif own != dtype:
            _say_own_dtype(method, own, dtype)
    if quantize is not None and not any(type(p).__name__ in PACKED for p in model.parameters()):
        raise error(
            f"{name} has no weights that bitsandbytes quantizes",
            got=f"--quantize {quantize} of {type(model).__name__}",
            expected="linear layers other than the LM head",
            next_step="leave --quantize out",
        )


def weight_bytes(model: Any, parameters: int, precision: str, dtype: torch.dtype) -> int:
    """Bytes of a model's weights in memory, scales of blocks left out.

    Args:
        model: without weights, all in floats.
        parameters: of it and of an adapter.
        precision: what `measured_as` says.
        dtype: of what is not quantized.
    """
    from torch.nn import Linear

    bits = next((int(word) for word in precision.split() if word.isdigit()), 8 if precision else 0)
    if not bits:
        return parameters * dtype.itemsize
    head = model.get_output_embeddings()
    packed = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, Linear) and module is not head
    )
    return (parameters - packed) * dtype.itemsize + packed * bits // 8


def _put_floats_in(model: Any, dtype: torch.dtype) -> None:
    for weight in model.parameters():
        if weight.is_floating_point():
            weight.data = weight.data.to(dtype)


@cache
def _say_own_dtype(method: str, own: torch.dtype, asked: torch.dtype) -> None:
    log.warning(
        "weights quantized by %s are measured in the dtype of their file, %s, and not in %s; "
        "to name it rightly pass --dtype %s",
        method, own, asked, str(own).removeprefix("torch."),
    )  # fmt: skip


def _method(found: Mapping[str, Any]) -> str:
    if found.get("load_in_4bit") or found.get("load_in_8bit"):
        return BNB
    return str(found.get("quant_method") or "a method that is not named")


def _bits(found: Mapping[str, Any]) -> int | None:
    for bits in (4, 8):
        if found.get(f"load_in_{bits}bit"):
            return bits
    return found["bits"] if isinstance(found.get("bits"), int) else None


def _bitsandbytes(quantize: Any, dtype: torch.dtype | None) -> Any:
    """As QLoRA quantizes: NF4, its scales quantized too, computed in the dtype of the audit."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=quantize == "4bit",
        load_in_8bit=quantize == "8bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _read(found: Mapping[str, Any]) -> Any:
    from transformers.quantizers.auto import AutoQuantizationConfig

    return AutoQuantizationConfig.from_dict(dict(found))


def _check_environment(
    config: Any,
    found: Mapping[str, Any],
    name: str,
    place: Mapping[str, Any],
    error: type[OvermemError],
    *,
    stored: bool,
) -> Any:
    """What transformers loads such weights with, once it has what it needs.

    transformers goes on without a method that it does not know, as if the weights were whole.
    """
    from transformers.quantizers import AutoHfQuantizer

    try:
        # A copy: what is read here is changed by what the machine cannot do.
        quantizer = AutoHfQuantizer.from_config(_read(found) if stored else config, pre_quantized=stored)
        quantizer.validate_environment(device_map=place.get("device_map"))
    except Exception as raised:
        package = PACKAGES.get(_method(found)) if isinstance(raised, ImportError) else None
        install = f"pip install {package}" if package else "install what it asks for"
        raise error(
            f"{name} holds weights quantized by {_method(found)}, which cannot be read here"
            if stored
            else f"{name} cannot be quantized here",
            got=reason(raised),
            expected="a method that transformers knows, with its package and its device",
            next_step=f"{install}, or "
            + ("name the model from before quantization" if stored else "leave --quantize out"),
        ) from raised
    return quantizer
