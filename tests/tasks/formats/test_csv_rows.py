"""CSV and TSV: every text to the letter as pandas and datasets read it, and no row that does not fit."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.errors import DataError
from overmem.tasks import load_examples
from overmem.tasks.formats.csv_rows import csv_rows
from tests.tasks.test_sources import error_of

QUOTED = 'question,answer\r\n"two\r\nlines, and a comma","say ""so"" #### 3"\r\n\r\nq2,4\r\n'


def write(path: Path, text: str) -> str:
    path.write_bytes(text.encode())
    return str(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "question,answer\nq,4\n"),
        ("a.csv", "\ufeffquestion,answer\nq,4"),
        ("a.csv", "question;answer\nq;4\n"),
        ("a.csv", "question|answer\nq|4\n"),
        ("a.csv", '"question","answer"\n"q","4"\n'),
        ("a.tsv", "question\tanswer\nq\t4\n"),
        ("a.csv", ",question,answer\n0,q,4\n"),
        ("a.csv", " question , answer \nq,4\n"),
    ],
)
def test_every_way_to_write_it_is_read_the_same(tmp_path: Path, name: str, text: str) -> None:
    (example,) = load_examples(write(tmp_path / name, text)).examples
    assert (example.prompt, example.completion, example.answer, dict(example.meta)) == ("q", "4", "4", {})


def test_quoted_line_breaks_and_quotes_are_kept(tmp_path: Path) -> None:
    first, second = load_examples(write(tmp_path / "a.csv", QUOTED)).examples
    assert (first.prompt, first.answer) == ("two\r\nlines, and a comma", "3")
    assert (first.completion, second.completion) == ('say "so" #### 3', "4")


def test_numbers_and_lists_keep_their_text(tmp_path: Path) -> None:
    text = 'question,options,answer,level\nq,"[""1,000"", ""02""]",B,007\n'
    (example,) = load_examples(write(tmp_path / "a.csv", text)).examples
    assert (example.prompt, example.answer) == ("q\n(A) 1,000\n(B) 02", "B")
    (_, row), *_ = csv_rows(Path(write(tmp_path / "b.csv", "question,answer\n,1.10\n")))
    assert row == {"question": None, "answer": "1.10"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["is empty"]),
        ("question,answer\n", ["a header and no rows"]),
        ("question,answer\nq,4\nq,4,5\n", ["line 3", "3 fields", "2, separated by a comma"]),
        ("question,answer\nq,4\nq\n", ["line 3", "1 fields"]),
        ("question,answer,answer\nq,4,5\n", ["names a column twice", "'answer'"]),
        ("question,,answer\nq,4,5\n", ["a column has no name"]),
        ('question,answer\n"q,4\n', ["line 2 is not CSV"]),
        ('question,answer\n"q"x,4\n', ["line 2 is not CSV"]),
        ("question,answer\rq,4\r", ["line 1 is not CSV"]),
        ("question^answer\nq^4\n", ["row 0 (line 2)", "question^answer", "the delimiter is another"]),
        ("question,answer\nq,\n", ["row 0 (line 2): cannot tell", "answer, question"]),
    ],
)
def test_bad_files_are_one_message(tmp_path: Path, text: str, parts: list[str]) -> None:
    message = error_of(write(tmp_path / "a.csv", text))
    assert all(part in message for part in ["a.csv", *parts]), message


def test_a_field_of_a_million_characters(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "question,answer\n" + "q" * 1_000_000 + ",4\n")
    assert len(load_examples(path).examples[0].prompt) == 1_000_000


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff"), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=5), mark=st.sampled_from(",;\t|"))
def test_the_same_texts_as_polars_reads(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], mark: str
) -> None:
    """The oracle: another reader of CSV, on anything that Python's writer can write."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=mark, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("a", "b"), *rows])
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(text.getvalue().encode())
    theirs = polars.read_csv(path, separator=mark, infer_schema=False).rows()
    assert [(row["a"], row["b"]) for _, row in csv_rows(path)] == theirs == rows


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=40) | st.text(st.sampled_from('ab,;"\n\t|'), max_size=30).map(str.encode))
def test_any_bytes_give_rows_or_one_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.csv"
    path.write_bytes(content)
    try:
        rows = list(csv_rows(path))
    except DataError as error:
        assert "bytes.csv" in str(error)
        return
    assert len({tuple(row) for _, row in rows}) == 1
