"""Mutations of files by their format: inside the structure where it has one, else of the bytes."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import yaml

from overmem.parsing import parse_yaml
from tests.fuzz.mutations import HOSTILE, TWICE, dump_json, mutate_bytes, mutate_value

_ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
)
YAML_LINES = (
    *(_ALIASES, "a: &a [*a]\n", "zz: " + "[" * 5000 + "\n", "? [a]\n: 1\n", "? {a: b}\n: 1\n", "<<: 3\n"),
    *(
        "seed: 2020-01-01\n",
        "output: 2020-99-99\n",
        "seed: 2001-12-14t21:59:43.10-99:99\n",
        "seed: 0x" + "f" * 5000,
    ),
    *("seed: " + "1:" * 3000 + "1\n", "output: !!binary abc\n", "zz: !!python/object/apply:os.getcwd []\n"),
    *(
        "seed: !!int x\n",
        "seed: !!float x\n",
        "output: !!bool x\n",
        "output: !!timestamp x\n",
        "1: 2\n",
        "---\n---\n",
    ),
    *(
        'output: "\\ud800"\n',
        'output: "a\\0b"\n',
        "%YAML 9.9\n",
        "output: *none\n",
        "\tx: 1\n",
        "'\n",
        "!!set {a}\n",
    ),
)
JINJA_BITS = (
    *(
        "{{ 1/0 }}",
        "{{ messages[99].x }}",
        "{% for",
        "{% include '/etc/passwd' %}",
        "{{ raise_exception('no') }}",
    ),
    *(
        "{{ ''.__class__.__mro__ }}",
        "{{ 'x' * 10**7 }}",
        "{% set x = 10**400 %}",
        "{{ '\x1b[31m' }}",
        "{%- endfor %}",
    ),
    *(
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ undefined.a.b }}",
        "{% raw %}",
        "{{ messages|zz }}",
    ),
)
PYTHON_BITS = (
    *(
        "raise KeyError('x')\n",
        "import nonesuch\n",
        "def judge():\n    pass\n",
        "judge = render = 3\n",
        "x = (\n",
    ),
    *(
        "raise ValueError('\\x1b[31m')\n",
        "\x00",
        "judge = render = lambda *a: 10**400\n",
        "import sys; sys.exit(3)\n",
    ),
    *("judge = render = lambda *a: None\n", "judge = render = lambda *a: a[9]\n", "# \xe9\n", "1/0\n"),
    *("class E(Exception):\n    def __str__(self): raise E\ndef judge(*a): raise E\nrender = judge\n",),
    *("judge = render = lambda *a: float('nan')\n", "judge = render = lambda *a: ['x', {}]\n"),
)


def mutate_file(rng: Random, path: Path) -> None:
    """Change a file once; what is linked to it elsewhere stays as it is."""
    data = path.read_bytes()
    change = BY_FORMAT.get(path.suffix)
    if rng.random() < 0.03:
        return _something_else(rng, path)
    if change is not None and rng.random() < 0.75:
        try:
            data = change(rng, data)
        except Exception:  # an earlier change left no structure that its library reads
            data = mutate_bytes(rng, data)
    else:
        data = mutate_bytes(rng, data)
    replace_file(path, data)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file anew, so that a hard link to the old one is not written through."""
    path.unlink()
    path.write_bytes(data)


def _something_else(rng: Random, path: Path) -> None:
    """Put something in the place of the file that is no file, or not there."""
    how = rng.choice(["gone", "folder", "link to itself", "link to nothing", "pipe", "unreadable"])
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how.startswith("link"):
        path.symlink_to(path.name if how == "link to itself" else "nothing")
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "unreadable":
        path.symlink_to("/proc/self/mem")


def _json(rng: Random, data: bytes) -> bytes:
    value = mutate_value(rng, json.loads(data))
    return dump_json(value, indent=rng.choice([None, 1]))


def _jsonl(rng: Random, data: bytes) -> bytes:
    rows = [json.loads(line) for line in data.splitlines() if line.strip()]
    rows = _rows(rng, rows)
    return b"\n".join(dump_json(row) for row in rows) + b"\n"


def _rows(rng: Random, rows: list[Any]) -> list[Any]:
    """Rows of which one was changed, or all in the same way."""
    if rows and rng.random() < 0.3 and all(isinstance(row, dict) for row in rows):
        seed = rng.random()
        return [mutate_value(Random(seed), row) for row in rows]
    found = mutate_value(rng, rows)
    return found if isinstance(found, list) else [found]


def _csv(rng: Random, data: bytes) -> bytes:
    table = list(csv.reader(io.StringIO(data.decode())))
    row = rng.randrange(len(table))
    how = rng.randrange(5)
    if how == 0:
        table[row].append("more")
    elif how == 1:
        table[row] = table[row][:1]
    elif how == 2:
        table[0][rng.randrange(len(table[0]))] = rng.choice(["", "prompt", "x" * 5000, "\x1b[2J", "answer"])
    else:
        table[row][rng.randrange(len(table[row]))] = str(rng.choice(HOSTILE))[:200_000]
    written = io.StringIO()
    csv.writer(written).writerows(table)
    return written.getvalue().encode("utf-8", "surrogatepass")


