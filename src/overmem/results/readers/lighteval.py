"""Output folders of lighteval: `results_*.json`, and with `--save-details` a Parquet file of each task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overmem.artifacts.manifest import Score
from overmem.errors import DataError
from overmem.parsing import finite_number
from overmem.results.readers.files import files_below, json_object, text_of
from overmem.results.record import Result, number_of, problem_hash, samples_table, share
from overmem.tasks.formats.tables import parquet_rows

WHAT = "results of lighteval"


def read_lighteval(path: Path, metric: str | None) -> list[Result]:
    """One result a model and task.

    Args:
        path: lighteval's output folder, or a `results_*.json` below it.
        metric: name of the metric that says whether an answer is right; the first that does by default.

    Raises:
        DataError: no results, or a file that is cut off.
    """
    found: list[Result] = []
    for file in files_below(path, "results_*.json", WHAT):
        record = json_object(file, WHAT)
        if not isinstance(record.get("config_general"), Mapping) or "results" not in record:
            raise DataError(f"{file} is no file of {WHAT}", got=", ".join(list(record)[:8]) or "no key")
        found += _read_file(file, record, metric)
    if not found:
        raise DataError("no task has a figure between 0 and 1", got=metric, expected=WHAT)
    return found


def _read_file(file: Path, record: Mapping[str, Any], metric: str | None) -> list[Result]:
    when, general = file.stem.removeprefix("results_"), record["config_general"]
    config = general.get("model_config")
    config = config if isinstance(config, Mapping) else {}
    model = next(
        (str(item) for item in (config.get("model_name"), general.get("model_name")) if item), "unknown"
    )
    details = _details(file, when)
    found = []
    for task, values in record["results"].items():
        if task == "all" or not isinstance(values, Mapping):
            continue
        versions, tasks = record.get("versions"), record.get("config_tasks")
        common: dict[str, Any] = {
            "source": str(file),
            "model": model,
            "tool": "lighteval",
            "version": str(general.get("lighteval_sha") or ""),
            "task": str(task),
            "settings": {
                "version of the task": text_of(versions.get(task) if isinstance(versions, Mapping) else None)
            },
            "when": when,
        }
        if task in details:
            found.append(_with_details(details[task], metric, common))
        elif (scored := _score(values, tasks, task, metric)) is not None:
            found.append(Result(**common, metric=scored[0], score=scored[1]))
    return found


def _details(file: Path, when: str) -> dict[str, Path]:
    """Details of the same evaluation by task, wherever in the output folder they lie."""
    for root in (file.parent, *file.parents[1:5]):
        found = [item for item in root.glob(f"details/**/details_*_{when}.parquet")]
        found += list(root.glob(f"details_*_{when}.parquet"))
        if found:
            return {_task(item, when): item for item in found}
    return {}


def _task(file: Path, when: str) -> str:
    """`details_custom|math|0_DATE.parquet` as results call it: `custom:math:0`."""
    return file.stem.removeprefix("details_").removesuffix(f"_{when}").replace("|", ":")


def _score(
    values: Mapping[str, Any], tasks: object, task: str, metric: str | None
) -> tuple[str, Score] | None:
    config = tasks.get(task) if isinstance(tasks, Mapping) else None
    n = finite_number(config.get("effective_num_docs")) if isinstance(config, Mapping) else None
    for name, value in values.items():
        accuracy = share(value)
        if accuracy is not None and not name.endswith("_stderr") and metric in (None, name) and n and n > 0:
            return name, Score(accuracy=accuracy, n=int(n))
    return None


def _with_details(file: Path, metric: str | None, common: dict[str, Any]) -> Result:
    rows = [row for _, row in parquet_rows(file)]
    if not rows or not all(isinstance(rows[0].get(name), Mapping) for name in ("doc", "metric")):
        raise DataError(
            f"{file} is no file of details of lighteval",
            got=", ".join(map(str, rows[0])) if rows else "no row",
            expected="columns doc, model_response, metric, as lighteval 0.11 and later write them",
        )
    known = [name for name in rows[0]["metric"] if share(rows[0]["metric"][name]) is not None]
    name = metric if metric is not None else next(iter(known), None)
    if name is None or any(share(row["metric"].get(name)) is None for row in rows):
        raise DataError(
            f"{file} has no metric that says of each sample whether it is right",
            got=metric,
            expected=f"--metric, one of {', '.join(known)}" if known else "a figure from 0 to 1",
        )
    samples = [_sample(row, name, at) for at, row in enumerate(rows)]
    return Result(**common, metric=name, samples=samples_table(samples, str(file)))


def _sample(row: Mapping[str, Any], name: str, at: int) -> dict[str, Any]:
    doc, response = row["doc"], row.get("model_response") or {}
    query, choices = text_of(doc.get("query")), doc.get("choices") or []
    gold = doc.get("gold_index")
    gold = gold[0] if isinstance(gold, list) and len(gold) == 1 else gold
    right = choices[gold] if isinstance(gold, int) and 0 <= gold < len(choices) else None
    texts = response.get("text") or []
    return {
        # Its own ids are not unique: the order is, and the hash tells whether it is the same problem.
        "id": str(at),
        "sha": problem_hash(query, *map(text_of, choices), gold),
        "asked": problem_hash(text_of(response.get("input")) if response.get("input") else query),
        "correct": share(row["metric"][name]),
        "prompt": query,
        "answer": text_of(right) if right is not None else None,
        "text": text_of(texts[0]) if texts else None,
        **_likelihood(response, gold, right),
    }


def _likelihood(response: Mapping[str, Any], gold: object, right: object) -> dict[str, Any]:
    """NLL of the right choice, where choices were scored."""
    logprobs, tokens = response.get("logprobs") or [], response.get("output_tokens") or []
    if not isinstance(gold, int) or not (0 <= gold < len(logprobs) and gold < len(tokens)):
        return {}
    value, scored = number_of(logprobs[gold]), tokens[gold]
    if not value <= 0 or not isinstance(scored, list) or not scored:
        return {}
    return {"nll_nats": -value, "n_tokens": len(scored), "completion": text_of(right)}
