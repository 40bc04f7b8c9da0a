"""Token losses by name: `token_weights`, and what every loss needs and takes.

A loss is either a weight w_t on ell_t = -ln p_t, which needs only p_t, the entropy or the token ids, or a
function of the whole distribution, which needs the logits (`overmem.recipe.loss_formulas`). `LOSSES` lists
them all with their options; the recipe, the trainer and `token_weights` check names and options against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from overmem.errors import DataError, RecipeError
from overmem.keywords import names_its_keywords
from overmem.recipe import loss_formulas as formulas

if TYPE_CHECKING:
    from torch import Tensor

_LEAST = 1e-8
"""Keeps mean weights away from 0."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One setting of a loss."""

    default: Any
    accepts: Callable[[Any], bool]
    expected: str
    """What `accepts` accepts, in words."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What a named loss computes, from what, and with which settings."""

    name: str
    source: str
    """arXiv number and where in the paper."""
    needs: tuple[str, ...]
    """Tensors it is computed from: logprobs, entropy, input_ids or logits."""
    weights: Callable[..., Tensor] | None = None
    """Weight of each token; None where the loss is not a weighted NLL."""
    per_token: Callable[..., Tensor] | None = None
    """Loss of each token from (logits_N_V, labels_N), for losses of the whole distribution."""
    options: dict[str, Option] = field(default_factory=dict)
    relative: bool = False
    """Whether the weights mean something only relative to their mean over the batch."""


