"""One grammar for naming data everywhere: `[TASK:]LOCATION[#SPLIT][[START:STOP]]`.

The same string works on the command line, in recipes and in Python, and ids are those of the full
data set, so rows measured on a slice can be paired with rows measured on the whole.

    val.jsonl                      a file, its shape recognised by its keys
    data/train-*.parquet           several files, one after another; also a folder of them
    saved#train                    a folder that `datasets` saved, and its split
    lf/dataset_info.json#my_data   a data set that LLaMA-Factory's file describes
    gsm8k:../data/test.jsonl[:200] the first 200 rows of a file of GSM8K
    gsm8k  gsm8k:#train            GSM8K from the hub: the default split, or another
    wordmath:val[:400]             a procedural task (also knights, facts, pocketcode)
    openai/gsm8k#main/train        a hub id, with [CONFIG/]SPLIT
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated

from overmem.errors import DataError
from overmem.grading.choose import choose_grader
from overmem.keywords import names_its_keywords
from overmem.records import Example
from overmem.tasks.columns import check_keys, parse_columns
from overmem.tasks.examples import Shape, examples_from_rows
from overmem.tasks.files import Rows, is_local, is_there, read_rows
from overmem.tasks.hub import hub_rows
from overmem.tasks.known_datasets import KNOWN
from overmem.tasks.llamafactory import is_description, read_description

PROCEDURAL: dict[str, str] = {
    "wordmath": "overmem.synthetic.wordmath",
    "knights": "overmem.synthetic.knights",
    "facts": "overmem.synthetic.facts",
    "pocketcode": "overmem.synthetic.pocketcode",
    "instructions": "overmem.synthetic.instructions",
    "pretrained": "overmem.synthetic.pretrained",
}
"""Tasks whose examples are made by rule, and the module of each, with `GRADER` and `load_split(name, first)`.
The location is a split."""
TASKS: tuple[str, ...] = (*KNOWN, *PROCEDURAL)
"""Names that can stand before the colon."""
GRAMMAR = "[TASK:]LOCATION[#SPLIT][[START:STOP]]"
SourceText = Annotated[str | Path, GRAMMAR]
"""A data source as people write it; not every one is a path."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source string taken apart."""

    task: str | None
    location: str
    """A file, a hub id, a procedural split, or empty for a task's default hub id."""
    split: str | None
    rows: slice


@dataclass(frozen=True, kw_only=True, repr=False)
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

    def __repr__(self) -> str:
        """One line, whatever the examples hold."""
        return (
            f"LoadedData {self.source}: {len(self.examples):,} examples; {self.shape}; grader {self.grader}"
        )


def parse_source(source: str) -> Source:
    """Take a source string apart without touching data; what is there under the whole name is that.

    Raises:
        DataError: empty, an unknown task, or a malformed slice.
    """
    if not source.strip():
        raise DataError("the data source is empty", expected=GRAMMAR, next_step="for example val.jsonl[:200]")
    text, rows = _split_rows(source if is_there(source) else source.rstrip(), source)
    if not is_there(text):
        text = text.strip()
    head, colon, tail = text.partition(":")
    task = head if colon and head in TASKS and not is_there(text) else None
    if task is not None:
        text = tail
    elif text.partition("#")[0] in TASKS:
        task, _, split = text.partition("#")
        return Source(task=task, location="", split=split or None, rows=rows)
    elif colon and re.fullmatch(r"[A-Za-z_]\w+", head) and not is_there(text):
        raise DataError(
            f"unknown task `{head}` in the data source {source!r}",
            expected=f"one of {', '.join(TASKS)}, or a file or hub id without a task",
            next_step=f"the grammar is {GRAMMAR}",
        )
    location, mark, split = text.rpartition("#")
    if not mark or is_there(text):
        location, split = text, ""
    return Source(task=task, location=location, split=split or None, rows=rows)


@names_its_keywords
def load_examples(source: SourceText, columns: str | Mapping[str, str] | None = None) -> LoadedData:
    """Load the examples a source string names.

    Rows after the last one of a slice are not read, where it counts from the start.

    Args:
        source: `[TASK:]LOCATION[#SPLIT][[START:STOP]]`, slices as in Python.
        columns: which columns are what, `prompt=question,completion=solution` or the same as a mapping;
            None recognises them.

    Raises:
        DataError: the source cannot be understood, found or read, or names no rows.
    """
    source = str(source)
    if (columns is None or isinstance(columns, str)) and (source, columns) in _READ_AHEAD:
        return _READ_AHEAD.pop((source, columns))
    parts = parse_source(source)
    if isinstance(columns, str):
        columns = parse_columns(columns)
    elif columns is not None:
        check_keys(columns)
    if parts.task in PROCEDURAL:
        task, (examples, shape) = parts.task, _procedural(parts.task, parts)
    else:
        task, examples, shape = _read(parts, columns, _last_read(parts.rows))
    chosen = tuple(examples[parts.rows])
    if not chosen:
        raise DataError(
            f"the data source {source!r} names no examples",
            got=f"[{_bound(parts.rows.start)}:{_bound(parts.rows.stop)}] of {len(examples)} rows",
            expected="at least one row",
        )
    return LoadedData(
        source=source,
        task=task,
        shape=str(shape),
        grader=shape.grader or choose_grader(chosen).grader,
        examples=chosen,
        numbered=shape.numbered,
    )


