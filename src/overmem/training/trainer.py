"""Run a recipe: TRL's SFTTrainer over exactly the tokens that the audit will score."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig

from overmem.auditing.adapters import changed_base
from overmem.diagnosis.live import Reading
from overmem.errors import RecipeError, RunError
from overmem.store import write_text_atomic
from overmem.tasks.sources import load_examples
from overmem.tasks.template import Template, check_all_fit, refuse_foreign_ids, render
from overmem.training.adapting import AdaptingTrainer
from overmem.training.load import load_model
from overmem.training.methods import lora_fields
from overmem.training.monitor import OverMemorizationMonitor
from overmem.training.precision import AUTO, has_bf16
from overmem.training.recipe import RECIPE_NAME, Recipe, dump_recipe, load_recipe

Progress = Callable[[int, int, float | None], None]
"""Called with (steps done, steps in all, last logged loss)."""
Watch = Callable[[Reading], None]
"""Called with what the monitor has just read."""


def train(
    recipe: Recipe, *, resume: bool = False, progress: Progress | None = None, watch: Watch | None = None
) -> Path:
    """Fine-tune as the recipe says and leave an ordinary run folder.

    Under `accelerate launch` or `torchrun` every process calls it, and the first one writes.

    Args:
        recipe: the validated recipe.
        resume: continue from the newest checkpoint of a run that was stopped.
        progress: told after every optimizer step, on the first process.
        watch: told whenever the monitor has measured, likewise; it does where the recipe has `data.val`.

    Returns:
        The run folder, with `checkpoint-<step>/` folders and the resolved `recipe.yaml`.

    Raises:
        OvermemError: bad recipe, data or model, or a run folder that is already in use.
    """
    output = Path(recipe.output)
    newest = check_output(recipe, resume=resume)
    arguments = sft_config(recipe)
    model, tokenizer = load_model(recipe.model)
    limits = (getattr(model.config, "max_position_embeddings", None), arguments.max_length)
    limit = min((x for x in limits if x is not None), default=None)
    train_data = tokenized(recipe.data.train, tokenizer, recipe, limit)
    check_ids(train_data, model.get_input_embeddings().weight.shape[0])
    evaluate = arguments.eval_strategy != "no"
    callbacks: list[TrainerCallback] = [_ProgressCallback(progress)] if progress else []
    if recipe.monitor.enabled and recipe.data.val is not None:
        callbacks.append(monitor_of(recipe, recipe.data.val, watch))
    trainer = AdaptingTrainer(
        model=model,
        args=arguments,
        train_dataset=train_data,
        eval_dataset=tokenized(_val_source(recipe), tokenizer, recipe, limit) if evaluate else None,
        processing_class=tokenizer,
        peft_config=lora_config(recipe, plain=True),
        callbacks=callbacks or None,
        loss=recipe.loss,
        loss_options=recipe.loss_options,
        normalize_weights=recipe.normalize_weights,
        weights_from_step=recipe.weights_from_step,
        lora_plus_ratio=recipe.lora_plus_ratio,
    )
    init = changed_base({} if recipe.method == "full" else lora_fields(recipe.method, recipe.lora))
    if init is not None:
        trainer.change_base(init, newest)
    # Its dict of numbers at every log would break the progress display; the log is in trainer_state.json.
    trainer.remove_callback(PrinterCallback)
    first = trainer.is_world_process_zero()
    if recipe.save_base and newest is None:
        # By all processes: where weights are sharded they are gathered here.
        trainer.save_model(str(output / "checkpoint-0"))
        if first:
            trainer.state.save_to_json(str(output / "checkpoint-0" / "trainer_state.json"))
    if first:
        write_text_atomic(output / RECIPE_NAME, dump_recipe(recipe))
    trainer.train(resume_from_checkpoint=str(newest) if newest is not None else None)
    return output


def check_output(recipe: Recipe, *, resume: bool) -> Path | None:
    """The checkpoint to continue from, if any.

    Raises:
        RunError: the run folder is in use, or is that of another recipe.
    """
    newest = newest_checkpoint(Path(recipe.output))
    if newest is not None and not resume:
        raise RunError(
            "the output folder already holds checkpoints",
            got=newest,
            next_step="pass --resume to continue that run, or --output for another folder",
        )
    if newest is not None:
        _check_same_recipe(Path(recipe.output), recipe)
    return newest


def monitor_of(recipe: Recipe, val: str, watch: Watch | None) -> OverMemorizationMonitor:
    """The monitor that a recipe asks for, on the tokens that training and auditing see.

    Raises:
        OvermemError: data that cannot be read, or settings without meaning.
    """
    return OverMemorizationMonitor(
        val,
        recipe.data.train,
        template=Template(**recipe.template.model_dump()),
        watch=watch,
        **recipe.monitor.model_dump(exclude={"enabled"}),
    )


def sft_config(recipe: Recipe) -> SFTConfig:
    """TRL's configuration: our few defaults, then whatever the recipe says.

    Raises:
        RecipeError: a field that `SFTConfig` does not have, or a value it refuses.
    """
    fields = {
        "save_strategy": "epoch",
        "report_to": "none",
        "logging_steps": 10,
        "disable_tqdm": True,
        # TRL would cut examples at 1,024 tokens; a limit that is set refuses them instead.
        "max_length": None,
        "bf16": AUTO,
        # Without this, transformers refuses bf16 where there is no accelerator.
        "use_cpu": not torch.accelerator.is_available(),
        **recipe.training,
    }
    if fields["bf16"] == AUTO:
        fields["bf16"] = has_bf16(use_cpu=fields["use_cpu"]) and not fields.get("fp16", False)
    unknown = sorted(set(fields) - set(SFTConfig.__dataclass_fields__))
    if unknown:
        raise RecipeError(
            "unknown key under training",
            got=", ".join(unknown),
            expected="a field of trl.SFTConfig (learning_rate, num_train_epochs, ...)",
        )
    try:
        return SFTConfig(output_dir=recipe.output, seed=recipe.seed, **fields)
    except (ValueError, TypeError) as error:
        raise RecipeError("trl.SFTConfig refuses the training section", got=error) from None


def lora_config(recipe: Recipe, *, plain: bool = False) -> LoraConfig | None:
    """PEFT's configuration, or None for full fine-tuning.

    Args:
        recipe: whose method and `lora` section it is.
        plain: start at an update of zero over an unchanged base model; `AdaptingTrainer` changes it.

    Raises:
        RecipeError: a field that `LoraConfig` does not have, or a value it refuses.
    """
    if recipe.method == "full":
        return None
    fields = lora_fields(recipe.method, recipe.lora)
    unknown = sorted(set(fields) - set(LoraConfig.__dataclass_fields__))
    if unknown:
        raise RecipeError(
            "unknown key under lora",
            got=", ".join(unknown),
            expected="a field of peft.LoraConfig (r, lora_alpha, target_modules, ...)",
        )
    if plain and changed_base(fields) is not None:
        fields["init_lora_weights"] = True
    try:
        return LoraConfig(**{"task_type": "CAUSAL_LM", "target_modules": "all-linear", **fields})
    except (ValueError, TypeError) as error:
        raise RecipeError("peft.LoraConfig refuses the lora section", got=error) from None


def tokenized(source: str, tokenizer: Any, recipe: Recipe, limit: int | None) -> Dataset:
    """Examples as `input_ids` and `labels`, prompts masked: TRL then prepares nothing itself."""
    template = Template(**recipe.template.model_dump())
    rendered = [render(example, tokenizer, template) for example in load_examples(source).examples]
    check_all_fit(rendered, limit)
    return Dataset.from_list(
        [
            {
                "input_ids": item.input_ids,
                "labels": (-100,) * len(item.prompt_ids) + item.completion_ids,
            }
            for item in rendered
        ]
    )


def check_ids(data: Dataset, rows: int) -> None:
    """Refuse token ids that the model has no embedding for."""
    refuse_foreign_ids(max(max(ids) for ids in data["input_ids"]), rows)


def _check_same_recipe(output: Path, recipe: Recipe) -> None:
    saved = output / RECIPE_NAME
    if saved.is_file() and load_recipe(str(saved)) != recipe:
        raise RunError(
            "the output folder belongs to a run of another recipe",
            got=saved,
            next_step="pass --output for another folder, or delete that one",
        )


class _ProgressCallback(TrainerCallback):
    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.loss: float | None = None

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self.loss = (logs or {}).get("loss", self.loss)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.progress(state.global_step, state.max_steps, self.loss)


def _val_source(recipe: Recipe) -> str:
    if recipe.data.val is None:
        raise RecipeError("training.eval_strategy is set, but there are no data for it", expected="data.val")
    return recipe.data.val


def newest_checkpoint(output: Path) -> Path | None:
    """The newest checkpoint that training can continue from; `checkpoint-0` has no optimizer."""
    found = [
        (int(match.group(1)), folder)
        for folder in output.glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d+)", folder.name))
        and (folder / "trainer_state.json").is_file()
    ]
    return max((item for item in found if item[0] > 0), default=(0, None))[1]
