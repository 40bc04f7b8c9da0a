"""Output folders of evalscope: `reviews/MODEL/*.jsonl`, a line a sample, or `reports/MODEL/*.json` alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overmem.artifacts.manifest_parts.imported import Score
from overmem.errors import DataError
from overmem.parsing import ParseError, finite_number, read_yaml
from overmem.results.readers.files import json_lines, json_object, text_of
from overmem.results.record import Result, problem_hash, samples_table, share

WHAT = "results of evalscope"


def read_evalscope(path: Path, metric: str | None) -> list[Result]:
    """One result a model and data set, from its samples where they were kept.

    Args:
        path: an output folder (of one evaluation, or of several).
        metric: name of the score that says whether an answer is right; the main one by default.

    Raises:
        DataError: no results, or a file that is cut off.
    """
    if not path.is_dir():
        raise DataError("no such folder of results", got=path, expected=f"{WHAT}: its output folder")
    reviews = sorted(path.rglob("reviews/*/*.jsonl"))
    if reviews:
        return [_with_samples(file, metric) for file in reviews]
    found = [_with_report(file, metric) for file in sorted(path.rglob("reports/*/*.json"))]
    if not found:
        raise DataError(f"{path} holds no results", expected=f"{WHAT}: reviews/ or reports/")
    return found


def _common(file: Path, task: str) -> dict[str, Any]:
    """The model's folder stands for the model, the folder above for the time."""
    home = file.parents[2]
    config = _config(home)
    identity = config.get("evaluation_identity")
    benchmarks = identity.get("benchmarks") if isinstance(identity, Mapping) else None
    known = benchmarks if isinstance(benchmarks, Mapping) else {}
    versions = {
        str(name): str(found.get("evaluation_version"))
        for name, found in known.items()
        if isinstance(found, Mapping) and task.startswith(str(name))
    }
    return {
        "version": str(config.get("evalscope_version") or ""),
        "settings": {"version of the task": ", ".join(versions.values()) or "unknown"},
        "source": str(file),
        "model": file.parent.name,
        "tool": "evalscope",
        "task": task,
        "when": home.name,
    }


def _config(home: Path) -> dict[str, Any]:
    """What was asked for; empty where that cannot be read."""
    for file in sorted(home.glob("configs/task_config*.yaml")):
        try:
            found = read_yaml(file)
        except (OSError, ParseError):
            continue
        if isinstance(found, dict):
            return found
    return {}


def _with_samples(file: Path, metric: str | None) -> Result:
    samples, names = [], []
    for row in json_lines(file, "reviews of evalscope"):
        scored = row.get("sample_score")
        score = scored.get("score") if isinstance(scored, Mapping) else None
        values = score.get("value") if isinstance(score, Mapping) else None
        if not isinstance(scored, Mapping) or not isinstance(score, Mapping) or "index" not in row:
            raise DataError(
                f"{file} is no file of reviews of evalscope",
                got=", ".join(list(row)[:8]),
                expected="rows with index and sample_score",
            )
        name = metric or score.get("main_score_name") or next(iter(values or {}), None)
        correct = share(values.get(name)) if isinstance(values, Mapping) else None
        if correct is None:
            raise DataError(
                f"{file}: sample {row['index']} has no score `{name}` from 0 to 1",
                got=", ".join(values or {}),
                expected="--metric with a score that says whether an answer is right",
            )
        names.append(str(name))
        samples.append(_sample(row, score, correct))
    metric = names[0] if names else str(metric)
    return Result(**_common(file, file.stem), metric=metric, samples=samples_table(samples, str(file)))


def _sample(row: Mapping[str, Any], score: Mapping[str, Any], correct: float) -> dict[str, Any]:
    messages = row.get("messages")
    asked = [
        text_of(item.get("content"))
        for item in (messages if isinstance(messages, list) else [])
        if isinstance(item, Mapping) and item.get("role") in ("system", "user")
    ]
    prompt = "\n".join(asked) if asked else text_of(row.get("input")) if row.get("input") else None
    target = row.get("target")
    target = target[0] if isinstance(target, list) and target else target
    return {
        "id": str(row["index"]),
        "sha": problem_hash(row["index"], prompt, target),
        "asked": problem_hash(prompt),
        "correct": correct,
        "prompt": prompt,
        "answer": text_of(target),
        "text": score.get("prediction") if isinstance(score.get("prediction"), str) else None,
    }


def _with_report(file: Path, metric: str | None) -> Result:
    record = json_object(file, "a report of evalscope")
    for item in record.get("metrics") or []:
        accuracy = share(item.get("score")) if isinstance(item, Mapping) else None
        n = finite_number(item.get("num")) if isinstance(item, Mapping) else None
        if accuracy is not None and n and n > 0 and metric in (None, item.get("name")):
            task = str(record.get("dataset_name") or file.stem)
            common = _common(file, task) | {"model": str(record.get("model_name") or file.parent.name)}
            return Result(**common, metric=str(item.get("name")), score=Score(accuracy=accuracy, n=int(n)))
    raise DataError(
        f"{file} has no figure from 0 to 1 of a number of samples", expected="a report of evalscope"
    )
