"""Rows to examples: the first row decides how all are read, and what was recognised is said.

A data set known by its columns comes before a shape, and columns that a person names before both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

from overmem.errors import DataError
from overmem.records import Example
from overmem.rendering.trained_tokens import is_tokenized
from overmem.tasks.columns import ROLES, check_columns, fields_of, has_content, named_row, refuse_media
from overmem.tasks.known_datasets import KNOWN, KnownDataset, recognise_dataset
from overmem.tasks.preferences import LEFT_OUT, MARKS, is_bad_answer
from overmem.tasks.rows import answer_source, as_turns, read_row
from overmem.tasks.shapes import Reader, reader_of, recognise
from overmem.tasks.tokenized import read_tokenized

Row = Mapping[str, Any]

MAX_NAMED = 8
"""Columns left out that are named in the line of a shape; of more, their number is said."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What was recognised in a data source; `str()` is the line a person reads."""

    name: str
    """One of the known shapes, such as `question/answer`, or a data set known by its columns."""
    description: str
    """The fields that prompt and completion come from."""
    rows: int
    """Rows that became examples."""
    answered: int
    """Rows with a final answer; only these can be graded."""
    answer: str = ""
    """Where the final answers come from, when the description does not say it."""
    numbered: bool = False
    """No row has an `id`, so that their ids are the numbers of the rows."""
    grader: str | None = None
    """The grader of a known data set; None where the answers choose it."""
    notes: tuple[str, ...] = ()
    """What else a person should know: files read, columns and rows left out."""

    def __str__(self) -> str:
        """One line for the terminal."""
        source = f" ({self.answer})" if self.answer else ""
        answers = f"{self.answered} with a final answer{source}" if self.answered else "no final answers"
        return "; ".join([f"{self.name}: {self.description}", f"{self.rows} rows, {answers}", *self.notes])


@dataclass(frozen=True)
class _Reading:
    """How the rows of one source are read, decided by the first."""

    to_example: Callable[[Row, str, str], Example | None]
    """(row, default id, where) -> Example, or None for a row to leave out."""
    used: frozenset[str]
    """Columns that it reads."""
    leaves_out: str
    """Why rows are left out."""
    reader: Reader | None = None
    known: KnownDataset | None = None


def examples_from_rows(
    rows: Iterable[tuple[str, object]],
    source: str,
    *,
    known: KnownDataset | None = None,
    columns: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    stop: int | None = None,
) -> tuple[list[Example], Shape]:
    """Read every row in the shape of the first one.

    Args:
        rows: pairs of (where, row); `where` names the row in errors, such as `row 3 (line 4)`.
        source: the file or hub id, for errors.
        known: the data set that they are of; None recognises it, or a shape, by the columns.
        columns: which columns are what (`overmem.tasks.columns.KEYS`), where a person names them.
        notes: what is known of the source, for the shape; read once the rows are.
        stop: how many examples to read; None reads all.

    Returns:
        Examples in row order, ids being the `id` field or else the row's index from 0, and what was
        recognised.

    Raises:
        DataError: no rows, an unknown shape, a row that does not fit it, two rows with one id, or nothing
            but rows that are left out.
    """
    found = _Found()
    reading: _Reading | None = None
    rows = iter(rows)
    for index, (row_name, row) in enumerate(rows):
        where = f"{source}, {row_name}"
        if not isinstance(row, Mapping):
            raise DataError(f"{where} is not a record", got=type(row).__name__, expected="named fields")
        if reading is None and columns is None and is_tokenized(row):
            return _tokenized(chain([(row_name, row)], rows), source)
        reading = reading or _choose_reading(row, where, known, columns)
        found.add(row, reading.to_example(row, str(index), where), reading, source, row_name)
        if len(found.examples) == stop:
            break
    if reading is None:
        raise DataError(f"{source} has no rows", expected="at least one example")
    left_out = [f"{found.n_left_out} rows left out: {reading.leaves_out}"] if found.n_left_out else []
    if not found.examples:
        raise DataError(f"{source} has no row to learn", got=left_out[0], expected="at least one example")
    said = (*notes, *_said_of_columns(found.unused, reading), *left_out)
    return _in_one_form(found.examples), _describe(found, reading, said)


@dataclass
class _Found:
    """What the rows of a source have given so far."""

    examples: list[Example] = field(default_factory=list)
    row_names: dict[str, str] = field(default_factory=dict)
    """The row that each id is of."""
    n_left_out: int = 0
    numbered: bool = True
    unused: set[str] = field(default_factory=set)
    """Columns that hold something and are not read."""
    answer_sources: dict[str, None] = field(default_factory=dict)
    """Where answers come from, in the order of the rows."""

    def add(self, row: Row, example: Example | None, reading: _Reading, source: str, row_name: str) -> None:
        """Take the example of one more row, or None for one that is left out.

        Raises:
            DataError: its id is that of an earlier row.
        """
        for key, value in row.items():
            if key not in reading.used and key not in self.unused and has_content(value):
                self.unused.add(key)
        if example is None:
            self.n_left_out += 1
            return
        if example.id in self.row_names:
            raise DataError(
                f"{source}, {row_name} has the id of an earlier row ({self.row_names[example.id]})",
                got=example.id,
                expected="unique ids, since rows are paired across checkpoints by id",
                next_step="make the `id` field unique, or drop it to number the rows",
            )
        self.row_names[example.id] = row_name
        self.examples.append(example)
        self.numbered = self.numbered and row.get("id") is None
        if example.answer is not None and reading.reader is not None:
            self.answer_sources[answer_source(row, reading.reader, example)] = None


