"""One audit under way: does jobs at checkpoints, and computes only the rows that are missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from overmem.artifacts.jobs import Job, data_key, on_base
from overmem.artifacts.store import Store
from overmem.artifacts.tables import Rows
from overmem.auditing.base_model import BaseModel
from overmem.auditing.jobs.answer_ends import AnswerEnds
from overmem.auditing.jobs.batches import BatchSize, missing_batches
from overmem.auditing.jobs.compute_rows import ANSWERS, WORK, Tools, is_remote, keep_base_predictions
from overmem.auditing.jobs.fit import Capacity, check_answers_fit, check_scored
from overmem.auditing.jobs.loaded_model import LoadedModel
from overmem.auditing.jobs.row_keys import RowKeys
from overmem.auditing.measured_weights import MeasuredWeights
from overmem.auditing.options import AuditOptions
from overmem.auditing.problem_sets.overlap import Overlap
from overmem.auditing.problem_sets.problems import Problems
from overmem.errors import WeightsChangedError
from overmem.models.batches import SCORED_TOKENS
from overmem.models.decoding.sampling import Sampling
from overmem.models.decoding.stop_tokens import stop_ids
from overmem.models.decoding.unfinished import UnfinishedAnswers
from overmem.models.engines.hf import HfEngine
from overmem.models.engines.protocol import Engine
from overmem.models.likelihood.divergence import BasePredictions
from overmem.models.loading import ModelHost
from overmem.records import Checkpoint, Run
from overmem.serialization import settings_key

Progress = Callable[[str, str, int, int], None]
"""Called with (checkpoint, work, problems done, problems in all) after every batch."""
FIRST_TIMED = 32
"""Answers that are timed first, where nothing is known yet; many more are written at once."""


@dataclass
class Session:
    """Does jobs at checkpoints; rows that are already saved are not computed again."""

    run: Run
    host: ModelHost
    tokenizer: Any
    problems: dict[str, Problems]
    """By `data_key`; sets that are made on the way are added."""
    options: AuditOptions
    store: Store
    progress: Progress
    engine: Engine = field(default_factory=HfEngine)
    """Writes the answers."""
    at: Checkpoint | None = None
    """The checkpoint that was asked for last, even when it could not be loaded."""
    weights: MeasuredWeights = field(init=False)
    """The content of the weights that are measured."""
    base: BaseModel = field(init=False)
    """The model that the fine-tune started from."""
    overlap: Overlap = field(init=False)
    """What the sets have of one another."""
    ends: AnswerEnds = field(init=False)
    """Where answers end."""
    row_keys: RowKeys = field(init=False)
    """What names the rows."""
    loaded: LoadedModel = field(init=False)
    """The model in memory."""
    _checked: set[tuple[str, str, Capacity]] = field(init=False, default_factory=set)
    """Sets that were checked, by what the check depends on."""
    _unconfirmed: dict[str, set[tuple[Rows, str]]] = field(init=False, default_factory=dict)
    """Table and key of rows that were saved since the weights were last compared, by checkpoint."""

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self.weights = MeasuredWeights(self.host.base_of)
        self.base = BaseModel(self.run, self.host, self.problems, self.options.base_model)
        self.overlap = Overlap(self.problems, self.options, self.store)
        self.ends = AnswerEnds(self.problems, self.tokenizer, self.options.max_new_tokens)
        self.row_keys = RowKeys(
            host=self.host,
            engine=self.engine,
            options=self.options,
            problems=self.problems,
            ends=self.ends,
            weights=self.weights,
            base=self.base,
        )
        self.loaded = LoadedModel(self.host, self.weights)

    def add_problems(self, problems: Problems) -> None:
        """Add a set of problems to the audit, or put it in the place of one of its name."""
        name = data_key(problems.set, problems.variant)
        self.problems[name] = problems
        self._checked = {known for known in self._checked if known[0] != name}

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
            if is_remote(job, self.engine)
            for checkpoint in checkpoints
            if self.missing(job, checkpoint, limits[job])[0]
        ]
        if not asked:
            return {}
        prompt = self.problems["val"].rendered[0].question_ids
        return self.engine.connect(list(dict.fromkeys(asked)), self.tokenizer, prompt)

    def answers(self, job: Job) -> int:
        """Answers, or other rows, to each problem."""
        return self.options.samples if job.kind == "sample" else 1

    def missing(self, job: Job, checkpoint: Checkpoint, limit: int | None) -> tuple[list[int], int]:
        """Positions of the problems without rows, and how many problems the job has in all."""
        problems = self.problems[job.data]
        chosen = problems.chosen(limit, self.options.seed)
        table = self.store.read_rows(
            checkpoint.name, job.table, self.row_keys.of(job, checkpoint), columns=()
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
        if untried and job.kind in ANSWERS and not is_remote(job, self.engine):
            batch = batch[: max(1, FIRST_TIMED // self.answers(job))]
        self._model_for(job, checkpoint)
        self.progress(checkpoint.name, str(job), n - len(missing), n)
        start = time.monotonic()
        self._do_batch(job, checkpoint, batch)
        self.progress(checkpoint.name, str(job), n - len(missing) + len(batch), n)
        return (time.monotonic() - start) / len(batch)

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
        base = self.base.checkpoint
        assert base is not None
        problems, kept = self.problems[job.data], self._base_predictions(job)
        lacking = [i for i in missing if not kept.has(problems.shas[i])]
        for batch in self._batches(job, limit, lacking):
            model = self._model_for(on_base(job), base)
            keep_base_predictions(model, problems, batch, kept)

    def _do_batch(self, job: Job, checkpoint: Checkpoint, batch: Sequence[int]) -> None:
        """Compute and keep the rows of some problems."""
        problems = self.problems[job.data]
        model = self._model_for(job, checkpoint)
        key = self.row_keys.of(job, checkpoint)
        asked = [(problems.examples[i].id, problems.shas[i]) for i in batch]
        made = {"rows": key, "data": job.data, "samples": self.answers(job), "problems": asked}
        unfinished = UnfinishedAnswers(self.store.unfinished(checkpoint.name, job.table, settings_key(made)))
        found = WORK[job.kind](model, problems, batch, self._tools(job, model, checkpoint, unfinished))
        identity = {"row_key": key, "split": job.set}
        rows = [
            {**identity, "example_id": problems.examples[i].id, "example_sha": problems.shas[i], **row}
            for i, rows_of_one in zip(batch, found, strict=True)
            for row in rows_of_one
        ]
        self._unconfirmed.setdefault(checkpoint.name, set()).add((job.table, key))
        self.store.append_rows(checkpoint.name, job.table, rows)
        unfinished.remove()

    def _batches(self, job: Job, limit: int | None, missing: Sequence[int]) -> Iterator[list[int]]:
        """Batches of the problems without rows."""
        problems = self.problems[job.data]
        size = BatchSize(
            answers=self.answers(job),
            max_new_tokens=self.ends.max_new_tokens(job.set),
            batch_tokens=self.options.batch_tokens,
            in_flight=self.engine.in_flight if is_remote(job, self.engine) else None,
        )
        chosen = problems.chosen(limit, self.options.seed)
        return missing_batches(job.kind, problems, chosen, missing, size)

    def _tools(self, job: Job, model: Any, checkpoint: Checkpoint, unfinished: UnfinishedAnswers) -> Tools:
        configured = self.host.read_configs(checkpoint) if is_remote(job, self.engine) else model
        return Tools(
            engine=self.engine,
            tokenizer=self.tokenizer,
            stops=stop_ids(configured, self.tokenizer, self.ends.end_of_turn(job.set)),
            max_new_tokens=self.ends.max_new_tokens(job.set),
            sampling=Sampling(
                samples=self.options.samples, temperature=self.options.temperature, seed=self.options.seed
            ),
            batch_tokens=self.options.batch_tokens or SCORED_TOKENS,
            base_predictions=self._base_predictions(job),
            unfinished=unfinished,
        )

    def _base_predictions(self, job: Job) -> BasePredictions:
        """Where they are kept: those of another base model or dtype are in another folder."""
        return BasePredictions(self.store.base_predictions / settings_key(self.row_keys.settings(job)))

    def _model_for(self, job: Job, checkpoint: Checkpoint) -> Any:
        """What the work is done with: the model in memory, or the checkpoint that a server answers as."""
        self.at = checkpoint
        if is_remote(job, self.engine):
            capacity = Capacity.of_configs(self.host.read_configs(checkpoint))
            if job.kind == "score":
                check_scored(self.problems[job.data], capacity)
            else:
                self._check_answers(self.problems[job.data], capacity)
            return checkpoint
        try:
            model = self.loaded.at(checkpoint)
        except WeightsChangedError:
            self._drop_unconfirmed(checkpoint)
            raise
        self._check_sets(job, Capacity.of_model(model))
        return model

    def _check_sets(self, job: Job, capacity: Capacity) -> None:
        """Refuse all sets at once, so that none fails late; the base model has only its jobs' own."""
        for name in [job.data] if job.model == "base" else self.problems:
            known = (name, job.model, capacity)
            if known not in self._checked:
                check_scored(self.problems[name], capacity)
                if job.model != "base":
                    self._check_answers(self.problems[name], capacity)
                self._checked.add(known)

    def _check_answers(self, problems: Problems, capacity: Capacity) -> None:
        if "accuracy" in self.options.axes:
            check_answers_fit(problems, capacity, self.ends.max_new_tokens(problems.set))

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
        self.loaded.release()
        self.host.forget()
