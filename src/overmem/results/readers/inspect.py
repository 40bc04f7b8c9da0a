"""Logs of inspect_ai: `.json`, or `.eval`, which is a zip of the same."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from overmem.artifacts.manifest_parts.imported import Score
from overmem.boundary import reason
from overmem.errors import DataError
from overmem.parsing import ParseError, finite_number, parse_json
from overmem.results.readers.files import json_object, text_of, unreadable
from overmem.results.record import Result, problem_hash, samples_table, share

WHAT = "a log of inspect_ai"
MODEL_ARGS = ("peft", "model_path", "model", "path")
"""Arguments of a model that name its folder."""
_LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""inspect's values of a score: correct, incorrect, partial, no answer."""
_ZSTANDARD = 93
"""A method of packing, by its number in a zip."""
_MOST_BYTES = 1 << 28
"""Of one entry of a zip, unpacked: a few hundred bytes may stand for gigabytes."""


class UnfinishedError(DataError):
    """A log of an evaluation that was stopped or failed."""


def read_inspect(path: Path, metric: str | None) -> list[Result]:
    """One result a log.

    Args:
        path: a log, or a folder of them at any depth.
        metric: name of the scorer, where a log has several; the first by default.

    Raises:
        DataError: no log, one that is cut off or not finished, or none with this scorer.
    """
    if not path.exists():
        raise DataError("no such file or folder of results", got=path, expected=WHAT)
    files = [path] if path.is_file() else sorted([*path.rglob("*.eval"), *path.rglob("*.json")])
    if not files:
        raise DataError(f"{path} holds no results", expected="*.eval or *.json of inspect_ai")
    found, unfinished = [], []
    for file in files:
        if file.name == "logs.json":  # the index that `inspect view bundle` writes
            continue
        try:
            found.append(_read_file(file, metric))
        except UnfinishedError as error:
            unfinished.append(error)
    if not found and unfinished:
        raise unfinished[0]
    if unfinished:
        note = f"{len(unfinished)} logs of evaluations that did not end are passed over"
        found = [replace(result, notes=(*result.notes, note)) for result in found]
    return found


def _read_file(file: Path, metric: str | None) -> Result:
    header, samples = _zipped(file) if zipfile.is_zipfile(file) else _plain(file)
    about = header.get("eval")
    if not isinstance(about, Mapping) or "task" not in about:
        raise unreadable(file, WHAT, f"keys: {', '.join(list(header)[:8])}")
    if header.get("status") != "success":
        raise UnfinishedError(
            f"{file} is a log of an evaluation that did not end",
            got=header.get("status"),
            expected="status: success",
            next_step="finish it with `inspect eval-retry`",
        )
    packages = found if isinstance(found := about.get("packages"), Mapping) else {}
    common: dict[str, Any] = {
        "source": str(file),
        "model": _model(about),
        "tool": "inspect",
        "version": str(packages.get("inspect_ai", "")),
        "task": str(about["task"]),
        "settings": {
            "version of the task": text_of(about.get("task_version")),
            "arguments": text_of(about.get("task_args") or {}),
        },
        "when": str(about.get("created", "")),
    }
    if not samples:
        return _with_score(file, header, metric, common)
    name = metric or next(iter(samples[0].get("scores") or {}), None)
    rows = [_sample(file, row, name) for row in samples]
    return Result(**common, metric=str(name), samples=samples_table(_by_problem(rows), str(file)))


def _model(about: Mapping[str, Any]) -> str:
    given = about.get("model_args")
    for name in MODEL_ARGS:
        if isinstance(given, Mapping) and isinstance(given.get(name), str) and given[name]:
            return str(given[name])
    return str(about.get("model", "unknown")).partition("/")[2] or str(about.get("model", "unknown"))


