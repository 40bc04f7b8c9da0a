"""JSON and YAML of others: what is meant is read, and whatever else may stand there is refused at once."""

import json
import os
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.parsing import (
    MAX_DEPTH,
    ParseError,
    finite_number,
    parse_json,
    parse_yaml,
    read_json,
    read_json_object,
    read_json_or_empty,
    read_yaml,
)

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Some 500 bytes that stand for 9 ** 9 values."""
YAML = {
    "bomb": (BOMB, "stands for more than 100,000 values"),
    "deep lists": ("a: " + "[" * 20_000 + "]" * 20_000, "100 deep"),
    "deep maps": ("{a: " * 5_000, "100 deep"),
    "itself": ("a: &a [*a]", "inside what it is an alias of"),
    "a key twice": ("seed: 1\nlr: 2\nseed: 3", "`seed` stands there again in line 3"),
    "an object": ("a: !!python/object/apply:os.system ['true']", "asks for an object"),
    "bytes": ("a: !!binary abc", "asks for an object"),
    "digits": ("a: " + "9" * 5_000, "4300 digits"),
    "hexadecimal digits": ("a: 1\nb: 0x" + "f" * 4_000, "thousands of digits stands in line 2"),
    "no number": ("a: !!int x", "invalid literal"),
    "no key": ("? [a]\n: 1", "unhashable"),
    "zero byte": ("a: \0", "special characters"),
    "half of a character": ('a: 1\nb: "\\ud83d"', "half of a character .* in line 2"),
    "open": ("a: [1", "line 1"),
}
JSON = {
    "deep": ("[" * 100_000 + "]" * 100_000, "100 deep"),
    "deep and read": ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "100 deep"),
    "digits": ('{"a": ' + "9" * 5_000 + "}", "4300 digits"),
    "latin-1": (b'{"a": "\xe9"}', "codec"),
    "open": ("{", "line 1"),
    "nothing": ("", "line 1"),
}


@pytest.mark.parametrize("name", YAML)
def test_yaml_that_would_hang_or_fail_later_is_refused_in_words(name):
    text, why = YAML[name]
    began = time.perf_counter()
    with pytest.raises(ParseError, match=why) as raised:
        parse_yaml(text)
    assert time.perf_counter() - began < 5 and "\n" not in str(raised.value)


@pytest.mark.parametrize("name", JSON)
def test_json_that_would_fail_in_python_is_refused_in_words(name):
    text, why = JSON[name]
    with pytest.raises(ParseError, match=why):
        parse_json(text)


PLAIN = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text("ab: -{}[]&*#!", max_size=6)
NESTED = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", min_size=1), inner, max_size=3)
    ),
)


@settings(deadline=None)
@given(NESTED)
def test_what_pyyaml_and_json_write_is_read_as_it_was(value):
    assert parse_yaml(yaml.safe_dump(value)) == value
    assert parse_json(json.dumps(value)) == value


def test_a_character_that_json_writes_as_two_escapes_is_one():
    value = {"\U0001f600": ["e\u0301 \U0001f600"]}
    assert parse_yaml(json.dumps(value)) == value


def test_a_date_is_the_text_that_it_is_and_merges_work():
    assert parse_yaml("output: 2020-01-01") == {"output": "2020-01-01"}
    assert parse_yaml("a: &x {p: 1, q: 1}\nb: {<<: *x, q: 2}") == {
        "a": {"p": 1, "q": 1},
        "b": {"p": 1, "q": 2},
    }


def test_files(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"\xef\xbb\xbf{}")  # a byte order mark
    assert read_json_object(file) == {} == read_yaml(file)
    file.write_bytes(b'{"a": "\xe9"}')
    for read in (read_json_object, read_yaml):
        with pytest.raises(ParseError, match="no UTF-8 text: byte 0xe9"):
            read(file)
    file.write_text("[]")
    with pytest.raises(ParseError, match="a list, not an object"):
        read_json_object(file)
    assert read_json_or_empty(file) == read_json_or_empty(tmp_path / "none") == {}
    file.write_text("a: " + "x" * (1 << 20))
    with pytest.raises(ParseError, match="more than 1,048,576"):
        read_yaml(file)


@pytest.mark.parametrize("value", [None, True, "1", [], float("nan"), float("inf"), 10**400])
def test_what_is_no_finite_number_is_none(value):
    assert finite_number(value) is None
    assert finite_number(3) == 3.0 and finite_number(-0.5) == -0.5


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_a_pipe_is_refused_and_not_waited_for_but_for_the_shells_own(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ParseError, match="not a file"):
        read(tmp_path / "pipe")
    with pytest.raises(ParseError, match="null byte"):
        read(tmp_path / "a\0b")
    end, start = os.pipe()
    os.write(start, b"[1]")
    os.close(start)
    assert read(Path(f"/dev/fd/{end}")) == [1]
    os.close(end)
