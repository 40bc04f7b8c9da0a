"""One grammar for naming data everywhere: `[TASK:]LOCATION[#SPLIT][[START:STOP]]`.

The same string works on the command line, in recipes and in Python, and ids are those of the full
data set, so rows measured on a slice can be paired with rows measured on the whole.

    val.jsonl                      a file, its shape recognised by its keys
    gsm8k:../data/test.jsonl[:200] the first 200 rows of a file of GSM8K
    gsm8k  gsm8k:#train            GSM8K from the hub: the default split, or another
    wordmath:val[:400]             a procedural task (also knights, facts, pocketcode)
    openai/gsm8k#main/train        a hub id, with [CONFIG/]SPLIT
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from overmem.errors import DataError
from overmem.grading.choose import choose_grader
from overmem.records import Example
from overmem.tasks.files import SUFFIXES, read_examples, read_rows
from overmem.tasks.known_datasets import KNOWN, KnownDataset
from overmem.tasks.shapes import Shape, examples_from_rows

PROCEDURAL: dict[str, str] = {
    "wordmath": "overmem.synthetic.wordmath",
    "knights": "overmem.synthetic.knights",
    "facts": "overmem.synthetic.facts",
    "pocketcode": "overmem.synthetic.pocketcode",
}
"""Tasks whose examples are made by rule, and the module of each, which has `GRADER` and `load_split(name)`.
The location is a split."""
TASKS: tuple[str, ...] = (*KNOWN, *PROCEDURAL)
"""Names that can stand before the colon."""
GRAMMAR = "[TASK:]LOCATION[#SPLIT][[START:STOP]]"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source string taken apart."""

    task: str | None
    location: str
    """A file, a hub id, a procedural split, or empty for a task's default hub id."""
    split: str | None
    rows: slice


@dataclass(frozen=True, kw_only=True)
class LoadedData:
    """The examples a source names, and what was understood of it."""

    source: str
    """The string as given."""
    task: str
    """A name of TASKS; `file` or `hub` when the shape was recognised by its keys."""
    shape: str
    """What became prompt, completion and answer; shown to the person."""
    grader: str
    """Default grader; `none` when answers are missing."""
    examples: tuple[Example, ...]
    numbered: bool = False
    """The ids are numbers of rows, since the data have none."""


def parse_source(source: str) -> Source:
    """Take a source string apart without touching data (only file existence settles `:` and `#`).

    Raises:
        DataError: empty, an unknown task, or a malformed slice.
    """
    text = source.strip()
    if not text:
        raise DataError("the data source is empty", expected=GRAMMAR, next_step="for example val.jsonl[:200]")
    text, rows = _split_rows(text, source)
    head, colon, tail = text.partition(":")
    task = head if colon and head in TASKS else None
    if task is not None:
        text = tail
    elif text.partition("#")[0] in TASKS:
        task, _, split = text.partition("#")
        return Source(task=task, location="", split=split or None, rows=rows)
    elif colon and re.fullmatch(r"[A-Za-z_]\w+", head) and not Path(text).exists():
        raise DataError(
            f"unknown task `{head}` in the data source {source!r}",
            expected=f"one of {', '.join(TASKS)}, or a file or hub id without a task",
            next_step=f"the grammar is {GRAMMAR}",
        )
    location, mark, split = text.rpartition("#")
    if not mark or Path(text).is_file():
        location, split = text, ""
    return Source(task=task, location=location, split=split or None, rows=rows)


def load_examples(source: str, columns: str | Mapping[str, str] | None = None) -> LoadedData:
    """Load the examples a source string names.

    Args:
        source: `[TASK:]LOCATION[#SPLIT][[START:STOP]]`, slices as in Python.

    Raises:
        DataError: the source cannot be understood, found or read, or names no rows.
    """
    parts = parse_source(source)
    task, shape, grader, examples = _load(parts)
    chosen = tuple(examples[parts.rows])
    if not chosen:
        raise DataError(
            f"the data source {source!r} names no examples",
            got=f"[{_bound(parts.rows.start)}:{_bound(parts.rows.stop)}] of {len(examples)} rows",
            expected="at least one row",
        )
    grader = grader or choose_grader(chosen).grader
    numbered = isinstance(shape, Shape) and shape.numbered
    return LoadedData(
        source=source, task=task, shape=str(shape), grader=grader, examples=chosen, numbered=numbered
    )


def load_disjoint(source: str, other: str, what: str, next_step: str = "") -> tuple[Example, ...]:
    """The examples of a source that must share no prompt with another one.

    Args:
        source: whose examples are wanted.
        other: the one it is to be apart from.
        what: what is wrong where they share some.
        next_step: what to do then.

    Raises:
        DataError: they do, or one of them cannot be read.
    """
    known = {str(example.prompt) for example in load_examples(other).examples}
    found = load_examples(source).examples
    seen = sum(str(example.prompt) in known for example in found)
    if seen:
        got = f"{seen} of {len(found)} in {source} are also in {other}"
        raise DataError(what, got=got, expected="none", next_step=next_step)
    return found