def _plain(file: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    header = json_object(file, WHAT)
    samples = header.get("samples") or []
    return header, [row for row in samples if isinstance(row, dict)] if isinstance(samples, list) else []


def _zipped(file: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if "header.json" not in names:
                started = "the evaluation did not end" if "_journal/start.json" in names else "no header.json"
                raise unreadable(file, WHAT, started)
            header = _entry(file, archive, "header.json")
            rows = [
                _entry(file, archive, name)
                for name in names
                if name.startswith("samples/") and name.endswith(".json")
            ]
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, zlib.error, struct.error) as error:
        raise unreadable(file, WHAT, reason(error)) from None
    return header, rows


def _entry(file: Path, archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if archive.getinfo(name).file_size > _MOST_BYTES:
        raise unreadable(file, WHAT, f"{name} is too large")
    try:
        found = parse_json(_unpacked(file, archive, name))
    except ParseError as error:
        raise unreadable(file, WHAT, f"{name}: {error}") from None
    if not isinstance(found, dict):
        raise unreadable(file, WHAT, f"{name} is no object")
    return found


def _unpacked(file: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    """An entry's bytes; Zstandard, in which inspect packs, is known to `zipfile` from Python 3.14 on only."""
    entry = archive.getinfo(name)
    if entry.compress_type != _ZSTANDARD:
        return archive.read(name)
    import pyarrow

    with file.open("rb") as raw:
        raw.seek(entry.header_offset + 26)
        n_name, n_extra = struct.unpack("<HH", raw.read(4))
        raw.seek(n_name + n_extra, 1)
        packed = raw.read(entry.compress_size)
    try:
        codec = pyarrow.Codec("zstd")
        return bytes(codec.decompress(packed, decompressed_size=entry.file_size, asbytes=True))
    except (pyarrow.ArrowException, OSError, struct.error) as error:
        raise unreadable(file, WHAT, f"{name}: {reason(error)}") from None


def _sample(file: Path, row: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    scores = row.get("scores")
    score = scores.get(name) if isinstance(scores, Mapping) else None
    if "id" not in row or not isinstance(score, Mapping):
        raise DataError(
            f"{file}: a sample has no score `{name}`",
            got=f"sample {row.get('id')}, scores: {', '.join(scores or {}) or 'none'}",
            expected="--metric SCORER with a scorer that each sample has",
        )
    correct = value_of(score.get("value"))
    if correct is None:
        raise DataError(
            f"{file}: the score `{name}` does not say whether sample {row['id']} is right",
            got=f"{score.get('value')!r:.80}",
            expected="C or I, true or false, or a number from 0 to 1",
        )
    asked, target = text_of(row.get("input")), text_of(row.get("target"))
    return {
        "id": str(row["id"]),
        "sha": problem_hash(row["id"], asked, target),
        "asked": problem_hash(asked),
        "correct": correct,
        "prompt": asked,
        "answer": target,
        "text": _text(row.get("output")),
    }


def value_of(value: object) -> float | None:
    """A score of inspect as a share; None where it is none."""
    if isinstance(value, str):
        return _LETTERS.get(value)
    return share(value)


def _text(output: object) -> str | None:
    """What the model wrote."""
    if not isinstance(output, Mapping):
        return None
    if isinstance(output.get("completion"), str):
        return str(output["completion"])
    choices = output.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, Mapping) else None
    content = message.get("content") if isinstance(message, Mapping) else None
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return content if isinstance(content, str) else None


def _by_problem(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a problem: the mean over the epochs in which it was asked."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["id"], []).append(row)
    return [
        {**same[0], "correct": sum(row["correct"] for row in same) / len(same)} for same in found.values()
    ]


def _with_score(file: Path, header: Mapping[str, Any], metric: str | None, common: dict[str, Any]) -> Result:
    """The accuracy alone, where samples were not logged."""
    results = header.get("results")
    results = results if isinstance(results, Mapping) else {}
    n = finite_number(results.get("completed_samples"))
    for score in results.get("scores") or []:
        metrics = score.get("metrics") if isinstance(score, Mapping) else None
        found = metrics.get("accuracy") if isinstance(metrics, Mapping) else None
        accuracy = share(found.get("value")) if isinstance(found, Mapping) else None
        if accuracy is not None and n and metric in (None, score.get("name")):
            return Result(**common, metric=str(score.get("name")), score=Score(accuracy=accuracy, n=int(n)))
    raise DataError(f"{file} has neither samples nor an accuracy", expected=WHAT)