def _tokenized(rows: Iterable[tuple[str, Any]], source: str) -> tuple[list[Example], Shape]:
    """Rows that are already tokenized; all are read, as packed ones are several examples."""
    examples, description = read_tokenized(rows, source)
    answered = sum(example.answer is not None for example in examples)
    numbered = [example.id for example in examples] == [str(at) for at in range(len(examples))]
    return examples, Shape(
        name="tokenized",
        description=description,
        rows=len(examples),
        answered=answered,
        numbered=numbered,
        notes=() if answered else ("answers are read from the text of the tokens",),
    )


def _choose_reading(
    row: Row, where: str, known: KnownDataset | None, columns: Mapping[str, str] | None
) -> _Reading:
    """How to read rows like the first one."""
    if columns is not None:
        check_columns(row, columns, where)
        whole = [key for key in ("messages", "text") if key in columns]
        reader = reader_of(whole or ("prompt", "completion"))
        used = frozenset(name for value in columns.values() for name in fields_of(value, row))
        named = replace(
            reader,
            name="named columns",
            prompt=_named(columns, ("system", "context", "prompt", "options", "messages")) or reader.prompt,
            completion=_named(columns, ("completion", "text")) or reader.completion,
            truth=columns.get("answer", ""),
        )
        return _Reading(partial(_read_named, reader=named, columns=columns), used | {"id"}, LEFT_OUT, named)
    if known is not None:
        return _Reading(known.to_example, frozenset(row), known.leaves_out, known=known)
    if (found := recognise_dataset(row)) is not None:
        to_example = partial(_read_recognised, known=found)
        return _Reading(to_example, frozenset(row), found.leaves_out, known=found)
    reader = recognise(row, where)
    marks = {key for key in MARKS if isinstance(row.get(key), bool)}
    return _Reading(partial(read_row, reader=reader), reader.read_columns | marks, LEFT_OUT, reader)


def _read_recognised(row: Row, default_id: str, where: str, *, known: KnownDataset) -> Example | None:
    """Read a row of a data set recognised by its columns, with none beside them that changes the question."""
    for key in ROLES.keys() & row.keys() - {*known.columns, *known.reads}:
        if has_content(row[key]):
            refuse_media(row, where)
            by_name = f"write {known.name}:FILE to leave it out, or " if known.name in KNOWN else ""
            raise DataError(
                f"{where} has `{key}`, which changes the question and rows of {known.name} do not have",
                got=repr(row[key])[:100],
                next_step=f"{by_name}name the columns: --columns prompt=COLUMN,completion=COLUMN,...",
            )
    return known.to_example(row, default_id, where)


def _read_named(
    row: Row, default_id: str, where: str, *, reader: Reader, columns: Mapping[str, str]
) -> Example | None:
    """Read a row by the columns that a person named; what they left out is left out."""
    if is_bad_answer(row):
        return None
    found = read_row(named_row(row, columns, where), default_id, where, reader=reader)
    return None if found is None else replace(found, row=row)


def _in_one_form(examples: list[Example]) -> list[Example]:
    """Text prompts as messages where other rows have messages, so that all are rendered alike."""
    if len({isinstance(example.prompt, str) for example in examples}) < 2:
        return examples
    return [replace(example, prompt=as_turns(example.prompt)) for example in examples]


def _describe(found: _Found, reading: _Reading, notes: tuple[str, ...]) -> Shape:
    known, reader = reading.known, reading.reader
    if known is not None:
        name, description = known.name, known.description
    else:
        assert reader is not None
        name, description = reader.name, f"prompt from {reader.prompt}, completion from {reader.completion}"
    return Shape(
        name=name,
        description=description,
        rows=len(found.examples),
        answered=sum(example.answer is not None for example in found.examples),
        answer=" or ".join(found.answer_sources),
        numbered=found.numbered,
        grader=known.grader if known else None,
        notes=notes,
    )


def _said_of_columns(unused: Iterable[str], reading: _Reading) -> list[str]:
    """What is said of columns that hold something and are not read."""
    names = sorted(f"`{name}`" for name in unused)
    if not names or reading.known is not None:
        return []
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return [f"not read: {', '.join(names[:MAX_NAMED])}{more}"]


def _named(columns: Mapping[str, str], keys: tuple[str, ...]) -> str:
    """The columns or texts of some keys, in words."""
    return " and ".join(f"`{columns[key]}`" for key in keys if key in columns).replace("\n", "\\n")
