"""Run a sweep: every cell trained, audited and diagnosed, then what they say together.

The flow: check all cells before anything starts, do those that are not done, put their verdicts side by side,
measure the recommended point again where a `confirm` source is named, and write `sweep.json` and the page. A
sweep that was stopped continues where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from overmem.artifacts.files import check_folder, locked_folder, write_text_atomic
from overmem.artifacts.store import Store
from overmem.auditing.resolve import resolve_options
from overmem.auditing.session import Progress
from overmem.errors import OvermemError, RunError
from overmem.keywords import names_its_keywords
from overmem.recipe.reading import load_recipe
from overmem.recipe.schema import RECIPE_NAME
from overmem.records import Run
from overmem.reporting.downloads import csv_text
from overmem.sweeping.cells import Cell, make_cells, varied_keys
from overmem.sweeping.config import Sweep, check_sweep, load_sweep
from overmem.sweeping.confirm import confirm_tasks, confirmed
from overmem.sweeping.executor import Executor, open_executor
from overmem.sweeping.gather import absent_groups, families_of, read_groups
from overmem.sweeping.narrative import sweep_words
from overmem.sweeping.page.html import write_sweep_report
from overmem.sweeping.record import CellState, SweepResult
from overmem.sweeping.summary import baseline_notes, make_family, points_table
from overmem.sweeping.work import Task, cell_key, cell_record, is_done
from overmem.tasks.sources import load_disjoint, load_examples
from overmem.training.resume import same_recipe
from overmem.training.settings import lora_config, sft_config

OnCell = Callable[[CellState, int, int], None]
"""Called with a cell that has just ended, how many have, and how many there are."""
SWEEP_NAME = "sweep.yaml"
"""Where a sweep's folder keeps what was asked for."""


@names_its_keywords
def sweep(
    config: str | Path | Mapping[str, Any] | Sweep,
    *,
    output: str | None = None,
    confirm: str | None = None,
    ray: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    on_cell: OnCell | None = None,
) -> SweepResult:
    """Train, audit and diagnose every cell of a sweep, and recommend what to train with.

    Cells that are done are not done again; a cell that was stopped continues its training from its newest
    checkpoint where the optimizer was saved, and its audit row by row. A cell that fails is recorded.

    Args:
        config: path of a sweep's YAML file, the name of a bundled one, or its keys and values.
        output: folder of the sweep, in place of the file's.
        confirm: held-out problems, likewise; the recommended point is measured on them again.
        ray: share the cells out on a Ray cluster: `auto`, `HOST:PORT`, or `local` to start one here.
        workers: most workers; by default one for each device. Without `ray` they are started here.
        progress: told of (cell, work, done, in all).
        on_cell: told of every cell that ends.

    Returns:
        The record, also written to `OUTPUT/sweep.json`; the page is `OUTPUT/report.html`.

    Raises:
        OvermemError: an invalid sweep or cell, before anything starts; or workers that cannot be had.
    """
    asked = open_sweep(config, output=output, confirm=confirm)
    cells = make_cells(asked)
    check_cells(asked, cells)
    folder = Path(asked.output)
    taken = RunError(
        "another `overmem sweep` is running in this folder",
        got=folder,
        next_step="wait for it, stop it, or pass --out for another folder",
    )
    # Two that train one cell would overwrite each other's checkpoints.
    with locked_folder(folder, taken):
        write_text_atomic(folder / SWEEP_NAME, yaml.safe_dump(asked.model_dump(mode="json"), sort_keys=False))
        todo = [cell for cell in cells if not is_done(cell, asked)]
        told = progress or (lambda *_: None)
        with open_executor(asked, told, ray=ray, workers=workers, most=len(todo)) as workforce:
            ended = len(cells) - len(todo)
            for task, _ in workforce.do([Task(cell=cell, sweep=asked) for cell in todo]):
                ended += 1
                if on_cell is not None:
                    on_cell(state_of(task.cell, asked), ended, len(cells))
            result = _conclude(asked, cells, workforce)
        Store(folder).write_record("sweep", result.to_dict())
        if result.families:
            write_text_atomic(folder / "points.csv", csv_text(points_table(result.families)))
        write_sweep_report(result, folder / "report.html", title=folder.name)
    return result


