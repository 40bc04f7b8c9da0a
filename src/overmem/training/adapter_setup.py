"""The trainer of adapters that need more than a `LoraConfig`: LoRA+, PiSSA and OLoRA.

PiSSA and OLoRA train over a base model with a part taken out. Here that part is taken out after TRL has made
the adapter, and every checkpoint is saved as plain LoRA of twice the rank over the base as it is on disk:
an ordinary PEFT folder, which holds the factors that training started from as its second half. So a run that
is resumed takes the same part out again, and goes on as if it had not been stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from peft.optimizers import create_loraplus_optimizer
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file

from overmem.errors import RecipeError
from overmem.models.adapters import WEIGHTS, Pair, initial_factors, make_plain, outputs_first, split_plain
from overmem.training.reweighted import ReweightedSFTTrainer


class AdaptingTrainer(ReweightedSFTTrainer):
    """`ReweightedSFTTrainer` with another learning rate for B, or over a changed base model."""

    optimizer: Any

    def __init__(self, *args: Any, lora_plus_ratio: float | None = None, **kwargs: Any) -> None:
        """As for `ReweightedSFTTrainer`; `lora_plus_ratio` is the learning rate of B over that of A."""
        self._ratio = lora_plus_ratio
        self._start: dict[str, Pair] = {}
        super().__init__(*args, **kwargs)

    def change_base(self, init: str, checkpoint: Path | None) -> None:
        """Take the factors that training starts from out of the base model.

        Args:
            init: PEFT's `init_lora_weights`, which the adapter was made without.
            checkpoint: the one to resume from, which holds the factors that its run started from.

        Raises:
            RecipeError: the rank is larger than a weight, or the weights are sharded.
        """
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise RecipeError(
                f"{init} changes the base model's weights, which FSDP and DeepSpeed hold in shards",
                expected="method lora, rslora, dora or lora_plus; or one device, or DDP",
            )
        # Embeddings, whose factors lie elsewhere, are left as they are.
        layers = {
            name: layer
            for name, layer in self.model.named_modules()
            if isinstance(layer, LoraLayer) and "default" in layer.lora_A
        }
        self._start = (
            split_plain(load_file(checkpoint / WEIGHTS))[1]
            if checkpoint
            else {name: _first_factors(name, layer, init) for name, layer in layers.items()}
        )
        for name, layer in layers.items():
            take_out(layer, self._start[name])
        # What is saved between here and its conversion says what it is.
        self.model.peft_config["default"].init_lora_weights = init

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The Trainer's; for LoRA+ with PEFT's groups of parameters."""
        if self.optimizer is None and self._ratio is not None:
            target = self.model if model is None else model
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args, target)
            rate = settings.pop("lr")
            self.optimizer = create_loraplus_optimizer(
                target,
                kind,
                lr=rate,
                loraplus_lr_embedding=rate,  # PEFT's own, 1e-6, hardly moves them
                loraplus_lr_ratio=self._ratio,
                loraplus_weight_decay=self.args.weight_decay,
                **settings,
            )
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        return optimizer

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        super()._save(output_dir, state_dict)
        if self._start and self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            make_plain(folder, folder, self._start)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self._start:
            self._load_trained(Path(resume_from_checkpoint))
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        if self._start:
            self._load_trained(Path(self.state.best_model_checkpoint))
        else:
            super()._load_best_model()

    def _load_trained(self, checkpoint: Path) -> None:
        trained, _ = split_plain(load_file(checkpoint / WEIGHTS))
        held = get_peft_model_state_dict(self.model)
        assert trained.keys() == held.keys()
        set_peft_model_state_dict(self.model, trained)


def take_out(layer: Any, start: Pair) -> None:
    """Start a layer's adapter at A0 and B0, and take `s B0 A0` out of its weight, in fp32 and in place."""
    a, b = (factor.to(layer.get_base_layer().weight.device) for factor in start)
    layer.lora_A["default"].weight.data.copy_(a)
    layer.lora_B["default"].weight.data.copy_(b)
    weight = outputs_first(layer)
    # In PEFT's order of operations, to the bit.
    weight.data.copy_(weight.data.float() - layer.scaling["default"] * b.float() @ a.float())


def _first_factors(name: str, layer: Any, init: str) -> Pair:
    weight, rank = outputs_first(layer), layer.r["default"]
    if rank > min(weight.shape):
        raise RecipeError(
            f"{init} takes its factors from the weights, which are smaller than the rank",
            got=f"r {rank}, and {name} of shape {tuple(weight.shape)}",
            expected=f"lora.r of at most {min(weight.shape)}",
        )
    return initial_factors(weight, rank, layer.scaling["default"], init)