@names_its_keywords
def token_weights(
    name: str,
    logprobs: Tensor,
    entropy: Tensor | None = None,
    label_mask: Tensor | None = None,
    *,
    normalize: bool = False,
    input_ids: Tensor | None = None,
    position_ids: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """Weight of each token's NLL under a named loss.

    The batch loss is `-(weights * logprobs)[label_mask].sum() / N`, N being the trainable tokens of the
    whole optimizer step.

    Args:
        name: one of `LOSSES` that has weights: nll, mar, focal, dft, eaft, talr, goldfish.
        logprobs: ln p of each label, any shape, in float32.
        entropy: of the prediction in nats, same shape; eaft needs it: `formulas.top20_entropy` where the
            logits are at hand, else the entropy of the whole vocabulary.
        label_mask: False where a token is not trained on; None trains on all.
        normalize: divide by the mean over the trainable tokens given, which separates the choice of tokens
            from the smaller step that lower weights imply. Always done for talr.
        input_ids: ids of the rows, one token longer than `logprobs`; goldfish needs them.
        position_ids: for goldfish, place of each token in its document.
        **options: of the loss: gamma and differentiate (focal), alpha (eaft), tau (talr), k and h (goldfish).

    Returns:
        Weights at least 0, shape of `logprobs`, detached except for focal with `differentiate`; 0 where
        `label_mask` is False.

    Raises:
        RecipeError: unknown loss or option, or a loss that is not a weighted NLL.
        DataError: a tensor the loss needs is missing or has another shape.
    """
    import torch

    loss, settings = resolve_loss(name, options)
    weights = weigh(loss, settings, logprobs, entropy, input_ids, position_ids)
    mask = torch.ones_like(logprobs, dtype=torch.bool) if label_mask is None else label_mask.bool()
    _check_shape("label_mask", mask, logprobs.shape)
    weights = torch.where(mask, weights, 0)
    if loss.relative or normalize:
        weights = weights / (weights.detach().sum() / mask.sum().clamp(min=1)).clamp(min=_LEAST)
    return weights


def weigh(
    loss: Loss,
    settings: dict[str, Any],
    logprobs: Tensor,
    entropy: Tensor | None = None,
    input_ids: Tensor | None = None,
    position_ids: Tensor | None = None,
) -> Tensor:
    """Weights as the formula gives them, neither masked nor normalised; see `token_weights`."""
    if loss.weights is None:
        raise RecipeError(
            f"{loss.name} is not a weighted NLL: it has no token weights",
            expected=", ".join(sorted(known.name for known in LOSSES.values() if known.weights)),
        )
    if "input_ids" in loss.needs:
        shape = (*logprobs.shape[:-1], logprobs.shape[-1] + 1)
        ids = _check_shape("input_ids", input_ids, shape)
        if position_ids is not None:
            _check_shape("position_ids", position_ids, shape)
        return loss.weights(ids, position_ids_T=position_ids, **settings).to(logprobs.dtype)
    if "entropy" in loss.needs:
        return loss.weights(_check_shape("entropy", entropy, logprobs.shape), **settings)
    return loss.weights(logprobs, **settings)


def resolve_loss(name: str, options: dict[str, Any] | None = None) -> tuple[Loss, dict[str, Any]]:
    """The named loss and all its settings, defaults filled in.

    Raises:
        RecipeError: unknown loss or option, or a value the option does not take.
    """
    if name not in LOSSES:
        raise RecipeError("unknown loss", got=name, expected=", ".join(sorted(LOSSES)))
    loss, options = LOSSES[name], options or {}
    unknown = sorted(set(options) - set(loss.options))
    if unknown:
        raise RecipeError(
            f"unknown option of the loss {name}",
            got=", ".join(unknown),
            expected=", ".join(sorted(loss.options)) or "no options",
        )
    for key, value in options.items():
        if not loss.options[key].accepts(value):
            raise RecipeError(
                f"impossible value of {name}'s option {key}",
                got=repr(value),
                expected=loss.options[key].expected,
            )
    return loss, {key: option.default for key, option in loss.options.items()} | options


def check_choice(loss: Loss, normalize: bool, from_step: int) -> None:
    """Refuse settings of the trainer that would do nothing.

    Raises:
        RecipeError: weights to normalise where there are none, or a step below 0.
    """
    if normalize and loss.weights is None:
        raise RecipeError(
            f"{loss.name} has no token weights to normalise",
            got="normalize_weights: true",
            expected="normalize_weights: false",
        )
    if from_step < 0:
        raise RecipeError("weights_from_step is below 0", got=from_step, expected="0 or more optimizer steps")


def _check_shape(name: str, tensor: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    if tensor is None:
        raise DataError(f"the loss needs {name}", expected=f"a tensor of shape {tuple(shape)}")
    if tensor.shape != shape:
        raise DataError(f"{name} does not fit logprobs", got=tuple(tensor.shape), expected=tuple(shape))
    return tensor


def _number(default: float, low: float, high: float = math.inf, *, open_low: bool = False) -> Option:
    def accepts(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (low < value if open_low else low <= value) and value <= high and math.isfinite(value)

    least = f"above {low:g}" if open_low else f"at least {low:g}"
    most = "" if high == math.inf else f" and at most {high:g}"
    return Option(default=default, accepts=accepts, expected=f"a number {least}{most}")


def _whole(default: int, low: int) -> Option:
    def accepts(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= low

    return Option(default=default, accepts=accepts, expected=f"a whole number of at least {low}")


_SWITCH = Option(default=False, accepts=lambda value: isinstance(value, bool), expected="true or false")
_FORM = Option(default="full", accepts=lambda value: value in ("full", "top20"), expected="full or top20")

LOSSES = {
    loss.name: loss
    for loss in (
        Loss(name="nll", source="cross entropy", needs=("logprobs",), weights=formulas.nll_weights),
        Loss(name="mar", source="2508.04117 eq. 2", needs=("logprobs",), weights=formulas.mar_weights),
        Loss(
            name="focal",
            source="1708.02002 eq. 4",
            needs=("logprobs",),
            weights=formulas.focal_weights,
            options={"gamma": _number(2.0, 0), "differentiate": _SWITCH},
        ),
        Loss(name="dft", source="2508.05629", needs=("logprobs",), weights=formulas.dft_weights),
        Loss(
            name="eaft",
            source="2601.02151",
            needs=("entropy",),
            weights=formulas.eaft_weights,
            options={"alpha": _number(1.0, 0), "entropy_form": _FORM},
        ),
        Loss(
            name="talr",
            source="2509.20758",
            needs=("logprobs",),
            weights=formulas.talr_weights,
            options={"tau": _number(1.0, 0, open_low=True)},
            relative=True,
        ),
        Loss(
            name="goldfish",
            source="2406.10209 sec. 3.1",
            needs=("input_ids",),
            weights=formulas.goldfish_weights,
            options={"k": _whole(4, 2), "h": _whole(13, 1)},
        ),
        Loss(
            name="label_smoothing",
            source="1512.00567 sec. 7",
            needs=("logits",),
            per_token=formulas.label_smoothing_loss,
            options={"epsilon": _number(0.1, 0, 1)},
        ),
        Loss(
            name="gem",
            source="2408.16673",
            needs=("logits",),
            per_token=formulas.gem_loss,
            options={"beta": _number(0.7, 0, 1, open_low=True)},
        ),
    )
}
"""Every loss by name."""
