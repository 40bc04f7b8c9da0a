"""Fine-tune with a token loss: TRL's SFTTrainer, and a loss function for the plain HF Trainer.

TRL's `compute_loss` sums the log-probabilities that the model returns and normalises them over the whole
optimizer step. `ReweightedSFTTrainer` hands it a stand-in for the model that returns them weighted, so that
normalisation, metrics, accumulation, adapters and the auxiliary loss of mixtures of experts stay TRL's own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from trl import SFTTrainer

from overmem.errors import RecipeError
from overmem.keywords import names_its_keywords
from overmem.recipe.loss_formulas import top20_entropy
from overmem.recipe.losses import LOSSES, Loss, check_choice, resolve_loss, token_weights, weigh
from overmem.training.logits import has_fused_head, score_logits, spread


class ReweightedSFTTrainer(SFTTrainer):
    """TRL's SFTTrainer with a choice of token losses.

    Logs `token_weight`, the mean weight of the tokens trained on since the last log, beside `loss`. It is
    taken before normalisation, so it tells how much the weighting shrinks the step; losses that are not a
    weighted NLL have none. Evaluation always reports the plain NLL.

    `talr` and `normalize_weights` divide by the mean weight of the whole optimizer step. That is known only
    after its last micro-batch, so the gradients are divided, before clipping; the logged `loss` is not.

    Args:
        *args: of TRL's `SFTTrainer`.
        loss: a name in `overmem.recipe.losses.LOSSES`.
        loss_options: settings of that loss, such as `{"gamma": 0.5}` for focal.
        normalize_weights: keep the mean weight of every optimizer step at 1.
        weights_from_step: optimizer steps of plain NLL before the loss sets in.
        **kwargs: of TRL's `SFTTrainer`.

    Raises:
        RecipeError: unknown loss or option, or one that cannot be combined with the other arguments.
    """

    def __init__(
        self,
        *args: Any,
        loss: str = "mar",
        loss_options: dict[str, Any] | None = None,
        normalize_weights: bool = False,
        weights_from_step: int = 0,
        **kwargs: Any,
    ) -> None:
        self._loss, self._settings = resolve_loss(loss, loss_options)
        self._weights_from_step = weights_from_step
        self._divide = normalize_weights or self._loss.relative
        check_choice(self._loss, normalize_weights, weights_from_step)
        super().__init__(*args, **kwargs)
        self._check_surroundings()
        self._fused = has_fused_head(self.model)
        if not self._fused:
            warnings.warn(
                f"TRL has no fused LM head for {type(self.model).__name__}: the logits are built at every "
                "step, which takes more memory",
                stacklevel=2,
            )
        self._step_sums = self._logged_sums = torch.zeros(2, device=self.args.device)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """TRL's loss of the weighted log-probabilities."""
        training = self.model.training
        weighted = training and self.state.global_step >= self._weights_from_step
        loss, settings = (self._loss, self._settings) if weighted else (LOSSES["nll"], {})

        def stand_in(*, fused_lm_head: bool = False, **batch: Any) -> Any:
            if not fused_lm_head:
                return model(**batch)
            outputs, weights = self._score(model, batch, loss, settings)
            if training and weights is not None:
                self._step_sums = self._step_sums + torch.stack([weights.sum(), outputs.label_mask.sum()])
            return outputs

        return super().compute_loss(stand_in, inputs, return_outputs, num_items_in_batch)

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """TRL's step; after the last micro-batch of an optimizer step, the mean weight is known."""
        loss: Tensor = super().training_step(*args, **kwargs)
        if self.accelerator.sync_gradients:
            sums = self.accelerator.reduce(self._step_sums, reduction="sum")
            self._step_sums = torch.zeros_like(sums)
            self._logged_sums = self._logged_sums + sums
            if self._divide and self.state.global_step >= self._weights_from_step and sums[0] > 0:
                divide_gradients(self.model, float(sums[0] / sums[1]))
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add `token_weight` to the training log."""
        if self.model.training and self._logged_sums[1] > 0:
            logs["token_weight"] = float(self._logged_sums[0] / self._logged_sums[1])
            self._logged_sums = torch.zeros_like(self._logged_sums)
        super().log(logs, start_time)

    def _score(
        self, model: Any, batch: dict[str, Any], loss: Loss, settings: dict[str, Any]
    ) -> tuple[Any, Tensor | None]:
        """The model's outputs with weighted log-probabilities, and the weights where the loss has any."""
        if self._fused and not needs_logits(loss, settings):
            outputs = model(**batch, fused_lm_head=True)
            entropy = outputs.entropy
        else:
            labels, shifted = batch.pop("labels"), batch.pop("shift_labels", None)
            raw = model(**batch)
            outputs = score_logits(raw.logits, labels, shifted, getattr(raw, "aux_loss", None))
            entropy = outputs.entropy
            if loss.per_token is not None:
                values = -loss.per_token(outputs.logits_N_V, outputs.labels_N, **settings)
                outputs.log_probs = spread(values, outputs.label_mask)
                return outputs, None
            if settings.get("entropy_form") == "top20":
                entropy = spread(top20_entropy(outputs.logits_N_V), outputs.label_mask)
        ids, places = (None, None)
        if "input_ids" in loss.needs:
            ids, places = rows_of_ids(batch, outputs.log_probs.shape[-1])
        weights = weigh(loss, settings, outputs.log_probs, entropy, ids, places)
        weights = torch.where(outputs.label_mask, weights, 0)
        outputs.log_probs = weights * outputs.log_probs
        return outputs, weights.detach()

    def _check_surroundings(self) -> None:
        arguments = self.args
        if (
            arguments.loss_type != "nll"
            or arguments.label_smoothing_factor > 0
            or self.compute_loss_func is not None
        ):
            raise RecipeError(
                "two losses are asked for",
                got="loss_type, label_smoothing_factor or compute_loss_func beside loss",
                expected="the loss by name alone, such as loss='dft' or loss='label_smoothing'",
            )
        parallel = self.accelerator.parallelism_config
        if parallel is not None and parallel.sp_enabled and self._loss.name != "nll":
            raise RecipeError(
                "sequence parallelism computes the loss itself", got=self._loss.name, expected="nll"
            )
        if parallel is not None and parallel.cp_enabled and "input_ids" in self._loss.needs:
            raise RecipeError(
                f"{self._loss.name} needs whole rows",
                got="context parallelism, which cuts them",
                expected="cp_size 1",
            )
        if self._divide and self.is_deepspeed_enabled:
            raise RecipeError(
                "weights of mean 1 need the gradients, which DeepSpeed keeps to itself",
                expected="a loss other than talr, normalize_weights off, or another backend (FSDP, DDP)",
            )
        if self._divide and self.aux_loss_enabled:
            raise RecipeError(
                "weights of mean 1 would change the weight of the experts' auxiliary loss",
                expected="a loss other than talr and normalize_weights off, or router_aux_loss_coef: 0",
            )