_READ_AHEAD: dict[tuple[str, str | None], LoadedData] = {}
"""What `read_ahead` has read and nobody has asked for yet."""


@contextmanager
def read_ahead(sources: Iterable[tuple[str, str | None]]) -> Iterator[Mapping[str, LoadedData]]:
    """Read sources before the block, so that wrong data are said before anything heavy is imported.

    Within the block `load_examples` gives each to the first who asks, and nothing is read twice.

    Args:
        sources: each with its columns, as `load_examples` takes them.

    Yields:
        What was read, by source.

    Raises:
        DataError: a source cannot be read.
    """
    try:
        for source, columns in dict.fromkeys(sources):
            _READ_AHEAD[source, columns] = load_examples(source, columns)
        yield {source: found for (source, _), found in _READ_AHEAD.items()}
    finally:
        _READ_AHEAD.clear()


def needs_no_download(source: str) -> bool:
    """Whether a source lies on this machine, or is made by rule."""
    parts = parse_source(source)
    return parts.task in PROCEDURAL or is_local(parts.location)


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
    known = {_what_is_asked(example) for example in load_examples(other).examples}
    found = load_examples(source).examples
    seen = sum(_what_is_asked(example) in known for example in found)
    if seen:
        got = f"{seen} of {len(found)} in {source} are also in {other}"
        raise DataError(what, got=got, expected="none", next_step=next_step)
    return found


def _what_is_asked(example: Example) -> object:
    """A row's prompt; all of a row that has none or is tokenized."""
    return example.tokens or str(example.prompt or example.completion)


def _last_read(rows: slice) -> int | None:
    """How many examples a slice needs; None for all, which one that counts from the end or is empty does."""
    start, stop = rows.start or 0, rows.stop
    return stop if stop is not None and 0 <= start < stop else None


def _procedural(task: str, parts: Source) -> tuple[list[Example], Shape]:
    module = import_module(PROCEDURAL[task])
    split = parts.location or parts.split or ""
    if parts.location and parts.split:
        raise DataError(
            "the split of a procedural task is named twice",
            got=f"{task}:{parts.location}#{parts.split}",
            expected=f"{task}:{parts.location} or {task}#{parts.split}",
        )
    examples = module.load_split(split, _last_read(parts.rows))
    answered = sum(example.answer is not None for example in examples)
    description = f"procedural, split {split}"
    return examples, Shape(
        name=task, description=description, rows=len(examples), answered=answered, grader=module.GRADER
    )


def _read(
    parts: Source, columns: Mapping[str, str] | None, stop: int | None
) -> tuple[str, list[Example], Shape]:
    """(task, examples, shape) of a file, a folder, a description of LLaMA-Factory's or the hub."""
    known = KNOWN[parts.task] if parts.task is not None else None
    if known is not None and columns is not None:
        raise DataError(
            f"the task `{known.name}` reads columns of its own",
            got=", ".join(f"{key}={value}" for key, value in columns.items()),
            next_step=f"leave out `{known.name}:` or the columns",
        )
    location = parts.location or (known.hub_id if known else "")
    if is_description(location):
        found = _described_rows(Path(location), parts.split)
    elif is_local(location):
        found = read_rows(location, parts.split)
    elif known is not None and not location:
        raise DataError(
            f"the data set `{known.name}` is not on the hub",
            next_step=f"fetch its authors' files, and write {known.name}:FILE",
        )
    elif known is not None:
        config = known.config if location == known.hub_id else None
        found = Rows(hub_rows(location, config, parts.split or known.default_split))
    else:
        found = Rows(hub_rows(location, None, parts.split))
    name = f"{location}#{parts.split}" if is_description(location) else location
    examples, shape = examples_from_rows(
        found.rows, name, known=known, columns=columns, notes=found.notes, stop=stop
    )
    return known.name if known else "file" if is_local(location) else "hub", examples, shape


def _described_rows(path: Path, name: str | None) -> Rows:
    """Rows of a data set that `dataset_info.json` describes, in the form that the readers know."""
    described = read_description(path, name)
    if described.hub_id is not None:
        found = Rows(hub_rows(described.hub_id, described.config, described.split))
    else:
        found = read_rows(described.file)
    rows = ((where, described.standard_row(row, f"{path}#{name}, {where}")) for where, row in found.rows)
    found.notes.append(described.note)
    return Rows(rows, found.notes)


def _split_rows(text: str, source: str) -> tuple[str, slice]:
    if not text.endswith("]") or is_there(text):
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