def _yaml(rng: Random, data: bytes) -> bytes:
    if rng.random() < 0.4:
        lines = data.splitlines(keepends=True)
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(YAML_LINES).encode("latin-1"))
        return b"".join(lines)
    value = mutate_value(rng, parse_yaml(data.decode()))  # bounded: an earlier change may have put aliases in
    if rng.random() < 0.5:
        return dump_json(value)
    return yaml.safe_dump(value, sort_keys=False).replace(TWICE, "").encode("utf-8", "surrogatepass")


def _safetensors(rng: Random, data: bytes) -> bytes:
    if rng.random() < 0.3:
        at = rng.randrange(len(data))
        return rng.choice(
            [data[:at], data[:at] + bytes([data[at] ^ 64]) + data[at + 1 :], data + b"\x00" * 8]
        )
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    name = rng.choice([key for key in header if key != "__metadata__"])
    how = rng.randrange(5)
    if how == 0:
        header[name]["dtype"] = rng.choice(["F64", "F16", "BF16", "I8", "BOOL", "F8_E4M3", "ZZ", 3, None])
    elif how == 1:
        header[name]["shape"] = rng.choice(
            [[], [-1], [10**400], [2**62, 4], header[name]["shape"][::-1], "x"]
        )
    elif how == 2:
        header[name]["data_offsets"] = rng.choice([[0, 0], [5, 1], [0, 10**400], ["a", None], [0], [-4, 4]])
    elif how == 3:
        header[rng.choice(["zz", "\x1b[2J", "", "lm_head.weight", f"base.{name}"])] = header.pop(name)
    else:
        header = mutate_value(rng, header)
    text = dump_json(header)
    text += b" " * (-len(text) % 8)
    claimed = len(text) if rng.random() < 0.9 else rng.choice([0, 2**63, len(text) - 1, len(data) * 9])
    return claimed.to_bytes(8, "little") + text + data[8 + length :]


def _parquet(rng: Random, data: bytes) -> bytes:
    import polars as pl

    table = pl.read_parquet(io.BytesIO(data))
    metadata = {"schema": pl.read_parquet_metadata(io.BytesIO(data)).get("schema", "")}
    name = rng.choice(table.columns)
    kind = table.schema[name]
    how = rng.randrange(9)
    if how == 0:
        table = table.drop(name)
    elif how == 1:
        table = table.rename({name: rng.choice(["zz", "", "x\x1b[2J", f"{name} "])})
    elif how == 2:
        table = table.with_columns(pl.lit(None).cast(kind).alias(name))
    elif how == 3:
        table = rng.choice([table.clear(), table.reverse(), pl.concat([table, table]), table.head(1)])
    elif how == 4:
        table = table.with_columns(pl.lit(rng.choice(["x", 1, 0.5, True])).alias(name))
    elif how == 5:
        metadata = {"schema": rng.choice(["", "overmem.likelihood/9", "x\x1b[2J", metadata["schema"]])}
    else:
        table = table.with_columns(
            pl.Series(name, _cells(rng, table[name].to_list()), dtype=kind, strict=False)
        )
    written = io.BytesIO()
    table.write_parquet(written, metadata=metadata)
    return written.getvalue()


def _cells(rng: Random, cells: list[Any]) -> list[Any]:
    """A column with hostile values of about its type in one row or in all."""
    sample = next((cell for cell in cells if cell is not None), None)
    inner = sample[0] if isinstance(sample, list) and sample else sample
    pool: tuple[Any, ...] = ("", "x", "\x1b[2J", "\ud7ff", "../x", "a" * 100_000, "p0", "val", "\x00")
    if isinstance(inner, bool):
        pool = (True, False, None)
    elif isinstance(inner, int):
        pool = (0, -1, 1, 2**31, 2**62, -(2**62), None)
    elif isinstance(inner, float):
        pool = (0.0, -1.0, 1.0, 1e30, -1e30, 1e300, float("nan"), float("inf"), float("-inf"), None)
    chosen = rng.choice(pool)
    if isinstance(sample, list):
        every = [[chosen] * len(cell) if isinstance(cell, list) else cell for cell in cells]
        every = rng.choice(
            [every, [[chosen] for _ in cells], [[] for _ in cells], [c and c[1:] for c in cells]]
        )
    else:
        every = [chosen] * len(cells)
    at = rng.randrange(len(cells)) if cells else 0
    return every if rng.random() < 0.4 else [*cells[:at], *every[at : at + 1], *cells[at + 1 :]]


def _pieces(pieces: tuple[str, ...]) -> Callable[[Random, bytes], bytes]:
    def put_in(rng: Random, data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        lines.insert(
            rng.choice([0, len(lines), rng.randrange(len(lines) + 1)]), rng.choice(pieces).encode("latin-1")
        )
        return b"".join(lines)

    return put_in


BY_FORMAT: dict[str, Callable[[Random, bytes], bytes]] = {
    ".json": _json,
    ".jsonl": _jsonl,
    ".ipynb": _json,
    ".csv": _csv,
    ".yaml": _yaml,
    ".safetensors": _safetensors,
    ".parquet": _parquet,
    ".jinja": _pieces(JINJA_BITS),
    ".py": _pieces(PYTHON_BITS),
    ".md": _pieces(YAML_LINES),
}
"""By the ending of a name: a function from the bytes of a file to others."""
