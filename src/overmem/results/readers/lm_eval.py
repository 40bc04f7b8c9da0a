"""Outputs of lm-evaluation-harness: `results_*.json` and, with `--log_samples`, `samples_TASK_*.jsonl`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from overmem.artifacts.manifest_parts.imported import Score
from overmem.errors import DataError
from overmem.parsing import finite_number
from overmem.results.readers.files import files_below, json_lines, json_object, text_of
from overmem.results.record import Result, number_of, samples_table, share

WHAT = "results of lm-evaluation-harness"
PREFERRED = ("correct", "exact_match", "acc", "pass@1", "prompt_level_strict_acc", "em")
"""Metrics that say of one sample whether it is right, the first that is there counts."""
OWN_REFERENCES, WHITE_SPACE = "overmem_references", "overmem_white_space"
"""Tasks that `overmem export lm-eval-task` writes; see `overmem.results.lm_eval_task`."""
CountTokens = Callable[[str, str], int | None]
"""(context, continuation) to the tokens that lm-eval scores of it; None where no tokenizer is known."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to read."""

    metric: str | None = None
    """`NAME`, or `NAME,FILTER` as lm-eval writes it; by default the first of `PREFERRED`."""

    @property
    def name(self) -> str | None:
        """The metric without its filter."""
        return self.metric.partition(",")[0] if self.metric else None

    @property
    def filter(self) -> str | None:
        """The filter alone."""
        return self.metric.partition(",")[2] or None if self.metric else None


def read_lm_eval(path: Path, metric: str | None, tokens_of: Callable[[str], CountTokens]) -> list[Result]:
    """One result a model and task.

    Args:
        path: a `results_*.json`, or a folder of them at any depth.
        metric: see `Asked`.
        tokens_of: a counter of tokens for a model as it is named in the results.

    Raises:
        DataError: no results, a file that is cut off, or a metric that is not there.
    """
    found: list[Result] = []
    for file in files_below(path, "results_*.json", WHAT):
        record = json_object(file, WHAT)
        if not isinstance(record.get("results"), Mapping) or "configs" not in record:
            raise DataError(f"{file} is no file of {WHAT}", got=", ".join(list(record)[:8]) or "no key")
        found += _read_file(file, record, Asked(metric=metric), tokens_of)
    if metric is not None and not any(result.samples is not None or result.score for result in found):
        raise DataError("no task has this metric", got=metric)
    return found


def _read_file(
    file: Path,
    record: Mapping[str, Any],
    asked: Asked,
    tokens_of: Callable[[str], CountTokens],
) -> list[Result]:
    model = model_of(record)
    when = file.stem.removeprefix("results_")
    count = tokens_of(model)
    found = []
    for task, config in record["configs"].items():
        samples = file.with_name(f"samples_{task}_{when}.jsonl")
        common: dict[str, Any] = {
            "source": str(file),
            "model": model,
            "tool": "lm-eval",
            "version": str(record.get("lm_eval_version") or ""),
            "task": str(task),
            "settings": _settings(record, task, config),
            "when": str(record.get("date") or when),
        }
        if samples.is_file():
            result = _with_samples(samples, config, asked, count, common)
        else:
            result = _with_score(task, record, asked, common)
        found += [result] if result is not None else []
    return _without_white_space(file, found)


def _without_white_space(file: Path, found: Sequence[Result]) -> list[Result]:
    """Our own references without the white space at the prompts' ends, which lm-eval scores with them.

    Raises:
        DataError: it was not scored by itself.
    """
    spaces = next((result.samples for result in found if result.task == WHITE_SPACE), None)
    kept = []
    for result in found:
        samples = result.samples
        if result.task == OWN_REFERENCES and samples is not None and _ends_in_white_space(samples):
            if spaces is None or set(spaces["id"]) != set(samples["id"]):
                raise DataError(
                    f"{OWN_REFERENCES} in {file} needs {WHITE_SPACE} beside it: prompts end in white space",
                    next_step=f"evaluate both: --tasks {OWN_REFERENCES},{WHITE_SPACE}",
                )
            nll = samples["nll_nats"] - spaces["nll_nats"]
            result = replace(result, samples=samples.with_columns(nll_nats=nll.clip(lower_bound=0)))
        kept += [result] if result.task != WHITE_SPACE else []
    return kept


def _ends_in_white_space(samples: pl.DataFrame) -> bool:
    return any(prompt is not None and prompt != prompt.rstrip() for prompt in samples["prompt"])


def model_of(record: Mapping[str, Any]) -> str:
    """The checkpoint that was evaluated: the adapter where there is one, else the model."""
    config = record.get("config")
    given = config.get("model_args") if isinstance(config, Mapping) else None
    if isinstance(given, str):
        given = dict(part.split("=", 1) for part in given.split(",") if "=" in part)
    given = given if isinstance(given, Mapping) else {}
    for name in ("peft", "pretrained", "model", "path"):
        if isinstance(given.get(name), str) and given[name]:
            return str(given[name])
    return str(record.get("model_name") or record.get("model_source") or "unknown")


def _settings(record: Mapping[str, Any], task: str, config: Mapping[str, Any]) -> dict[str, str]:
    """What two checkpoints must have in common; prompts are compared sample by sample."""

    def of(name: str) -> Any:
        values = record.get(name)
        return values.get(task) if isinstance(values, Mapping) else None

    shots = of("n-shot")
    return {
        "version of the task": text_of(of("versions")),
        "shots": text_of(shots if shots is not None else config.get("num_fewshot")),
        "chat template": text_of(record.get("chat_template_sha")),
        "system instruction": text_of(record.get("system_instruction_sha")),
        "answers": text_of(config.get("generation_kwargs")),
    }


