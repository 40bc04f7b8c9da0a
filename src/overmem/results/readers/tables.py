"""CSV or Parquet: `checkpoint, example_id, correct[, nll_nats, n_tokens]`, or `checkpoint, accuracy, n`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overmem.artifacts.manifest_parts.imported import Score
from overmem.errors import DataError
from overmem.results.record import Result, number_of, problem_hash, samples_table
from overmem.tasks.formats.csv_rows import csv_rows
from overmem.tasks.formats.tables import parquet_rows

COLUMNS = "checkpoint, example_id, correct[, nll_nats, n_tokens, prompt, completion, answer, text, group]"
_TEXTS = ("prompt", "completion", "answer", "text", "group")
_RIGHT = {"true": 1.0, "false": 0.0}


def read_table(path: Path, tool: str) -> list[Result]:
    """One result a checkpoint.

    Args:
        path: the file.
        tool: `csv` or `parquet`.

    Raises:
        DataError: it cannot be read, lacks a column, or has a value that is none.
    """
    if not path.is_file():
        raise DataError("no such file of results", got=path, expected=f"{tool.upper()} with {COLUMNS}")
    rows = parquet_rows(path) if tool == "parquet" else csv_rows(path)
    by_checkpoint: dict[str, list[dict[str, Any]]] = {}
    for where, row in rows:
        name = _cell(row, "checkpoint", path, where)
        by_checkpoint.setdefault(str(name), []).append({"where": where, **row})
    return [_result(path, tool, name, found) for name, found in by_checkpoint.items()]


def _result(path: Path, tool: str, name: str, rows: list[dict[str, Any]]) -> Result:
    common = {"source": str(path), "model": name, "tool": tool, "task": path.stem, "metric": "correct"}
    if "accuracy" in rows[0] and "example_id" not in rows[0]:
        if len(rows) > 1:
            raise DataError(f"{path} has two accuracies of one checkpoint", got=name)
        return Result(**common, score=_score(path, rows[0]))  # type: ignore[arg-type]
    samples = [_sample(path, row) for row in rows]
    return Result(**common, samples=samples_table(samples, f"{path}, {name}"))  # type: ignore[arg-type]


def _sample(path: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    where = str(row["where"])
    found: dict[str, Any] = {"id": str(_cell(row, "example_id", path, where))}
    found["sha"] = problem_hash(found["id"], row.get("prompt"), row.get("completion"))
    found["correct"] = _number(path, row, "correct")
    if row.get("nll_nats") is not None:
        found["nll_nats"] = _number(path, row, "nll_nats")
        found["n_tokens"] = int(_number(path, row, "n_tokens"))
    return found | {name: None if row.get(name) is None else str(row[name]) for name in _TEXTS}


def _score(path: Path, row: Mapping[str, Any]) -> Score:
    accuracy, n = _number(path, row, "accuracy"), _number(path, row, "n")
    if not (0 <= accuracy <= 1 and n >= 1):
        raise DataError(
            f"{path}, {row['where']}: no accuracy of so many problems",
            got=f"{accuracy:g} of {n:g}",
            expected="a share from 0 to 1, and a number of problems",
        )
    return Score(accuracy=accuracy, n=int(n))


def _cell(row: Mapping[str, Any], name: str, path: Path, where: str) -> Any:
    if name not in row:
        raise DataError(f"{path} has no column `{name}`", got=", ".join(map(str, row)), expected=COLUMNS)
    if row[name] is None:
        raise DataError(f"{path}, {where}: `{name}` is empty", next_step="fill it, or leave the row out")
    return row[name]


def _number(path: Path, row: Mapping[str, Any], name: str) -> float:
    value = _cell(row, name, path, str(row["where"]))
    if isinstance(value, bool):
        return float(value)
    found = (
        _RIGHT.get(value.strip().lower(), number_of(value)) if isinstance(value, str) else number_of(value)
    )
    if math.isnan(found):
        raise DataError(f"{path}, {row['where']}: `{name}` is no number", got=value)
    return found
