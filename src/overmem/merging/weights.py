"""From a method's name and settings to one weight a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from overmem.errors import MergeError
from overmem.extras import needs_extra
from overmem.merging.methods import ema_weights, pair_weights, soup_weights, wise_weights

METHODS = ("pair", "wise", "soup", "linear", "ema", "slerp", "ties", "dare")
TWO_INPUTS = ("pair", "wise", "slerp")
WITH_MERGEKIT = ("ties", "dare")
TAKES_WEIGHTS = ("pair", "soup", "linear", *WITH_MERGEKIT)
TAKES_ALPHA = ("wise", "slerp")


def resolve_weights(
    method: str, n: int, *, weights: Sequence[float] | None, alpha: float | None, decay: float | None
) -> tuple[str, tuple[float, ...]]:
    """The method, `linear` when weights are given outright, and a weight for every input.

    Raises:
        MergeError: an unknown method, a setting it does not take, or weights that are no average.
    """
    _check_method(method, n)
    for name, value, users in (
        ("weights", weights, TAKES_WEIGHTS),
        ("alpha", alpha, TAKES_ALPHA),
        ("decay", decay, ("ema",)),
    ):
        if value is not None and method not in users:
            raise MergeError(
                f"method {method} takes no {name}", got=value, expected=f"only {', '.join(users)} do"
            )
    if weights is not None:
        return method if method in WITH_MERGEKIT else "linear", _checked_weights(weights, n)
    if method == "linear":
        raise MergeError("method linear needs weights", expected=f"{n} numbers that sum to 1")
    if method == "pair":
        return method, pair_weights()
    if method in TAKES_ALPHA:
        return method, wise_weights(_checked_alpha(method, alpha))
    if method == "ema":
        return method, ema_weights(n, _checked_decay(decay))
    return method, soup_weights(n)


def _check_method(method: str, n: int) -> None:
    if method == "greedy":
        raise MergeError(
            "method greedy needs an evaluation of every candidate",
            expected=", ".join(METHODS),
            next_step="use `overmem repair`, or overmem.merging.methods.greedy_soup with your own",
        )
    if method not in METHODS:
        raise MergeError("unknown merge method", got=method, expected=", ".join(METHODS))
    if n < 2:
        raise MergeError("a merge needs at least two checkpoints", got=n)
    if method in TWO_INPUTS and n != 2:
        raise MergeError(
            f"method {method} takes two checkpoints", got=n, next_step="use soup, ema or linear for more"
        )


def _checked_weights(weights: Sequence[float], n: int) -> tuple[float, ...]:
    shares = tuple(float(weight) for weight in weights)
    if len(shares) != n:
        raise MergeError("one weight is needed for every checkpoint", got=f"{len(shares)} for {n}")
    if not all(0 <= weight <= 1 for weight in shares):
        raise MergeError("the weights of an average lie between 0 and 1", got=shares)
    if not math.isclose(math.fsum(shares), 1.0, abs_tol=1e-6):
        raise MergeError(
            "the weights of an average sum to 1", got=f"{shares}, which sum to {math.fsum(shares):g}"
        )
    return shares


def _checked_alpha(method: str, alpha: float | None) -> float:
    if alpha is None or not 0 <= alpha <= 1:
        raise MergeError(
            f"method {method} needs alpha, the share of the second checkpoint", got=alpha, expected="0 to 1"
        )
    return alpha


def _checked_decay(decay: float | None) -> float:
    if decay is None or not 0 < decay < 1:
        raise MergeError(
            "method ema needs decay, the share kept at every step", got=decay, expected="between 0 and 1"
        )
    return decay


def mergekit_modules() -> list[Any]:
    """What is called of mergekit.

    Raises:
        MissingExtraError: mergekit is not installed.
    """
    with needs_extra("mergekit", "merging by ties or dare"):
        return [import_module(f"mergekit.{name}") for name in ("merge", "config", "options", "io.tasks")]
