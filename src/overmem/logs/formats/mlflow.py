"""MLflow's stores, read without the package: the folder `mlruns/` and the database `mlflow.db`.

The folder holds a file a metric, `mlruns/EXPERIMENT/RUN/metrics/NAME`, with lines of time, value and step;
the database has the same in a table `metrics`. Runs that were deleted in MLflow are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from overmem.errors import RunError
from overmem.logs.formats.files import has_table_with, open_sqlite, read_log_text, tables
from overmem.logs.formats.rows import histories, is_a_log, number_of, rows_of_series, trainer_key, whole_step
from overmem.logs.history import LoggedHistory
from overmem.parsing import ParseError, finite_number, parse_yaml

DATABASE = "mlflow.db"
_META = "meta.yaml"
_COLUMNS = {"run_uuid", "key", "value", "step", "timestamp", "is_nan"}


def recognizes(path: Path) -> bool:
    """Whether a path is a store, a part of one, a folder that holds `mlruns`, or the database."""
    if path.is_dir():
        return (path / DATABASE).is_file() or bool(_run_folders(path))
    return has_table_with(path, "metrics", _COLUMNS)


def read(path: Path) -> tuple[LoggedHistory, ...]:
    """The runs of a store in which a training was logged, in the order in which they began.

    Raises:
        RunError: there is none, or the store is damaged.
    """
    database = path if path.is_file() else path / DATABASE
    found = _of_database(database) if database.is_file() else []
    if path.is_dir():
        runs = [_of_folder(folder) for folder in _run_folders(path)]
        found += [history for _, made in sorted(runs, key=lambda run: run[0]) for history in made]
    if not found:
        raise RunError(
            f"{path} holds no log of a training",
            got="runs without a metric such as loss or eval_loss, or deleted ones",
            expected="a run of the HF Trainer with report_to='mlflow'",
        )
    return tuple(found)


def _run_folders(path: Path) -> list[Path]:
    """Folders of runs: a run's own, or those of an experiment, a store, or the store in a folder."""
    if _is_run(path):
        return [path]
    store = path / "mlruns" if (path / "mlruns").is_dir() else path
    inside = sorted(meta.parent for meta in store.glob(f"*/{_META}"))
    runs = [folder for folder in inside if _is_run(folder)]
    return runs or [
        meta.parent
        for experiment in inside
        for meta in sorted(experiment.glob(f"*/{_META}"))
        if _is_run(meta.parent)
    ]


def _is_run(folder: Path) -> bool:
    return (folder / _META).is_file() and (folder / "metrics").is_dir()


def _of_folder(folder: Path) -> tuple[float, list[LoggedHistory]]:
    """When a run began, and its histories."""
    try:
        meta = parse_yaml(read_log_text(folder / _META))
    except ParseError as error:
        raise RunError(f"{folder / _META} cannot be read as YAML", got=str(error)) from error
    meta = meta if isinstance(meta, dict) else {}
    if meta.get("lifecycle_stage") == "deleted":
        return 0.0, []
    series: list[tuple[int, int, str, Any]] = []
    notes: list[str] = []
    for file in sorted(one for one in (folder / "metrics").rglob("*") if one.is_file()):
        series += _series(file, file.relative_to(folder / "metrics").as_posix(), notes)
    settings = {
        file.name: read_log_text(file) for file in sorted((folder / "params").glob("*")) if file.is_file()
    }
    began = number_of(meta.get("start_time"))
    return float(began) if isinstance(began, int | float) else 0.0, _made(
        series, str(folder), settings, tuple(notes)
    )


def _series(file: Path, key: str, notes: list[str]) -> Iterator[tuple[int, int, str, Any]]:
    lines, bad = read_log_text(file).splitlines(), 0
    for line in lines:
        words = [number_of(word) for word in line.split(" ")]
        step = whole_step(words[2]) if len(words) >= 3 else None
        time = finite_number(words[0])
        if step is None or time is None or isinstance(words[1], str):
            bad += 1
        else:
            yield int(time), step, key, float(words[1])
    if bad:
        notes.append(f"{bad} of {len(lines)} lines of metrics/{key} cannot be read and were left out.")


def _of_database(database: Path) -> list[LoggedHistory]:
    found: list[LoggedHistory] = []
    with open_sqlite(database) as connection:
        runs = connection.execute(
            "select run_uuid, name from runs where lifecycle_stage != 'deleted' order by start_time"
        ).fetchall()
        has_parameters = "params" in tables(connection)
        for run, name in runs:
            metrics = connection.execute(
                "select timestamp, step, key, value, is_nan from metrics where run_uuid = ? order by rowid",
                (run,),
            )
            series = [
                (when, step, key, float("nan") if is_nan else value)
                for when, step, key, value, is_nan in metrics
                if whole_step(step) is not None and isinstance(key, str)
            ]
            query = "select key, value from params where run_uuid = ?"
            settings = dict(connection.execute(query, (run,)).fetchall()) if has_parameters else {}
            found += _made(series, f"{database}, run {name or run}", settings, ())
    return found


def _made(
    series: list[tuple[int, int, str, Any]], source: str, settings: dict[str, Any], notes: tuple[str, ...]
) -> list[LoggedHistory]:
    """Histories of series, which are laid together by time; the keys that a step lacks it has not logged."""
    ordered = sorted(series, key=lambda one: one[0])
    rows = rows_of_series((step, trainer_key(key), value) for _, step, key, value in ordered)
    if not any(map(is_a_log, rows)):
        return []
    return histories(rows, source=source, kind="mlflow", settings=settings, notes=notes)
