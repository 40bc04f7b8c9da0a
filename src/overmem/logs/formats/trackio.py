"""trackio: the database of each project in its folder, or the Parquet file that it puts on the hub."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from overmem.boundary import library_call
from overmem.errors import RunError
from overmem.logs.formats.files import has_table_with, open_sqlite
from overmem.logs.formats.rows import Row, histories, is_a_log, trainer_key, whole_step
from overmem.logs.history import LoggedHistory
from overmem.parsing import ParseError, parse_json

_COLUMNS = {"run_name", "step", "metrics"}
_EXPORTED = {"timestamp", "run_name", "step"}
_OWN = {"id", "run_id", "run_name", "timestamp", "log_id", "space_id"}
"""Columns of the Parquet file that are no figures."""
_ENDINGS = (".db", ".parquet")


def recognizes(path: Path) -> bool:
    """Whether a path is a project's file, or a folder that holds one."""
    if path.is_dir():
        return bool(_files(path))
    return _is_project(path)


def _files(folder: Path) -> list[Path]:
    """The projects in a folder; the Parquet file of one that has its database too is left out."""
    found = [file for ending in _ENDINGS for file in sorted(folder.glob(f"*{ending}")) if _is_project(file)]
    databases = {file.stem for file in found if file.suffix == ".db"}
    return [file for file in found if file.suffix == ".db" or file.stem not in databases]


def _is_project(file: Path) -> bool:
    if file.suffix == ".parquet":
        return file.is_file() and _EXPORTED.issubset(_parquet_columns(file))
    return has_table_with(file, "metrics", _COLUMNS)


def read(path: Path) -> tuple[LoggedHistory, ...]:
    """The runs of each project, in the order in which they began.

    Raises:
        RunError: none holds a loss, or one is damaged.
    """
    files = _files(path) if path.is_dir() else [path]
    found: list[LoggedHistory] = []
    for file in files:
        found += _of_parquet(file) if file.suffix == ".parquet" else _of_database(file)
    if not found:
        raise RunError(
            f"{path} holds no log of a training",
            got=f"{len(files)} project(s) of trackio without a loss",
            expected="a run of the HF Trainer with report_to='trackio'",
        )
    return tuple(found)


def _of_database(file: Path) -> list[LoggedHistory]:
    with open_sqlite(file) as connection:
        columns = {row[1] for row in connection.execute("pragma table_info(metrics)")}
        run = "run_id" if "run_id" in columns else "run_name"
        logged = connection.execute(
            f"select {run}, run_name, step, metrics from metrics order by id"
        ).fetchall()
        known = {row[1] for row in connection.execute("pragma table_info(configs)")}
        key = run if run in known else "run_name"
        query = f"select {key}, config from configs" if known else None
        settings = dict(connection.execute(query).fetchall()) if query else {}
    return _of_runs(
        ((identity, name, step, _object(text)) for identity, name, step, text in logged),
        {identity: _object(text) for identity, text in settings.items()},
        file,
    )


def _object(text: Any) -> dict[str, Any]:
    try:
        found = parse_json(text) if isinstance(text, str | bytes) else {}
    except ParseError:
        return {}
    return found if isinstance(found, dict) else {}


def _of_runs(
    logged: Iterable[tuple[Any, Any, Any, dict[str, Any]]], settings: dict[Any, dict[str, Any]], file: Path
) -> list[LoggedHistory]:
    rows: dict[Any, list[Row]] = {}
    names: dict[Any, Any] = {}
    for identity, name, step, metrics in logged:
        found = {trainer_key(key): _figure(value) for key, value in metrics.items()}
        at = whole_step(found.get("step", step))
        names[identity] = name
        if at is not None and not set(found) <= {"step", "epoch"}:
            rows.setdefault(identity, []).append(found | {"step": at})
    return [
        history
        for identity, run in rows.items()
        if any(map(is_a_log, run))
        for history in histories(
            run,
            source=f"{file}, run {names[identity] or identity}",
            kind="trackio",
            settings=settings.get(identity),
        )
    ]


def _figure(value: Any) -> Any:
    """What JSON cannot hold trackio writes as a text."""
    return {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.get(
        value if isinstance(value, str) else "", value
    )


def _parquet_columns(file: Path) -> list[str]:
    import polars as pl

    try:
        with library_call(f"{file} cannot be read as Parquet", RunError):
            return list(pl.read_parquet_schema(file))
    except RunError:
        return []


def _of_parquet(file: Path) -> list[LoggedHistory]:
    import polars as pl

    with library_call(f"{file} cannot be read as Parquet", RunError, next_step="download it again"):
        records = pl.read_parquet(file, glob=False).to_dicts()
    run = "run_id" if records and "run_id" in records[0] else "run_name"
    return _of_runs(
        (
            (
                record[run],
                record.get("run_name"),
                record.get("step"),
                {key: value for key, value in record.items() if key not in _OWN and value is not None},
            )
            for record in records
        ),
        {},
        file,
    )
