"""One audit under way: the model in memory, the rows that are missing, and what names them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from overmem.artifacts.jobs import Job, JobKind, data_key, on_base
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.store import Store, settings_key
from overmem.artifacts.tables import Rows
from overmem.auditing.compute_rows import RECALL_TOKENS, WORK, Tools, keep_base_predictions
from overmem.auditing.measured_weights import MeasuredWeights
from overmem.auditing.options import AuditOptions
from overmem.auditing.problems import OOD, REFERENCES, RETENTION, Problems
from overmem.auditing.resolve import read_recipe
from overmem.auditing.run_files.named_base import named_base
from overmem.axes import CORE
from overmem.contamination.check import check_sets
from overmem.contamination.grouping import (
    Grouping,
    find_groups,
    groups_beside_val,
    groups_by_column,
    groups_of_train,
)
from overmem.contamination.policy import problems_left_out
from overmem.contamination.record import Contamination, read_contamination
from overmem.errors import ConsentError, DataError, OvermemError, RunError, WeightsChangedError
from overmem.models.batches import CHUNK_BATCHES, SCORED_TOKENS, plan_batches, plan_chunks
from overmem.models.decoding.sampling import Sampling
from overmem.models.decoding.stop_tokens import end_of_completion, stop_ids
from overmem.models.decoding.unfinished import UnfinishedAnswers
from overmem.models.engines.hf import HfEngine
from overmem.models.engines.protocol import Engine
from overmem.models.likelihood.divergence import COMPARED_TOKENS, BasePredictions
from overmem.models.likelihood.scoring import TEMPERATURES
from overmem.models.lm_eval.tasks import CHUNK
from overmem.models.loading import ModelHost
from overmem.models.pretrained import context_length, embedding_rows
from overmem.records import BASE, Checkpoint, Run
from overmem.rendering.rendered import check_all_fit, check_vocab
from overmem.verdict.clean_val import add_followers

Progress = Callable[[str, str, int, int], None]
"""Called with (checkpoint, work, problems done, problems in all) after every batch."""
ANSWERS: tuple[JobKind, ...] = ("greedy", "sample")
"""Work that an engine does; all else needs the model in memory."""
LEAST, LEAST_BESIDE = 64, 128
"""Tokens that the longest answer may have at least; beside the task, references are only examples."""
FIRST_TIMED = 32
"""Answers that are timed first, where nothing is known yet; many more are written at once."""


@dataclass
class Session:
    """Does jobs at checkpoints; rows that are already saved are not computed again."""

    run: Run
    host: ModelHost
    tokenizer: Any
    problems: Mapping[str, Problems]
    options: AuditOptions
    store: Store
    progress: Progress
    engine: Engine = field(default_factory=HfEngine)
    """Writes the answers."""
    at: Checkpoint | None = None
    """The checkpoint that was asked for last, even when it could not be loaded."""
    lost_base: str | None = None
    """Why the base model, though known, could not be loaded."""
    unasked_base: str | None = None
    """Why the base model is not asked but scores only."""
    _current: Any = None
    _loaded: Checkpoint | None = None
    _checked: set[tuple[str, str, int, int | None]] = field(default_factory=set)
    """Sets that were checked, by what the check depends on."""
    _weights: MeasuredWeights | None = None
    _unconfirmed: dict[str, set[tuple[Rows, str]]] = field(default_factory=dict)
    """Table and key of rows that were saved since the weights were last compared, by checkpoint."""
    _ends: dict[str, int | None] = field(default_factory=dict)
    """End-of-turn tokens, by set."""

    @cached_property
    def base(self) -> Checkpoint | None:
        """The model the fine-tune started from, as a checkpoint; None when it is not known."""
        first = self.run.checkpoints[0]
        if first.step == 0 and self.options.base_model is None:
            return first
        name = self.options.base_model or named_base(self.run)
        if name is None and first.kind == "adapter":
            name = self.host.base_of(first)
        return None if name is None else Checkpoint(name=BASE, step=0, path=Path(name), kind="full")

    @property
    def base_in_run(self) -> bool:
        """Whether the base model is itself a checkpoint of the run."""
        return self.base in self.run.checkpoints

    @property
    def scores_base(self) -> bool:
        """Whether the base model is known and can score the problems."""
        return self.base is not None and self.base_misfit is None

    @property
    def base_misfit(self) -> str | None:
        """Why the base model cannot score the problems; None where it can, or where none is known."""
        return self.lost_base or self._misfit

    @cached_property
    def _misfit(self) -> str | None:
        """Why the base model cannot be read, or does not take the problems, such as tokens added since."""
        if self.base is None or self.base_in_run:
            return None
        try:
            read_configs = self.host.read_configs(self.base)
        except (OSError, ValueError, KeyError, ImportError) as error:
            if self.options.base_model is None:
                return f"{self.base.path} cannot be read: {str(error).splitlines()[0]}"
            if isinstance(error, ConsentError):
                raise
            raise RunError(
                "the base model cannot be read",
                got=self.options.base_model,
                expected="a model folder or a hub id",
                next_step="check --base-model",
            ) from error
        rows = getattr(read_configs.config.get_text_config(), "vocab_size", None)
        try:
            for problems in self.problems.values():
                self._check_scored(problems, rows, context_length(read_configs))
        except DataError as error:
            return f"{error.what} ({error.got}; expected {error.expected})"
        return None

    def lose_base(self, error: OvermemError) -> None:
        """Go on without the base model, which could not be loaded.

        Raises:
            OvermemError: it was named by the user, who wants to know.
        """
        if self.options.base_model is not None:
            raise error
        self.lost_base = str(error)

    def do(self, job: Job, checkpoint: Checkpoint, limit: int | None) -> None:
        """Compute the rows of a job that are missing at a checkpoint.

        Args:
            job: what to do.
            checkpoint: on which weights.
            limit: most problems.

        Raises:
            WeightsChangedError: the weights changed meanwhile; what was measured on them is dropped.
        """
        missing, n = self.missing(job, checkpoint, limit)
        self.progress(checkpoint.name, str(job), n - len(missing), n)
        left = len(missing)
        if job.kind == "diverge" and missing:
            self._predict_as_base(job, limit, missing)
        for batch in self._batches(job, limit, missing):
            self._do_batch(job, checkpoint, batch)
            left -= len(batch)
            self.progress(checkpoint.name, str(job), n - left, n)
        self._confirm(checkpoint)
        self.store.compact_parts(checkpoint.name, job.table)

    def _predict_as_base(self, job: Job, limit: int | None, missing: Sequence[int]) -> None:
        """Keep what the base model predicts where it is to be compared and is not there yet."""
        assert self.base is not None
        problems, kept = self.problems[job.data], self._base_predictions(job)
        lacking = [i for i in missing if not kept.has(problems.shas[i])]
        for batch in self._batches(job, limit, lacking):
            model = self._model(on_base(job), self.base)
            keep_base_predictions(model, problems, batch, kept)

    def _do_batch(self, job: Job, checkpoint: Checkpoint, batch: Sequence[int]) -> None:
        """Compute and keep the rows of some problems."""
        problems = self.problems[job.data]
        model = self._model_for(job, checkpoint)
        key = self.row_key(job, checkpoint)
        asked = [(problems.examples[i].id, problems.shas[i]) for i in batch]
        made = {"rows": key, "data": job.data, "samples": self.answers(job), "problems": asked}
        unfinished = UnfinishedAnswers(self.store.unfinished(checkpoint.name, job.table, settings_key(made)))
        found = WORK[job.kind](model, problems, batch, self._tools(job, checkpoint, unfinished))
        identity = {"row_key": key, "split": job.set}
        rows = [
            {**identity, "example_id": problems.examples[i].id, "example_sha": problems.shas[i], **row}
            for i, rows_of_one in zip(batch, found, strict=True)
            for row in rows_of_one
        ]
        self._unconfirmed.setdefault(checkpoint.name, set()).add((job.table, key))
        self.store.append_rows(checkpoint.name, job.table, rows)
        unfinished.remove()

    def _confirm(self, checkpoint: Checkpoint) -> None:
        """Let rows stand that were saved since the last time, if the weights are still what names them.

        Raises:
            WeightsChangedError: they are not; the rows are dropped.
        """
        if checkpoint.name not in self._unconfirmed:
            return
        try:
            self.weights.check_unchanged(checkpoint, may_be_gone=True)
        except WeightsChangedError:
            self._drop_unconfirmed(checkpoint)
            raise
        del self._unconfirmed[checkpoint.name]

    def _drop_unconfirmed(self, checkpoint: Checkpoint) -> None:
        for table, key in self._unconfirmed.pop(checkpoint.name, ()):
            self.store.drop_rows(checkpoint.name, table, key)
        self.release()
        self.host.forget()

    @cached_property
    def contamination(self) -> Contamination:
        """What val and the other sets have of the training data, by their texts."""
        val, train = self.problems["val"], self.problems.get("train")
        return check_sets(
            val.examples,
            None if train is None else train.drawn_from,
            {name: p.examples for name, p in self.problems.items() if name.startswith((OOD, REFERENCES))},
            fingerprint=val.fingerprint,
            earlier=read_contamination(self.store),
        )

    @cached_property
    def grouping(self) -> Grouping | None:
        """The groups that val problems fall into; None where each stands alone.

        Raises:
            DataError: `group` names a column that val does not have.
        """
        options, examples = self.options, self.problems["val"].examples
        if options.groups is not None:
            return Grouping(labels=options.groups, by="those of the audit that is repaired")
        if options.group is not None:
            return groups_by_column(examples, options.group)
        return find_groups(self.contamination, [example.id for example in examples])

    @cached_property
    def groupings(self) -> dict[str, Grouping | None]:
        """The groups of val's problems, the training rows and each OOD set; None where each stands alone."""
        column = self.options.group
        others = {name: p.examples for name, p in self.problems.items() if name.startswith(OOD)}
        found = {name: groups_beside_val(examples, column) for name, examples in others.items()}
        if (train := self.problems.get("train")) is not None:
            found["train"] = groups_of_train(train.examples, self.problems["val"].examples, column)
        return {"val": self.grouping, **found}

    @cached_property
    def left_out(self) -> dict[str, tuple[str, ...]]:
        """Ids of problems that training had, by set, which no reader of this audit sees."""
        val = self.problems["val"]
        limits = [self.options.limit_of(axis) for axis in CORE]
        most = None if None in limits else max(n for n in limits if n is not None)
        measured = [val.examples[i].id for i in val.chosen(most, self.options.seed)]
        return problems_left_out(self.contamination, measured, strict=self.options.strict_overlap)

    def hear_rows(self, manifest: Manifest) -> None:
        """Add to the overlap what the rows of a finished core say of it; what is left out follows."""
        self.contamination = add_followers(self.store, manifest, self.contamination)
        self.__dict__.pop("left_out", None)

    def add_problems(self, problems: Problems) -> None:
        """Add a set of problems to the audit, or put it in the place of one of its name."""
        name = data_key(problems.set, problems.variant)
        self.problems = {**self.problems, name: problems}
        self._checked = {known for known in self._checked if known[0] != name}

    def release(self) -> None:
        """Let go of the model in memory."""
        self._current, self._loaded = None, None

    def missing(self, job: Job, checkpoint: Checkpoint, limit: int | None) -> tuple[list[int], int]:
        """Positions of the problems without rows, and how many problems the job has in all."""
        problems = self.problems[job.data]
        chosen = problems.chosen(limit, self.options.seed)
        table = self.store.read_rows(
            checkpoint.name, job.table, self.row_key(job, checkpoint), columns=()
        ).filter(pl.col("split") == job.set)
        there = {(name, sha): n for name, sha, n in table.group_by("example_id", "example_sha").len().rows()}
        wanted = self.answers(job)
        names = [(problems.examples[i].id, problems.shas[i]) for i in chosen]
        return [i for i, name in zip(chosen, names, strict=True) if there.get(name, 0) < wanted], len(chosen)

    def seconds(self, job: Job, checkpoint: Checkpoint, limit: int | None) -> float:
        """How long one batch of the job takes here and now; its rows are kept. 0 when nothing is missing."""
        missing, n = self.missing(job, checkpoint, limit)
        if not missing:
            return 0.0
        batch = next(self._batches(job, limit, missing))
        untried = len(missing) == n and self.options.batch_tokens is None
        if untried and job.kind in ANSWERS and not self._is_remote(job):
            batch = batch[: max(1, FIRST_TIMED // self.answers(job))]
        self._model_for(job, checkpoint)
        self.progress(checkpoint.name, str(job), n - len(missing), n)
        start = time.monotonic()
        self._do_batch(job, checkpoint, batch)
        self.progress(checkpoint.name, str(job), n - len(missing) + len(batch), n)
        return (time.monotonic() - start) / len(batch)

    def answers(self, job: Job) -> int:
        """Answers, or other rows, to each problem."""
        return self.options.samples if job.kind == "sample" else 1

    def _batches(self, job: Job, limit: int | None, missing: Sequence[int]) -> Iterator[list[int]]:
        """Batches planned over all problems, so that a killed audit goes on with the very same ones."""
        problems = self.problems[job.data]
        chosen, wanted = problems.chosen(limit, self.options.seed), set(missing)
        for planned in self._plan_batches(job, problems, chosen):
            batch = [chosen[position] for position in planned if chosen[position] in wanted]
            if batch:
                yield batch

    def _plan_batches(self, job: Job, problems: Problems, chosen: Sequence[int]) -> list[list[int]]:
        if problems.task is not None:
            # lm-eval sorts by length and cuts batches itself; these say only when rows are saved.
            starts = range(0, len(chosen), CHUNK)
            return [list(range(start, min(start + CHUNK, len(chosen)))) for start in starts]
        if self._is_remote(job):
            size = max(1, self.engine.in_flight // self.answers(job))
            return [
                list(range(start, min(start + size, len(chosen)))) for start in range(0, len(chosen), size)
            ]
        items = [problems.rendered[i] for i in chosen]
        if job.kind in ANSWERS:
            answers = self.answers(job)
            if self.options.batch_tokens is None:
                return plan_chunks([len(item.question_ids) for item in items], answers)
            new = self.max_new_tokens(job.set)
            lengths = [answers * (len(item.question_ids) + new) for item in items]
            return plan_batches(lengths, CHUNK_BATCHES * self.options.batch_tokens)
        more = RECALL_TOKENS if job.kind == "continue" else 0
        return plan_batches([len(item) + more for item in items], self.options.batch_tokens or SCORED_TOKENS)

    def connect(
        self, wanted: Mapping[Job, Sequence[Checkpoint]], limits: Mapping[Job, int | None]
    ) -> dict[str, str]:
        """Get an engine ready that is not the model in memory, where answers are missing.

        Args:
            wanted: at which checkpoints each job is to be done.
            limits: most problems of each job.

        Returns:
            The checkpoints that the engine cannot answer as, with the reason.
        """
        asked = [
            checkpoint
            for job, checkpoints in wanted.items()
            if self._is_remote(job)
            for checkpoint in checkpoints
            if self.missing(job, checkpoint, limits[job])[0]
        ]
        if not asked:
            return {}
        prompt = self.problems["val"].rendered[0].question_ids
        return self.engine.connect(list(dict.fromkeys(asked)), self.tokenizer, prompt)

    def _is_remote(self, job: Job) -> bool:
        done_there = (*ANSWERS, "score") if self.engine.scores else ANSWERS
        return job.kind in done_there and not self.engine.local

    def _model_for(self, job: Job, checkpoint: Checkpoint) -> Any:
        """What the work is done with: the model in memory, or the checkpoint that a server answers as."""
        if not self._is_remote(job):
            return self._model(job, checkpoint)
        self.at = checkpoint
        read_configs = self.host.read_configs(checkpoint)
        context = context_length(read_configs)
        if job.kind == "score":
            rows = getattr(read_configs.config.get_text_config(), "vocab_size", None)
            self._check_scored(self.problems[job.data], rows, context)
        else:
            self._check_answers_fit(self.problems[job.data], context)
        return checkpoint

    def _model(self, job: Job, checkpoint: Checkpoint) -> Any:
        if self._loaded != checkpoint:
            # Let go of the last model before the next is loaded, or both are in memory.
            self._current, self._loaded, self.at = None, None, checkpoint
            self.fingerprint(checkpoint)
            self._current = self.host.load(checkpoint)
            try:
                self.weights.check_unchanged(checkpoint)
            except WeightsChangedError:
                self._drop_unconfirmed(checkpoint)
                raise
            self._loaded = checkpoint
        rows, context = embedding_rows(self._current), context_length(self._current)
        # All sets at once, so that none fails late; the base model scores what its jobs name, nothing else.
        for name in [job.data] if job.model == "base" else self.problems:
            known = (name, job.model, rows, context)
            if known not in self._checked:
                self._check_scored(self.problems[name], rows, context)
                if job.model != "base":
                    self._check_answers_fit(self.problems[name], context)
                self._checked.add(known)
        return self._current

    def _check_scored(self, problems: Problems, rows: int | None, context: int | None) -> None:
        """Refuse problems that a model of so many embedding rows and such a context cannot take in whole."""
        if problems.task is not None:
            problems.task.check_fits(context)
            return
        if rows is not None:
            check_vocab(problems.rendered, rows)
        check_all_fit(problems.rendered, context)

    def _check_answers_fit(self, problems: Problems, context: int | None) -> None:
        graded = problems.set != "train" and problems.grader != "none"
        asked = (graded or problems.set.startswith(RETENTION)) and problems.task is None
        if not asked or "accuracy" not in self.options.axes:
            return
        longest = max(problems.rendered, key=lambda item: len(item.question_ids))
        new = self.max_new_tokens(problems.set)
        if context is not None and len(longest.question_ids) + new > context:
            raise DataError(
                f"an answer to `{longest.example_id}` may not fit the context",
                got=f"{len(longest.question_ids)} prompt tokens and up to {new} new ones",
                expected=f"at most {context} in all",
                next_step=f"pass --max-new-tokens {max(1, context - len(longest.question_ids))} or less",
            )

    def _tools(self, job: Job, checkpoint: Checkpoint, unfinished: UnfinishedAnswers) -> Tools:
        model = self.host.read_configs(checkpoint) if self._is_remote(job) else self._current
        return Tools(
            engine=self.engine,
            tokenizer=self.tokenizer,
            stops=stop_ids(model, self.tokenizer, self.end_of_completion(job.set)),
            max_new_tokens=self.max_new_tokens(job.set),
            sampling=Sampling(
                samples=self.options.samples, temperature=self.options.temperature, seed=self.options.seed
            ),
            batch_tokens=self.options.batch_tokens or SCORED_TOKENS,
            base_predictions=self._base_predictions(job),
            unfinished=unfinished,
        )

    def _base_predictions(self, job: Job) -> BasePredictions:
        """Where they are kept: those of another base model or dtype are in another folder."""
        return BasePredictions(self.store.base_predictions / settings_key(self.settings(job)))

    def max_new_tokens(self, set_name: str) -> int:
        """Longest answer allowed on a set, in tokens."""
        if self.options.max_new_tokens is not None:
            return self.options.max_new_tokens
        least = LEAST_BESIDE if set_name.startswith(RETENTION) else LEAST
        return max(least, 2 * self.problems[set_name].longest_completion)

    @cached_property
    def leaves_out_chat_template(self) -> bool:
        """Whether val is asked as plain text, by no recipe's word, past the tokenizer's chat template."""
        return (
            self.options.template.kind == "auto"
            and read_recipe(self.run.training_folder) is None
            and bool(getattr(self.tokenizer, "chat_template", None))
            and all(
                isinstance(example.prompt, str) and example.tokens is None
                for example in self.problems["val"].examples
            )
        )

    def end_of_completion(self, set_name: str) -> int | None:
        """The end-of-turn token of a set's template: val's, but for sets that are asked in another."""
        name = set_name if set_name.startswith(RETENTION) else "val"
        if name not in self._ends:
            completions = (item.completion_ids for item in self.problems[name].rendered)
            self._ends[name] = end_of_completion(self.tokenizer, completions)
        return self._ends[name]

    def row_key(self, job: Job, checkpoint: Checkpoint) -> str:
        """The key under which the rows of a job at a checkpoint are kept."""
        return settings_key({"weights": self.fingerprint(checkpoint), **self.settings(job)})

    def settings(self, job: Job) -> dict[str, Any]:
        """What decides the rows of a job beside the weights and the problems."""
        settings: dict[str, Any] = {**self.host.precision, "attention": self.host.attention}
        if self._is_remote(job):
            settings = dict(self.engine.settings)
        if job.kind == "score":
            settings |= {"axis": "likelihood/1", "temperatures": self.temperatures}
        elif job.kind == "continue":
            settings |= {"axis": "continuations/1", "tokens": RECALL_TOKENS}
        elif job.kind == "diverge":
            assert self.base is not None
            base = self.fingerprint(self.base)
            settings |= {"axis": "divergences/1", "tokens": COMPARED_TOKENS, "base": base}
        elif job.kind == "lm_eval":
            task = self.problems[job.data].task
            assert task is not None
            settings |= {"axis": "lm_eval/1", **task.settings}
        else:
            settings |= {
                "axis": "generations/2",
                "max_new_tokens": self.max_new_tokens(job.set),
                "temperature": 0.0,
                "end_of_completion": self.end_of_completion(job.set),
            }
        if job.kind == "sample":
            settings |= {"temperature": self.options.temperature, "seed": self.options.seed}
        return settings

    @property
    def temperatures(self) -> tuple[float, ...]:
        """At which references are scored beside 1; an engine knows no other."""
        return () if self.engine.scores else TEMPERATURES

    @property
    def weights(self) -> MeasuredWeights:
        """The content of the weights that are measured."""
        if self._weights is None:
            self._weights = MeasuredWeights(self.host.base_of)
        return self._weights

    def fingerprint(self, checkpoint: Checkpoint) -> str:
        """Of a checkpoint's weights and, under an adapter, of its base model's."""
        return self.weights.fingerprint(checkpoint)

    def regrade(self, checkpoint: Checkpoint) -> None:
        """Grade saved answers again, without the model: grader or answers may have changed."""
        known = {
            (problems.set, problems.variant, example.id, sha): (problems, example)
            for problems in self.problems.values()
            if problems.grader != "none" and problems.task is None
            for example, sha in zip(problems.examples, problems.shas, strict=True)
        }

        def again(row: dict[str, Any]) -> dict[str, Any]:
            name = (row["split"], row["variant"], row["example_id"], row["example_sha"])
            if name not in known:
                return row
            problems, example = known[name]
            return problems.graded_again(row, example)

        self.store.update_rows(checkpoint.name, "generations", again)
