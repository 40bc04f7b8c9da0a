"""Watch a fine-tune for over-memorization while it runs: a callback for any HF Trainer and TRL's.

Training is bit for bit what it would be without it, it writes on the first process only, and
whatever goes wrong in it, it says so once and goes quiet (docs/monitor.md).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from overmem.errors import OvermemError, RecipeError
from overmem.keywords import names_its_fields
from overmem.models.preserving_state import preserving_state
from overmem.monitor.distributed import broadcast_flag, why_not_measurable
from overmem.monitor.log_files import last_step, read_log, read_seconds, write_log
from overmem.monitor.problem_set import Data, ProblemSet, choose_problems, fit, measure, prepare_problem_set
from overmem.monitor.retention import CheckpointRetention
from overmem.monitor.time_budget import TimeBudget, TooCostlyError
from overmem.rendering.template import Template
from overmem.rule import Rule
from overmem.verdict.live import Point, Reading, TokenRow, read_points, steps_to_keep

Onset = Literal["warn", "stop"] | Callable[[Reading], None]
log = logging.getLogger("overmem.monitor")


@names_its_fields
class OverMemorizationMonitor(TrainerCallback):
    """Measures a fixed val and train subset now and then, applies the rule and logs `overmem/...`.

    The figures go to the Trainer's own reporters (`report_to`) and into `trainer_state.json`. At the onset,
    the first time that the stage is over-memorized, overfit or inflated, it warns, stops the training, or
    calls a function. With `save_total_limit`, checkpoints that may yet be recommended are kept.

    Args:
        val: validation problems: a data source (`val.jsonl`, `gsm8k:#test`), or a list of
            `overmem.Example`. They must not be trained on.
        train: the training data, for the generalization gap.
        every: when to measure: `epoch`, `save`, `eval`, or a number of optimizer steps.
        limit: most problems of each set, drawn by `seed`.
        max_cost: most time spent measuring, as a share of training time: where it would be passed, fewer
            problems are measured, and due points are skipped. None measures all of them at every point.
        answers: val problems answered greedily, 30 or more; 0 measures perplexity only, which is far cheaper.
        accuracy_margin: accuracy below the peak that is still comparable.
        perplexity_ratio: growth over the lowest perplexity that counts as inflated.
        on_onset: `warn`, `stop` (which also warns), or a function of the `Reading`.
        keep_checkpoints: whether to keep what `save_total_limit` would delete.
        template: how examples become text; chat for messages and plain for strings by default.
        grader: overrides the data's own.
        tokenizer: when the Trainer has no `processing_class`.
        watch: called with every `Reading`, on the first process.
        allow_code_execution: let the grader `code` run answers in its sandbox (docs/code.md).
        seed: of the subsets.

    Raises:
        OvermemError: impossible settings, or data that cannot be read; at the start of training also
            problems that do not fit the model.
    """

    def __init__(
        self,
        val: Data,
        train: Data | None = None,
        *,
        every: Literal["epoch", "save", "eval"] | int = "epoch",
        limit: int = 64,
        max_cost: float | None = 0.05,
        answers: int = 0,
        accuracy_margin: float = Rule.accuracy_margin,
        perplexity_ratio: float = Rule.perplexity_ratio,
        on_onset: Onset = "warn",
        keep_checkpoints: bool = True,
        template: Template | None = None,
        grader: str | None = None,
        tokenizer: Any = None,
        watch: Callable[[Reading], None] | None = None,
        allow_code_execution: bool = False,
        seed: int = 0,
    ) -> None:
        _check(every, on_onset)
        self.every, self.on_onset, self.watch = every, on_onset, watch
        self.rule = Rule(accuracy_margin=accuracy_margin, perplexity_ratio=perplexity_ratio, seed=seed)
        self.readings: list[Reading] = []
        """Of this session; a resumed run starts with what its log remembers."""
        self.off: str | None = None
        """Why the monitor went quiet, if it did."""
        self.time_budget = TimeBudget(max_cost)
        """What measuring has cost in this session (`seconds`), and how many due points were `skipped`."""
        self._problems = choose_problems(
            val,
            train,
            limit=limit,
            answers=answers,
            grader=grader,
            allow_code_execution=allow_code_execution,
            seed=seed,
        )
        self._template, self._tokenizer, self._seed = template or Template(), tokenizer, seed
        self._keeps = keep_checkpoints
        self._problem_set: ProblemSet | None = None
        self._retention: CheckpointRetention | None = None
        self._points: list[Point] = []
        self._lowest: TokenRow | None = None
        self._training = self._known_onset = False
        self._last_step: int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Render the problems and take up what the log of a resumed run remembers.

        Raises:
            OvermemError: the problems do not fit the model, on every process alike.
        """
        self.readings, self._points, self._lowest = [], [], None
        self.off, self._known_onset, self._retention = None, False, None
        self._training = True
        self._last_step = last_step(state)
        try:
            reason = why_not_measurable(kwargs["model"])
            if reason is not None:
                self._go_quiet(reason, state)
                return
            self._problem_set = self._prepare_problem_set(args, state, kwargs)
            self._remember(state)
            if self._keeps and _rotates(args) and _writes(state):
                self._retention = CheckpointRetention(Path(args.output_dir))
                self._retention.finish()
                self._keep()
        except OvermemError:
            raise
        except Exception as error:
            self._go_quiet(_in_words(error), state)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure, when steps are counted, and before a save so that its log holds the figures."""
        if isinstance(self.every, int):
            due = state.global_step % self.every == 0 or state.global_step >= state.max_steps
        else:
            due = self.every == "save" and control.should_save
        if due:
            self._visit(args, state, control, kwargs["model"])

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure, before the epoch's checkpoint is saved."""
        if self.every == "epoch" or (self.every == "save" and control.should_save):
            self._visit(args, state, control, kwargs["model"])

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure beside the Trainer's own evaluation."""
        if self.every == "eval" and self._training:
            self._visit(args, state, control, kwargs["model"])

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep what the Trainer has just deleted, or would delete next time."""
        if self.every == "save" and self._training:
            self._visit(args, state, control, kwargs["model"])
        self._guarded(self._keep, state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the kept checkpoints among the others."""
        self._training = False
        if self.time_budget.skipped and not self.readings and _writes(state):
            log.warning(
                "overmem: the run was too short to be measured within max_cost; audit its checkpoints"
            )
        retention = self._retention
        if retention is not None:
            self._guarded(retention.finish, state)

    def _visit(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any
    ) -> None:
        """Measure once a step; every process comes here, and only the first measures."""
        if state.global_step == self._last_step:
            return
        self._last_step = state.global_step
        first_onset = False
        if self.off is None and _writes(state):
            with self.time_budget.visit(state.global_step, state.max_steps) as affordable:
                if affordable:
                    first_onset = self._look(args, state, control, model)
        if self.on_onset == "stop" and broadcast_flag(first_onset):
            control.should_training_stop = True

    def _look(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any
    ) -> bool:
        """Measure, write and tell; whether the onset is seen for the first time."""
        first_onset = False
        try:
            reading = self._measure(state, model)
            first_onset = reading.onset and not self._known_onset
            write_log(args, state, control, self._points[-1], reading, self.time_budget, self._fingerprint)
            if self.watch is not None:
                self.watch(reading)
            if first_onset:
                self._known_onset = True
                self._announce(reading)
        except TooCostlyError:
            raise
        except Exception as error:
            self._go_quiet(_in_words(error), state)
        return first_onset

    def _measure(self, state: TrainerState, model: Any) -> Reading:
        assert self._problem_set is not None
        with preserving_state(model):
            point, tokens = measure(
                self._problem_set, model, state.global_step, state.epoch, self.time_budget.check
            )
        self._points.append(point)
        pair = None if self._lowest is None else (tokens, self._lowest)
        measured = self._problem_set
        reading = read_points(self._points, measured.n_tokens, self.rule, pair, measured.group_labels)
        if reading.lowest_step == point.step:
            self._lowest = tokens
        self.readings.append(reading)
        return reading

    def _announce(self, reading: Reading) -> None:
        """Warn of the onset, or tell whoever asked to be told."""
        if callable(self.on_onset):
            self.on_onset(reading)
            return
        then = "training stops here" if self.on_onset == "stop" else "training goes on"
        log.warning("overmem: %s; %s", reading.describe(), then)

    def _keep(self) -> None:
        if self._retention is None or self._problem_set is None or self.off is not None:
            return
        there = self._retention.steps()
        points = [point for point in self._points if point.step in there]
        measured = self._problem_set
        self._retention.keep(steps_to_keep(points, measured.n_tokens, self.rule, measured.group_labels))

    def _prepare_problem_set(
        self, args: TrainingArguments, state: TrainerState, given: Mapping[str, Any]
    ) -> ProblemSet:
        tokenizer = self._tokenizer or given.get("processing_class")
        tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
        if tokenizer is None:
            raise RecipeError(
                "the monitor has no tokenizer",
                expected="Trainer(processing_class=...), or OverMemorizationMonitor(tokenizer=...)",
            )
        problems = fit(self._problems, self.time_budget.readings(self.every, args, state), self._seed)
        if problems is not self._problems and _writes(state):
            log.warning(
                "overmem: the monitor measures %d val and %d train problems instead of %d and %d, to stay "
                "within its share of training time (max_cost)",
                *(len(part) for one in (problems, self._problems) for part in (one.val, one.train)),
            )
        return prepare_problem_set(problems, tokenizer, self._template, given["model"])

    def _remember(self, state: TrainerState) -> None:
        """Take up the points that the log of a resumed run holds."""
        assert self._problem_set is not None
        points = read_log(state, self._fingerprint)
        if points is None and _writes(state):
            log.warning("overmem: the monitor's problems have changed; what it saw before is left out")
        seconds = read_seconds(state) if points else []
        self.time_budget.start(state.global_step, seconds)
        for point in points or ():
            self._points.append(point)
            measured = self._problem_set
            self.readings.append(
                read_points(self._points, measured.n_tokens, self.rule, group_N=measured.group_labels)
            )
        self._known_onset = any(reading.onset for reading in self.readings)

    @property
    def _fingerprint(self) -> str:
        assert self._problem_set is not None
        return self._problem_set.fingerprint

    def _guarded(self, action: Callable[[], None], state: TrainerState) -> None:
        try:
            action()
        except Exception as error:
            self._go_quiet(_in_words(error), state)

    def _go_quiet(self, reason: str, state: TrainerState) -> None:
        self.off = reason
        if _writes(state):
            log.warning("overmem: the monitor has switched itself off, training goes on (%s)", reason)


def _writes(state: TrainerState) -> bool:
    return bool(state.is_world_process_zero)


def _rotates(args: TrainingArguments) -> bool:
    return args.save_total_limit is not None and args.save_total_limit > 0


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _check(every: Any, on_onset: Any) -> None:
    counted = isinstance(every, int) and not isinstance(every, bool) and every >= 1
    if not counted and every not in ("epoch", "save", "eval"):
        raise RecipeError(
            "the monitor does not know when to measure",
            got=repr(every),
            expected="every='epoch', 'save', 'eval', or a number of steps of at least 1",
        )
    if on_onset not in ("warn", "stop") and not callable(on_onset):
        raise RecipeError(
            "the monitor does not know what to do at the onset",
            got=repr(on_onset),
            expected="on_onset='warn', 'stop', or a function of the reading",
        )