def open_sweep(
    config: str | Path | Mapping[str, Any] | Sweep, *, output: str | None = None, confirm: str | None = None
) -> Sweep:
    """The sweep that was asked for, checked; see `sweep`."""
    if isinstance(config, str | Path):
        return load_sweep(config, output, confirm)
    written = config.model_dump() if isinstance(config, Sweep) else dict(config)
    given = {"output": output, "confirm": confirm}
    return check_sweep(
        written | {key: value for key, value in given.items() if value is not None}, "the sweep"
    )


def check_cells(sweep: Sweep, cells: Sequence[Cell]) -> dict[tuple[str, ...], int]:
    """Refuse what would fail later: settings no library knows, missing data, a folder in use or barred.

    Returns:
        How many examples each source of training or val data has.

    Raises:
        OvermemError: names the cell and what is wrong with it.
    """
    check_folder(Path(sweep.output))
    read: dict[tuple[str, ...], int] = {}
    for cell in cells:
        try:
            _check_cell(sweep, cell, read)
        except OvermemError as error:
            raise type(error)(
                f"cell {cell.name}: {error.what}",
                got=error.got,
                expected=error.expected,
                next_step=error.next_step,
            ) from None
    return read


def _check_cell(sweep: Sweep, cell: Cell, read: dict[tuple[str, ...], int]) -> None:
    """Check one cell; `read` remembers the sizes of the data that earlier ones have read."""
    sft_config(cell.recipe)
    lora_config(cell.recipe)
    asked = sweep.audit_options()
    data = {name: getattr(cell.recipe.data, name) for name in ("val", "train")}
    given = {name: value for name, value in data.items() if value and not getattr(asked, name)}
    options = resolve_options(Run(path=cell.folder, checkpoints=()), asked.replace(**given))
    saved = cell.folder / RECIPE_NAME
    if saved.is_file() and not same_recipe(load_recipe(str(saved)), cell.recipe):
        raise RunError(
            "its folder holds a run of another recipe",
            got=saved,
            next_step="pass --out for another folder, or delete that one",
        )
    for source in (cell.recipe.data.train, options.val):
        if (source,) not in read:
            read[source,] = len(load_examples(source).examples)
    if sweep.confirm is not None and (sweep.confirm, options.val) not in read:
        apart = load_disjoint(
            sweep.confirm,
            options.val,
            "problems that are to choose nothing are among those that choose",
            next_step="name other problems with --confirm",
        )
        read[sweep.confirm, options.val] = len(apart)


def state_of(cell: Cell, sweep: Sweep) -> CellState:
    """What became of a cell, from its folder."""
    record = cell_record(cell)
    known = record if record.get("key") == cell_key(cell, sweep) else {}
    status = "done" if is_done(cell, sweep) else known.get("status", "not begun")
    return CellState(
        name=cell.name,
        group=cell.group,
        seed=cell.recipe.seed,
        status=status,
        stage=known.get("stage"),
        error=known.get("error"),
        train_seconds=known.get("train_seconds"),
        audit_seconds=known.get("audit_seconds"),
    )


def _conclude(asked: Sweep, cells: Sequence[Cell], workforce: Executor) -> SweepResult:
    """Put the cells side by side, and measure the picks again where that was asked for."""
    by_name = {cell.name: cell for cell in cells}
    done = [cell for cell in cells if is_done(cell, asked)]
    measured, left_out = read_groups(asked, cells, done)
    absent = absent_groups(cells, measured)
    families = [make_family(item, asked.rule.to_rule(), absent) for item in families_of(measured)]
    notes = [f"{name} is left out: {reason}" for name, reason in left_out.items()] + baseline_notes(measured)
    if asked.confirm is not None:
        errors = {}
        for task, record in workforce.do(confirm_tasks(asked, families, by_name)):
            if record.get("status") == "failed":
                errors[task.cell.name] = record["error"]
        notes += [f"{name} could not be measured on {asked.confirm}: {e}" for name, e in errors.items()]
        if not errors:
            families = [confirmed(family, by_name, asked.rule.seed) for family in families]
    result = SweepResult(
        output=asked.output,
        keys=varied_keys(cells),
        cells=tuple(state_of(cell, asked) for cell in cells),
        families=tuple(families),
        thresholds=asked.rule.model_dump(),
        confirm=asked.confirm,
        notes=tuple(notes),
        settings=asked.model_dump(mode="json"),
    )
    return replace(result, words=sweep_words(result))