@names_its_keywords
def reweighted_loss(name: str, *, normalize: bool = False, **options: Any) -> Callable[..., Tensor]:
    """A loss for the plain HF Trainer: `Trainer(..., compute_loss_func=reweighted_loss("mar"))`.

    Normalised over the whole optimizer step like the Trainer's own loss; evaluation, which records no
    gradients, reports the plain NLL. Weights of mean 1 (talr, `normalize`) are relative to one micro-batch,
    since that is all such a function sees; `ReweightedSFTTrainer` takes the whole step. EAFT takes the
    paper's top-20 entropy, as the logits are there anyway.

    Raises:
        RecipeError: unknown loss or option, goldfish, which needs the prompt's ids, or eaft with the full
            entropy.
    """
    loss, settings = resolve_loss(name, options)
    check_choice(loss, normalize, 0)
    if options.get("entropy_form") == "full":
        raise RecipeError(
            "the loss function of the plain Trainer takes the top-20 entropy",
            got="entropy_form='full'",
            expected="entropy_form left out, or top20",
        )
    if "input_ids" in loss.needs:
        raise RecipeError(
            f"{name} needs the input ids, which the HF Trainer does not pass to a loss function",
            next_step="use overmem.ReweightedSFTTrainer, which is given them",
        )

    def compute(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        scored = score_logits(outputs.logits, labels)
        logprobs_N = scored.log_probs[scored.label_mask]
        if not torch.is_grad_enabled():
            values_N = -logprobs_N
        elif loss.per_token is not None:
            values_N = loss.per_token(scored.logits_N_V, scored.labels_N, **settings)
        else:
            entropy_N = top20_entropy(scored.logits_N_V) if "entropy" in loss.needs else None
            values_N = -logprobs_N * token_weights(
                name, logprobs_N, entropy_N, normalize=normalize, **options
            )
        count = scored.label_mask.sum() if num_items_in_batch is None else num_items_in_batch
        total: Tensor = values_N.sum() / torch.as_tensor(count, device=values_N.device).clamp(min=1)
        return total

    return compute


def needs_logits(loss: Loss, settings: dict[str, Any]) -> bool:
    """Whether the fused LM head's outputs are not enough."""
    return "logits" in loss.needs or settings.get("entropy_form") == "top20"


def rows_of_ids(batch: dict[str, Any], predictions: int) -> tuple[Tensor, Tensor]:
    """Token ids of each row and their places in their documents, with PEFT's virtual tokens put before."""
    ids, places, mask = (batch.get(key) for key in ("input_ids", "position_ids", "attention_mask"))
    assert ids is not None
    if places is None:
        places = (torch.ones_like(ids) if mask is None else mask.long()).cumsum(-1) - 1
    virtual = predictions + 1 - ids.shape[-1]
    return pad(ids, (virtual, 0)), pad(places, (virtual, 0))


def divide_gradients(model: torch.nn.Module, divisor: float) -> None:
    """Divide every gradient that there is."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.div_(divisor)
