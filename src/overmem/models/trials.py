"""What a model allows, tried on it: does a faster way give the logits of the plain one?

Configurations do not say whether padding changes a state, whether logits can be asked for at some positions,
or what a cache holds. So each way is tried once on a few tokens, and taken where it agrees.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from accelerate.utils.memory import should_reduce_batch_size

from overmem.boundary import reason
from overmem.models.pretrained import unwrap_adapter

T = TypeVar("T")
TOLERANCE = 1e-3
"""Of the logits' spread, within which two ways agree in fp32 at every position; rounding is far below it."""
LOW_TOLERANCE = 0.15
"""The same in 16 bits, for the median position: at one of them an expert may be chosen otherwise."""

ELSEWHERE = re.compile("(same|expected) device")
"""In what torch says of tensors that are not where they are needed."""

log = logging.getLogger("overmem.models")


class Trials:
    """What was found of each model, and of each configuration: checkpoints of one run share theirs."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._of_model: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self._of_kind: dict[tuple[str, ...], Any] = {}

    def find(self, model: Any, attempt: Callable[[], tuple[T, bool]]) -> T:
        """What was found before, else what an attempt finds, which says whether it holds for its kind."""
        base = unwrap_adapter(model)
        found = self._of_model.get(base)
        if found is None:
            kind = _kind(model, base)
            found = self._of_kind.get(kind)
            if found is None:
                found, holds = attempt()
                if holds:
                    self._of_kind[kind] = found
            self._of_model[base] = found
        return found


def says_something(logits: torch.Tensor) -> bool:
    """Whether logits can tell two ways apart: they are finite, and not all the same."""
    return bool(torch.isfinite(logits).all()) and float(logits.detach().float().std()) > 0


def agree(found: torch.Tensor, expected: torch.Tensor, model: Any) -> bool:
    """Whether two ways give the same logits, but for rounding.

    Args:
        found: (positions, V).
        expected: the same of the plain way.
        model: whose weights' dtype says what rounding is.
    """
    if found.shape != expected.shape or not torch.isfinite(found).all():
        return False
    apart = ((found.float() - expected.float()).abs().amax(-1) / expected.float().std()).detach()
    if _is_precise(model):
        return float(apart.max()) <= TOLERANCE
    return float(apart.median()) <= LOW_TOLERANCE


def first_that_agrees(
    ways: Sequence[tuple[T, Callable[[], torch.Tensor]]], expected: torch.Tensor, model: Any, last: T
) -> T:
    """The first way whose logits are as expected; `last` where none is.

    Args:
        ways: each with the logits that it gives; one that fails is passed over.
        expected: logits of the plain way.
        model: see `agree`.
        last: the plain way.

    Raises:
        RuntimeError, MemoryError: see `pass_over`.
    """
    for way, logits in ways:
        try:
            if agree(logits(), expected, model):
                return way
        except Exception as error:
            pass_over(str(way), model, error)
    return last


def pass_over(way: str, model: Any, error: Exception) -> None:
    """Go on without a way that failed; where that is no trait of the model but of its devices, it is said.

    Raises:
        RuntimeError, MemoryError: memory ran out, which says nothing of the way.
    """
    if isinstance(error, MemoryError) or should_reduce_batch_size(error):
        raise error
    name = type(unwrap_adapter(model)).__name__
    raised: BaseException | None = error
    while raised is not None:
        if isinstance(raised, RuntimeError) and ELSEWHERE.search(str(raised)):
            log.warning(
                "%s: the way `%s` fails on the devices where the model is (%s); a slower one is taken",
                name, way, reason(raised),
            )  # fmt: skip
            return
        raised = raised.__cause__
    log.debug("%s: %s: %s", name, way, error)


def few_tokens(texts: Sequence[Sequence[int]], length: int) -> list[int]:
    """So many tokens of the texts that are to be measured, over again where they are short."""
    found = [token for text in texts[:4] for token in text[: 4 * length]][:length]
    return (found * -(-length // len(found)))[:length]


def _is_precise(model: Any) -> bool:
    weights = (weight for weight in model.parameters() if weight.is_floating_point())
    exact = {torch.float32, torch.float64}
    return not getattr(unwrap_adapter(model), "is_quantized", False) and next(weights).dtype in exact


def _kind(model: Any, base: Any) -> tuple[str, ...]:
    weight = next(model.parameters())
    adapters = sorted({str(config.peft_type) for config in getattr(model, "peft_config", {}).values()})
    return (
        type(base).__qualname__,
        base.config.to_json_string(),
        str(weight.dtype),
        weight.device.type,
        *adapters,
    )
