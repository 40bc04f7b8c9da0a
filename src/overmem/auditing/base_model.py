"""The model that the fine-tune started from: which one it is, and why an audit goes on without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from overmem.auditing.jobs.fit import Capacity, check_scored
from overmem.auditing.problem_sets.problems import Problems
from overmem.auditing.run_files.named_base import named_base
from overmem.errors import ConsentError, DataError, OvermemError, RunError
from overmem.models.loading import ModelHost
from overmem.records import BASE, Checkpoint, Run


@dataclass
class BaseModel:
    """The base model of a run, as far as it is known and can be measured."""

    run: Run
    host: ModelHost
    problems: Mapping[str, Problems]
    """Of the audit, by `data_key`."""
    named: str | None
    """Its folder or hub id, where the user named it (`--base-model`)."""
    lost: str | None = None
    """Why it could not be loaded, though it is known."""
    unasked: str | None = None
    """Why it is not asked but scores only."""

    @cached_property
    def checkpoint(self) -> Checkpoint | None:
        """The model as a checkpoint; None when it is not known."""
        first = self.run.checkpoints[0]
        if first.step == 0 and self.named is None:
            return first
        name = self.named or named_base(self.run)
        if name is None and first.kind == "adapter":
            name = self.host.base_of(first)
        return None if name is None else Checkpoint(name=BASE, step=0, path=Path(name), kind="full")

    @property
    def in_run(self) -> bool:
        """Whether it is itself a checkpoint of the run."""
        return self.checkpoint in self.run.checkpoints

    @property
    def scores(self) -> bool:
        """Whether it is known and can score the problems."""
        return self.checkpoint is not None and self.misfit is None

    @property
    def misfit(self) -> str | None:
        """Why it cannot score the problems; None where it can, or where none is known."""
        return self.lost or self._misfit

    @cached_property
    def _misfit(self) -> str | None:
        """Why it cannot be read, or does not take the problems, such as tokens added since."""
        if self.checkpoint is None or self.in_run:
            return None
        try:
            read_configs = self.host.read_configs(self.checkpoint)
        except (OSError, ValueError, KeyError, ImportError) as error:
            if self.named is None:
                return f"{self.checkpoint.path} cannot be read: {str(error).splitlines()[0]}"
            if isinstance(error, ConsentError):
                raise
            raise RunError(
                "the base model cannot be read",
                got=self.named,
                expected="a model folder or a hub id",
                next_step="check --base-model",
            ) from error
        capacity = Capacity.of_configs(read_configs)
        try:
            for problems in self.problems.values():
                check_scored(problems, capacity)
        except DataError as error:
            return f"{error.what} ({error.got}; expected {error.expected})"
        return None

    def lose(self, error: OvermemError) -> None:
        """Go on without it, since it could not be loaded.

        Raises:
            OvermemError: it was named by the user, who wants to know.
        """
        if self.named is not None:
            raise error
        self.lost = str(error)