def _load(parts: Source) -> tuple[str, Shape | str, str | None, list[Example]]:
    """(task, shape, grader, examples) of the whole data set, before slicing."""
    if parts.task in PROCEDURAL:
        module = import_module(PROCEDURAL[parts.task])
        split = parts.location or parts.split or ""
        if parts.location and parts.split:
            raise DataError(
                "a procedural task has its split once",
                got=f"{parts.task}:{parts.location}#{parts.split}",
                expected=f"{parts.task}:{parts.location} or {parts.task}#{parts.split}",
            )
        examples = module.load_split(split)
        return parts.task, f"{parts.task}: procedural, split {split}", module.GRADER, examples
    if parts.task is not None:
        known = KNOWN[parts.task]
        examples, n_left_out = _known_examples(known, parts)
        note = f"; {n_left_out} rows left out: {known.leaves_out}" if n_left_out else ""
        return known.name, known.description + note, known.grader, examples
    if _is_local(parts.location):
        _refuse_split(parts)
        examples, shape = read_examples(parts.location)
        return "file", shape, None, examples
    examples, shape = examples_from_rows(_hub_rows(parts.location, None, parts.split), parts.location)
    return "hub", shape, None, examples


def _known_examples(known: KnownDataset, parts: Source) -> tuple[list[Example], int]:
    """The examples, whose ids are those of the full data set, and how many rows were left out."""
    location = parts.location or known.hub_id
    if parts.location and _is_local(location):
        _refuse_split(parts)
        rows = read_rows(location)
    else:
        config = known.config if location == known.hub_id else None
        rows = _hub_rows(location, config, parts.split or known.default_split)
    examples: dict[str, Example] = {}
    n_left_out = 0
    for index, (name, row) in enumerate(rows):
        where = f"{location}, {name}"
        if not isinstance(row, Mapping):
            raise DataError(f"{where} is not a record", got=type(row).__name__, expected="named fields")
        example = known.to_example(row, str(index), where)
        if example is None:
            n_left_out += 1
            continue
        if example.id in examples:
            raise DataError(f"{where} has the id of an earlier row", got=example.id, expected="unique ids")
        examples[example.id] = example
    return list(examples.values()), n_left_out


def _is_local(location: str) -> bool:
    """A file that exists, or a name that can only be meant as one."""
    if Path(location).exists() or location.lower().endswith(SUFFIXES):
        return True
    return re.fullmatch(r"[\w.-]+/[\w.-]+", location) is None or location.startswith(".")


def _refuse_split(parts: Source) -> None:
    if parts.split is not None:
        raise DataError(
            f"a file has no split: {parts.location}#{parts.split}",
            next_step="drop the `#` part, or take rows with [START:STOP]",
        )


def _hub_rows(hub_id: str, config: str | None, split: str | None) -> Iterator[tuple[str, Any]]:
    """Rows of a hub data set, through `datasets`; any failure there becomes one message."""
    if split is not None and "/" in split:
        config, _, split = split.partition("/")
    if config is None:
        config = next((known.config for known in KNOWN.values() if known.hub_id == hub_id), None)
    try:
        import datasets

        if split is None:
            splits = [str(name) for name in datasets.get_dataset_split_names(hub_id, config)]
            if len(splits) != 1:
                raise DataError(
                    f"which split of {hub_id}?",
                    expected=", ".join(splits),
                    next_step=f"write {hub_id}#{splits[0] if splits else 'train'}",
                )
            split = splits[0]
        rows = datasets.load_dataset(hub_id, config, split=split)
        for name, feature in (getattr(rows, "features", None) or {}).items():
            if isinstance(feature, datasets.Image):  # whether there is one is all that is asked
                rows = rows.cast_column(name, datasets.Image(decode=False))
    except DataError:
        raise
    except Exception as error:  # network, authentication, unknown id, split or config
        reason = str(error).strip().split("\n")[0]
        raise DataError(
            f"cannot load {hub_id}{'' if split is None else f' (split {split})'} from the Hugging Face hub",
            got=f"{type(error).__name__}: {reason[:200]}",
            next_step="download it once and give the local file instead (JSONL, JSON or Parquet)",
        ) from error
    return ((f"row {index}", row) for index, row in enumerate(rows))


def _split_rows(text: str, source: str) -> tuple[str, slice]:
    if not text.endswith("]") or Path(text).is_file():
        return text, slice(None)
    match = re.fullmatch(r"(.*)\[\s*(-?[0-9]*)\s*:\s*(-?[0-9]*)\s*\]", text, re.DOTALL)
    try:
        if match is not None:
            start, stop = (int(bound) if bound else None for bound in match.groups()[1:])
            return match[1], slice(start, stop)
    except ValueError:
        pass
    raise DataError(f"malformed slice in the data source {source!r}", expected="such as [:200] or [-50:]")


def _bound(value: int | None) -> str:
    return "" if value is None else str(value)