def _with_score(task: str, record: Mapping[str, Any], asked: Asked, common: dict[str, Any]) -> Result | None:
    """The share right alone, where no samples were logged."""
    values = record["results"].get(task)
    values = values if isinstance(values, Mapping) else {}
    counts = record.get("n-samples")
    counts = counts.get(task) if isinstance(counts, Mapping) else None
    n = finite_number(counts.get("effective")) if isinstance(counts, Mapping) else None
    named = {key: share(value) for key, value in values.items() if "_stderr" not in str(key)}
    key = _choose(asked, [tuple(str(key).partition(",")[::2]) for key in named if named[key] is not None])
    if key is None or not n:
        return None
    accuracy = named.get(f"{key[0]},{key[1]}", named.get(key[0]))
    assert accuracy is not None
    score = Score(accuracy=accuracy, n=int(n))
    return Result(**common, metric=",".join(filter(None, key)), score=score)


def _choose(asked: Asked, known: Iterable[tuple[str, ...]]) -> tuple[str, str] | None:
    """The (metric, filter) to read, of those that are there; the first filter where none is named."""
    every = [(pair[0], pair[1]) for pair in known]
    names = [asked.name] if asked.name else PREFERRED
    for name in names:
        for metric, by in every:
            if metric == name and asked.filter in (None, by):
                return metric, by
    return None


def _with_samples(
    path: Path, config: Mapping[str, Any], asked: Asked, count: CountTokens, common: dict[str, Any]
) -> Result | None:
    rows = list(json_lines(path, "samples of lm-evaluation-harness"))
    for row in rows:
        if "doc_id" not in row or "doc_hash" not in row:
            raise DataError(
                f"{path} is no file of samples of lm-evaluation-harness",
                got=", ".join(list(row)[:8]),
                expected="rows with doc_id, doc_hash, resps",
            )
    pairs = list(
        dict.fromkeys(
            (str(name), str(row.get("filter", "none")))
            for row in rows
            for name in (row.get("metrics") or _older_metrics(row))
            if share(row.get(name)) is not None
        )
    )
    scored = config.get("output_type") == "loglikelihood"
    chosen = None if scored else _choose(asked, pairs)
    if chosen is None and not scored and rows:
        return None
    by = chosen[1] if chosen else rows[0].get("filter", "none") if rows else "none"
    kept = [row for row in rows if str(row.get("filter", "none")) == by]
    samples = [_sample(row, config, chosen[0] if chosen else None, count, path) for row in kept]
    others = sorted({",".join(pair) for pair in pairs if pair != chosen}) if chosen else []
    notes = (
        [f"{common['task']} is read by {','.join(chosen)}; {', '.join(others)} is there too (--metric)"]
        if chosen and others
        else []
    )
    return Result(
        **common,
        metric=",".join(chosen) if chosen else "loglikelihood",
        samples=samples_table(samples, str(path)),
        notes=tuple(notes),
    )


def _older_metrics(row: Mapping[str, Any]) -> list[str]:
    """Names of the metrics in a row that does not list them."""
    return [name for name in row if name in PREFERRED or name.startswith(("acc", "exact"))]


def _sample(
    row: Mapping[str, Any], config: Mapping[str, Any], metric: str | None, count: CountTokens, path: Path
) -> dict[str, Any]:
    doc = row.get("doc") if isinstance(row.get("doc"), Mapping) else {}
    arguments = _arguments(row.get("arguments"))
    found: dict[str, Any] = {
        "id": str(row["doc_id"]),
        "sha": str(row["doc_hash"]),
        "asked": text_of(row.get("prompt_hash")),
        "correct": share(row.get(metric)) if metric else None,
        "prompt": arguments[0][0] if arguments and arguments[0] else None,
        "answer": text_of(row.get("target")),
    }
    responses = [_first(item) for item in row.get("resps") or []]
    if config.get("output_type") == "generate_until":
        return found | {"text": text_of(responses[0]) if responses else None}
    return found | _likelihood(arguments, responses, row.get("target"), doc, count)


def _likelihood(
    arguments: list[list[str]], responses: list[Any], target: Any, doc: Any, count: CountTokens
) -> dict[str, Any]:
    """NLL of the reference: of the only continuation, or of the choice that is right."""
    known = [number_of(item[0]) if isinstance(item, list) and item else math.nan for item in responses]
    at = 0 if len(known) == 1 else target if isinstance(target, int) else _whole(target)
    if at is None or not 0 <= at < len(known) or math.isnan(known[at]) or at >= len(arguments):
        return {}
    if len(arguments[at]) < 2:
        return {}
    context, continuation = arguments[at][0], arguments[at][1]
    nll = -known[at]
    if not continuation:  # of our own task alone: the white space, whose tokens do not count
        return {"nll_nats": max(nll, 0.0), "n_tokens": 1}
    own = isinstance(doc.get("n_tokens"), int) and doc.get("completion") == continuation
    tokens = doc["n_tokens"] if own else count(context, continuation)
    if tokens is None or tokens < 1:
        return {}
    return {"nll_nats": max(nll, 0.0), "n_tokens": tokens, "completion": continuation}


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, str) and value.isdigit() and len(value) < 6 else None


def _first(value: Any) -> Any:
    """Of the responses to one request the first."""
    return value[0] if isinstance(value, list) and value else value


def _arguments(value: Any) -> list[list[str]]:
    """The texts of each request, as any release writes them."""
    if isinstance(value, Mapping):
        value = [list(item.values()) if isinstance(item, Mapping) else item for item in value.values()]
    if not isinstance(value, list):
        return []
    return [[item for item in one if isinstance(item, str)] if isinstance(one, list) else [] for one in value]
