"""Output folders of lighteval: `results_*.json`, and with `--save-details` a Parquet file of each task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overmem.artifacts.manifest_parts.imported import Score
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
        tasks = record.get("config_tasks")
        common: dict[str, Any] = {
            "source": str(file),
            "model": model,
            "tool": "lighteval",
            "version": str(general.get("lighteval_sha") or "").strip("?"),
            "task": _plain(str(task)),
            "settings": {"version of the task": _version(record, task)},
            "when": when,
        }
        if _plain(str(task)) in details:
            found.append(_with_details(details[_plain(str(task))], metric, common))
        elif (scored := _score(values, tasks, task, metric)) is not None:
            found.append(Result(**common, metric=scored[0], score=scored[1]))
    return found


def _details(file: Path, when: str) -> dict[str, Path]:
    """Details of the same evaluation by task, wherever in the output folder they lie."""
    beside = list(file.parent.glob(f"details_*_{when}.parquet"))
    # The model's path, as deep as it is, lies between the output folder and the file.
    home = next((root for root in file.parents if (root / "details").is_dir()), None)
    found = beside or ([] if home is None else list(home.glob(f"details/**/details_*_{when}.parquet")))
    return {_task(item, when): item for item in found}


def _task(file: Path, when: str) -> str:
    """The task of `details_custom|math|0_DATE.parquet`."""
    return _plain(file.stem.removeprefix("details_").removesuffix(f"_{when}"))


def _plain(task: str) -> str:
    """A task as every release of lighteval can be read: `custom:math:0` for `custom|math|0`."""
    return task.replace("|", ":")


def _version(record: Mapping[str, Any], task: str) -> str:
    for name in ("versions", "config_tasks"):
        values = record.get(name)
        found = values.get(task) if isinstance(values, Mapping) else None
        found = found.get("version") if isinstance(found, Mapping) else found
        if found is not None:
            return text_of(found)
    return "unknown"


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
    # Its ids are not unique in every task: the order is, and a hash tells whether it is the same problem.
    ids = [text_of(row["doc"].get("id")) for row in rows]
    ids = ids if len(set(ids)) == len(ids) else [str(at) for at in range(len(rows))]
    samples = [_sample(row, name, key) for key, row in zip(ids, rows, strict=True)]
    return Result(**common, metric=name, samples=samples_table(samples, str(file)))


def _sample(row: Mapping[str, Any], name: str, key: str) -> dict[str, Any]:
    doc, response = row["doc"], row.get("model_response") or {}
    query, choices = text_of(doc.get("query")), doc.get("choices") or []
    gold = doc.get("gold_index")
    gold = gold[0] if isinstance(gold, list) and len(gold) == 1 else gold
    right = choices[gold] if isinstance(gold, int) and 0 <= gold < len(choices) else None
    texts = response.get("text") or []
    return {
        "id": key,
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
