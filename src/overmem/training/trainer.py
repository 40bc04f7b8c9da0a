"""Run a recipe: TRL's SFTTrainer over exactly the tokens that the audit will score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback

from overmem.artifacts.files import write_text_atomic
from overmem.boundary import writing
from overmem.errors import OvermemError, RecipeError
from overmem.keywords import names_its_keywords
from overmem.models.adapters import changed_base
from overmem.monitor.callback import OverMemorizationMonitor
from overmem.monitor.retention import BASE, CheckpointRetention, remove_retained
from overmem.recipe.methods import lora_fields
from overmem.recipe.reading import dump_recipe
from overmem.recipe.schema import RECIPE_NAME, Recipe
from overmem.records import Example
from overmem.rendering.render import render_all
from overmem.rendering.rendered import check_all_fit, check_largest_id
from overmem.rendering.template import Template
from overmem.tasks.sources import load_examples
from overmem.training.adapter_setup import AdaptingTrainer
from overmem.training.canaries import canaries_of, inserted_examples, write_canaries
from overmem.training.loading import load_model
from overmem.training.resume import check_output, is_trained
from overmem.training.settings import as_trained, lora_config, sft_config
from overmem.verdict.live import Reading

Progress = Callable[[int, int, float | None], None]
"""Called with (steps done, steps in all, last logged loss)."""
Watch = Callable[[Reading], None]
"""Called with what the monitor has just read."""


@names_its_keywords
def train(
    recipe: Recipe, *, resume: bool = False, progress: Progress | None = None, watch: Watch | None = None
) -> Path:
    """Fine-tune by the recipe, and write an ordinary run folder.

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
    if newest is not None and is_trained(output):
        return output
    arguments = sft_config(recipe)
    model, tokenizer = load_model(recipe.model)
    as_trained(tokenizer, arguments)
    limits = (getattr(model.config, "max_position_embeddings", None), arguments.max_length)
    limit = min((x for x in limits if x is not None), default=None)
    canaries = canaries_of(recipe)
    train_data = tokenized(recipe.data.train, tokenizer, recipe, limit, inserted_examples(recipe, canaries))
    check_ids(train_data, model.get_input_embeddings().weight.shape[0])
    evaluate = arguments.eval_strategy != "no"
    callbacks: list[TrainerCallback] = [_ProgressCallback(progress)] if progress else []
    if recipe.monitor.enabled and recipe.data.val is not None:
        callbacks.append(monitor_of(recipe, recipe.data.val, watch))
    eval_data = tokenized(_val_source(recipe), tokenizer, recipe, limit) if evaluate else None
    try:
        trainer = AdaptingTrainer(
            model=model,
            args=arguments,
            train_dataset=train_data,
            eval_dataset=eval_data,
            processing_class=tokenizer,
            peft_config=lora_config(recipe, plain=True),
            callbacks=callbacks or None,
            loss=recipe.loss,
            loss_options=recipe.loss_options,
            normalize_weights=recipe.normalize_weights,
            weights_from_step=recipe.weights_from_step,
            lora_plus_ratio=recipe.lora_plus_ratio,
        )
    except (OvermemError, torch.OutOfMemoryError):
        raise
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        raise RecipeError("the trainer refuses this recipe", got=error) from error
    init = changed_base({} if recipe.method == "full" else lora_fields(recipe.method, recipe.lora))
    if init is not None:
        trainer.change_base(init, newest)
    # Its dict of numbers at every log would break the progress display; the log is in trainer_state.json.
    trainer.remove_callback(PrinterCallback)
    first = trainer.is_world_process_zero()
    retention = CheckpointRetention(output) if arguments.save_total_limit is not None else None
    if first and newest is None:
        remove_retained(output)
    if recipe.save_base and newest is None:
        # By all processes: where weights are sharded they are gathered here.
        with writing(output / BASE):
            trainer.save_model(str(output / BASE))
        if first:
            trainer.state.save_to_json(str(output / BASE / "trainer_state.json"))
            if retention is not None:
                retention.keep(())
    if first:
        write_text_atomic(output / RECIPE_NAME, dump_recipe(recipe))
        if canaries is not None:
            write_canaries(output, canaries)
    try:
        with writing(output / "checkpoint"):
            trainer.train(resume_from_checkpoint=str(newest) if newest is not None else None)
    except ImportError as error:  # of an optimizer, or a logger
        raise RecipeError("the recipe needs a package that is not installed", got=error) from error
    if first and retention is not None:
        retention.finish()
    return output


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


def tokenized(
    source: str, tokenizer: Any, recipe: Recipe, limit: int | None, more: Sequence[Example] = ()
) -> Dataset:
    """Examples as `input_ids` and `labels`, prompts masked: TRL then prepares nothing itself."""
    template = Template(**recipe.template.model_dump())
    rendered = render_all([*load_examples(source).examples, *more], tokenizer, template)
    check_all_fit(rendered, limit)
    return Dataset.from_list(
        [
            {
                "input_ids": item.input_ids,
                "labels": [-100] * len(item.prompt_ids)
                + [i if on else -100 for i, on in zip(item.completion_ids, item.scored_mask, strict=True)],
            }
            for item in rendered
        ]
    )


def check_ids(data: Dataset, rows: int) -> None:
    """Refuse token ids that the model has no embedding for."""
    check_largest_id(max(max(ids) for ids in data["input_ids"]), rows)


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
