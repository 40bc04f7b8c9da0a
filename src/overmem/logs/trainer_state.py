"""The HF Trainer's log: the `trainer_state.json` of a run's folder and of each of its checkpoints.

Every checkpoint holds the log up to its own step, so that what lies in a folder can be told apart: one run,
several, or one that was resumed from an earlier step and left a branch behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from overmem.checkpoints.folders import Layout, StepFolder, is_model_folder
from overmem.checkpoints.layouts import find_folders
from overmem.checkpoints.names import read_number
from overmem.errors import RunError
from overmem.logs.configuration import read_settings
from overmem.logs.history import LoggedHistory, SavedCheckpoint
from overmem.logs.runs_of_states import Branch, StatesOfRun, group_states, shared_rows
from overmem.logs.states import STATE_FILE, State, first_bytes, read_state
from overmem.parsing import finite_number


def recognizes(path: Path) -> bool:
    """Whether a path is a trainer state, or a folder with one in it or in its checkpoints."""
    if not path.is_dir():
        return path.name == STATE_FILE or (
            path.suffix == ".json" and b'"log_history"' in first_bytes(path, 1 << 16)
        )
    if (path / STATE_FILE).is_file():
        return True
    try:
        layout = find_folders(path)
    except RunError:
        return True  # several runs below: `read` says so
    return any(True for _ in _state_files(layout))


def read(path: Path) -> tuple[LoggedHistory, ...]:
    """The runs whose states lie in a folder, or the one that a checkpoint or a file belongs to.

    Args:
        path: a run's folder, a checkpoint's, or a trainer state.

    Returns:
        The run with the most states first; after each run the branches that it left behind.

    Raises:
        RunError: none of the states can be read, or several runs lie below the folder.
    """
    if path.is_file():
        return _of_one(path, path.parent)
    if read_number(path.name) is not None and (path / STATE_FILE).is_file():
        return _of_one(path / STATE_FILE, path)
    layout = find_folders(path)
    states, damaged = _read_all(list(_state_files(layout)))
    if not states:
        raise next(iter(damaged.values()))
    notes = tuple(f"Left out: {error.what}." for error in damaged.values())
    return _histories(group_states(states), layout, notes)


def _of_one(file: Path, folder: Path) -> tuple[LoggedHistory, ...]:
    """The run of one state up to its step; its neighbours say which checkpoints are on disk."""
    own = read_state(file)
    home = folder.parent if read_number(folder.name) is not None else folder
    try:
        layout = find_folders(home)
    except RunError:
        layout = Layout(home=home, folders=())
    others, _ = _read_all([near for near in _state_files(layout) if not near.samefile(file)])
    before = [state for state in others if state.step <= own.step]
    run = next(run for run in group_states([own, *before]) if own in run.members)
    branch = next(branch for branch in run.branches if own in branch.members)
    members = [own, *(state for state in branch.members if state is not own)]
    strangers = {state.path for state in others} - {state.path for state in members}
    near = [one for one in layout.folders if _state_file(one) not in strangers]
    layout = Layout(home=layout.home, folders=tuple(near))
    return _histories([StatesOfRun(branches=[Branch(members=members)])], layout, ())


def _state_file(one: StepFolder) -> Path | None:
    """The trainer state of a checkpoint, beside its weights or in the folder above them."""
    places = (place / STATE_FILE for place in (one.path, one.folder))
    return next((file for file in places if file.is_file()), None)


def _state_files(layout: Layout) -> list[Path]:
    """The trainer states of a run, that of the folder itself last."""
    found = [_state_file(one) for one in layout.folders if one.folder != layout.home]
    return [file for file in (*found, layout.home / STATE_FILE) if file is not None and file.is_file()]


def _read_all(files: Sequence[Path]) -> tuple[list[State], dict[Path, RunError]]:
    """The states, and why others cannot be read; the longest first, whose rows the others share in memory."""
    states: dict[Path, State] = {}
    damaged: dict[Path, RunError] = {}
    longest: list[State] = []
    for file in sorted(files, key=lambda file: file.stat().st_size, reverse=True):
        try:
            states[file] = _sharing(read_state(file), longest)
        except RunError as error:
            damaged[file] = error
    return [states[file] for file in files if file in states], {
        file: damaged[file] for file in files if file in damaged
    }


def _sharing(state: State, longest: list[State]) -> State:
    """A state without a copy of rows that begin a longer one: thousands of checkpoints repeat them."""
    found = {key: value for key, value in state.found.items() if key != "log_history"}
    n = len(state.rows)
    for other in longest:
        if 0 < n <= len(other.rows) and shared_rows(state.rows, other.rows) == n:
            return replace(state, rows=other.rows[:n], found=found)
    longest.append(replace(state, found=found))
    return longest[-1]


def _histories(
    runs: Sequence[StatesOfRun], layout: Layout, notes: tuple[str, ...]
) -> tuple[LoggedHistory, ...]:
    saved = _saved(runs, layout)
    made = []
    for run in runs:
        main = run.branches[0]
        for branch in run.branches:
            of = None if branch is main else str(main.newest.path)
            made.append(_history(branch, saved, of, layout.home, notes))
    return tuple(made)


def _history(
    branch: Branch, saved: Mapping[Path, SavedCheckpoint], of: str | None, home: Path, notes: tuple[str, ...]
) -> LoggedHistory:
    state = branch.newest
    on_disk = {saved[member.path] for member in branch.members if member.path in saved}
    if of is None:
        on_disk |= {one for place, one in saved.items() if place.is_dir()}  # without a state of their own
    notes = (*state.notes, *_resumed_notes(branch), *notes)
    best = state.found.get("best_model_checkpoint")
    newest = max(on_disk, key=lambda one: one.step, default=None)
    folders = (state.path.parent, home, *([newest.folder] if newest is not None else []))
    return LoggedHistory(
        rows=state.rows,
        source=str(state.path),
        kind="trainer_state",
        steps_taken=state.step,
        max_steps=state.max_steps,
        planned_epochs=finite_number(state.found.get("num_train_epochs")),
        best_metric=finite_number(state.found.get("best_metric")),
        best_checkpoint=best if isinstance(best, str) and best else None,
        settings=read_settings(folders, state.found),
        saved=tuple(sorted(on_disk, key=lambda one: (one.step, one.name))),
        branch_of=of,
        notes=notes,
    )


def _saved(runs: Sequence[StatesOfRun], layout: Layout) -> dict[Path, SavedCheckpoint]:
    """The checkpoints on disk by the path of their state; by their folder where they have none.

    A folder without a state is a checkpoint of the run only where there is one run.
    """
    states = {state.path: state for run in runs for state in run.members}
    found = {}
    for one in layout.folders:
        file = _state_file(one)
        file = file if file in states else None
        step = states[file].step if file is not None else _step_without_state(one, layout, states.values())
        if step is None or (file is None and len(runs) > 1):
            continue
        found[file or one.folder] = SavedCheckpoint(
            name=one.name, step=step, folder=one.folder, has_weights=is_model_folder(one.path)
        )
    return found


def _step_without_state(one: StepFolder, layout: Layout, states: Iterable[State]) -> int | None:
    """The step in a folder's name; that of the end for the model at the root."""
    if one.folder == layout.home:
        return max(state.step for state in states)
    return one.number if one.unit == "step" else None


def _resumed_notes(branch: Branch) -> list[str]:
    notes, planned = [], branch.newest.max_steps
    before = sorted({member.max_steps for member in branch.members if member.max_steps} - {planned})
    if before and planned:
        notes.append(f"It was resumed with {planned:,} planned steps, after {before[0]:,}.")
    if branch.forked_at is not None:
        notes.append(
            f"It shares the run's log up to step {branch.forked_at:,}: training was resumed from there."
        )
    return notes
