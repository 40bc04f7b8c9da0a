"""Which checkpoint of a run a result is of: by the path that was evaluated, or by a name that was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from overmem.boundary import real_path
from overmem.checkpoints import open_run, read_adapter_config, read_number
from overmem.errors import CheckpointError, NoCheckpointError, RunError
from overmem.records import BASE, Checkpoint
from overmem.results.record import Result


@dataclass(frozen=True, kw_only=True)
class Named:
    """A checkpoint that results are of."""

    name: str
    step: int
    epoch: float | None = None
    kind: str = "full"
    path: Path | None = None
    """Its folder; None where it is not there."""
    base: str | None = None
    """What the base model is called, where it is that."""


class Checkpoints:
    """The checkpoints of a run, found by what other tools call them."""

    def __init__(self, run: Path) -> None:
        """Look at the run's folder, which may hold none.

        Raises:
            RunError: no such folder, or one that cannot be read as a run.
        """
        self.run = run
        try:
            self.there: tuple[Checkpoint, ...] = open_run(run, allow_pickle=True).checkpoints
        except NoCheckpointError:
            self.there = ()

    def find(self, given: str) -> Named:
        """A checkpoint by its path or its name.

        Args:
            given: as the results name it, such as `/data/outputs/checkpoint-300`, `checkpoint-300`, `epoch-2`
                or `base`.

        Raises:
            RunError: it is none of the run's, and nothing says when it was saved.
        """
        if given == BASE or given in self._bases():
            return Named(name=BASE, step=0, base=BASE if given == BASE else given)
        name = Path(given).name
        resolved = real_path(given) if given else Path()
        for checkpoint in self.there:
            if real_path(checkpoint.path) == resolved or self._folder(checkpoint) == resolved:
                return _named(checkpoint)
        for checkpoint in self.there:
            if checkpoint.name in (given, name):
                return _named(checkpoint)
        number = read_number(name)
        if number is not None and number.unit == "epoch":
            same = [found for found in self.there if found.epoch == number.number]
            if len(same) == 1:
                return _named(same[0])
        if number is not None and (number.unit == "step" or not self.there):
            epoch = float(number.number) if number.unit == "epoch" else None
            return Named(name=name, step=number.number, epoch=epoch)
        names = ", ".join([*(found.name for found in self.there), BASE])
        raise RunError(
            "results of a model that is none of this run's checkpoints",
            got=given,
            expected=names,
            next_step="say which it is: --checkpoint NAME=FILE",
        )

    def _folder(self, checkpoint: Checkpoint) -> Path:
        return real_path(self.run / checkpoint.name)

    def _bases(self) -> set[str]:
        """What the run's adapters call their base model."""
        found = set()
        for checkpoint in self.there:
            if checkpoint.kind == "adapter":
                try:
                    named = read_adapter_config(checkpoint.path).get("base_model_name_or_path")
                except CheckpointError:
                    continue
                found |= {str(named)} if named else set()
        return found


def _named(checkpoint: Checkpoint) -> Named:
    return Named(
        name=checkpoint.name,
        step=checkpoint.step,
        epoch=checkpoint.epoch,
        kind=checkpoint.kind,
        path=checkpoint.path,
    )


def by_checkpoint(
    results: Sequence[tuple[str, Result]], checkpoints: Checkpoints
) -> dict[str, tuple[Named, dict[str, Result]]]:
    """The newest result of each checkpoint and task.

    Args:
        results: with what each is called, which a user may have said.
        checkpoints: of the run.

    Returns:
        By the checkpoint's name, in order of steps, the base model first.

    Raises:
        RunError: see `Checkpoints.find`; or two checkpoints of one step.
    """
    found: dict[str, tuple[Named, dict[str, Result]]] = {}
    for given, result in results:
        named = checkpoints.find(given)
        _, tasks = found.setdefault(named.name, (named, {}))
        known = tasks.get(result.task)
        if known is None or result.when >= known.when:
            tasks[result.task] = result
    ordered = sorted(found.values(), key=lambda item: (item[0].base is None, item[0].step, item[0].name))
    _check_steps([named for named, _ in ordered if named.base is None])
    return {named.name: (named, tasks) for named, tasks in ordered}


def _check_steps(names: Sequence[Named]) -> None:
    by_step: dict[int, str] = {}
    for named in names:
        if named.step in by_step:
            raise RunError(
                "two checkpoints of one step",
                got=f"{by_step[named.step]} and {named.name}, step {named.step}",
                next_step="import one of them",
            )
        by_step[named.step] = named.name


def parse_given(given: Sequence[str]) -> Mapping[str, Path]:
    """`NAME=FILE` as a mapping.

    Raises:
        RunError: something else, or a name twice.
    """
    found: dict[str, Path] = {}
    for text in given:
        name, sign, file = text.partition("=")
        if not (name and sign and file) or name in found:
            raise RunError(
                "a checkpoint is named as NAME=FILE, each once",
                got=text,
                expected="--checkpoint checkpoint-300=results/a.json, or base=FILE for the base model",
            )
        found[name] = Path(file)
    return found
