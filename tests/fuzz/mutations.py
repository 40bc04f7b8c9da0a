"""Mutations of bytes and of plain values (what JSON has): pure functions of a random generator.

Some things have no form as a Python value that a writer would take: a list 100,000 deep, a number of 5,000
digits, a key that stands there twice. A marker text stands for them until `dump_json` writes them.
"""

from __future__ import annotations

import copy
import json
import math
from random import Random
from typing import Any

TWICE = "<<twice>>"
LITERALS = {
    "<<deep list>>": "[" * 50_000 + "]" * 50_000,
    "<<deep object>>": '{"a":' * 3_000 + "1" + "}" * 3_000,
    "<<less deep>>": "[" * 300 + "]" * 300,
    "<<digits>>": "9" * 5_000,
    "<<exponent>>": "1e999",
}
"""Markers of values that only a text can hold, and that text."""
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 7, 2**31, 2**53 + 1, 2**63, -(2**64), 10**400, -(10**400)),
    *(0.5, -0.0, 1e-320, 1e308, -1e308, math.nan, math.inf, -math.inf),
    *("", " ", "x", "1", "-1", "NaN", "null", "true", "1e9", "2020-01-01", "2020-99-99", "\x00", "\t\r\n"),
    *("\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b2J", "\u202egnp.exe", "\ud800", "\udcff", "\ufeff", "é"),
    *("../../../etc/passwd", "/", ".", "~", "-", "--help", "run[1]", "*", "checkpoint-10", "a" * 300),
    *("{{ 1/0 }}", "{% for", "%s%n%d", "{0}{x}", "$(true)", "<script>alert(1)</script>", "=1+1", "((("),
    *([], {}, [[]], [None], {"a": 1}, {"": None}, ["x"], [1, "x", None, {}], "long " * 40_000),
    *LITERALS,
)
_BITS = (
    *(
        b"\x00",
        b"\xff",
        b"\xe9",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x1b[2J",
        b"\r",
        b"\n",
        b"\n\n",
        b" ",
        b"\t",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b",",
        b":",
        b"\\ud800",
        b"\\u0000",
        b"\\",
        b"NaN",
        b"-Infinity",
        b"1e999",
    ),
    *(
        b"null",
        b"9" * 40,
        b"-1",
        b"&a ",
        b"*a ",
        b"- ",
        b"#",
        b"'",
        b"!!python/object:os.x ",
        b"\xf0\x9f\x98",
    ),
)


def mutate_bytes(rng: Random, data: bytes) -> bytes:
    """One change of bytes: some flipped, put in, taken out, repeated, cut off, or another encoding."""
    at = rng.randrange(len(data) + 1)
    # Most formats have what matters at one of the ends.
    at = rng.choice([at, at, min(at, rng.randrange(64)), max(at, len(data) - rng.randrange(64))])
    length = rng.choice([1, 1, 2, 8, 64, 1000])
    how = rng.randrange(9)
    if how == 0:
        flipped = bytes(byte ^ (1 << rng.randrange(8)) for byte in data[at : at + length])
        return data[:at] + flipped + data[at + length :]
    if how == 1:
        return data[:at] + data[at + length :]
    if how in (2, 3):
        return data[:at] + rng.choice(_BITS) + data[at:]
    if how == 4:
        return data[:at] + data[at : at + length] * rng.choice([2, 3, 50]) + data[at + length :]
    if how == 5:
        return data[:at]
    if how == 6:
        return data[:at] + rng.randbytes(length) + data[at + length :]
    if how == 7:
        return rng.choice(
            [b"", b"\xef\xbb\xbf" + data, data + data, data[::-1], data + b"\xe9", b"\x00" * 64]
        )
    return data.decode("latin-1").encode(rng.choice(["utf-16", "utf-8", "utf-32"]))


def mutate_value(rng: Random, value: Any) -> Any:
    """One change somewhere in a plain value; the original is left as it is."""
    root = [copy.deepcopy(value)]
    holder, key = _choose_place(rng, root)
    here = holder[key]
    how = rng.randrange(10)
    if how <= 4:
        holder[key] = copy.deepcopy(rng.choice(HOSTILE))
    elif how == 5 and holder is not root:
        del holder[key]
    elif how == 6 and isinstance(holder, dict):
        _rename(rng, holder, key)
    elif how == 6 and holder is not root:
        holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(here))
    elif how == 7:
        other, place = _choose_place(rng, root)
        holder[key] = copy.deepcopy(other[place])
    elif how == 8:
        holder[key] = rng.choice([[here], {"a": here}, [here] * 300, str(here)[:1000]])
    else:
        holder[key] = _changed(rng, here)
    return root[0]


def dump_json(value: Any, **options: Any) -> bytes:
    """The JSON text of a mutated value, with what its markers stand for."""
    text = json.dumps(value, **options)
    for marker, literal in LITERALS.items():
        text = text.replace(json.dumps(marker), literal)
    return text.replace(TWICE, "").encode("utf-8", "surrogatepass")


def _choose_place(rng: Random, root: list[Any]) -> tuple[Any, Any]:
    """A holder and a key in it; each level is as likely to be the place, so that the top is often hit."""
    holder: Any = root
    key: Any = 0
    while isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.8:
        holder = holder[key]
        key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    return holder, key


def _rename(rng: Random, holder: dict[str, Any], key: str) -> None:
    """Give a key another name, or let it stand there a second time with another value."""
    if rng.random() < 0.4:
        holder[f"{key}{TWICE}"] = copy.deepcopy(rng.choice(HOSTILE))
        return
    name = rng.choice([text for text in HOSTILE if isinstance(text, str) and text not in LITERALS])
    holder[rng.choice([name, name, f"{key} ", str(key).upper()])] = holder.pop(key)


def _changed(rng: Random, value: Any) -> Any:
    """A value a little off what it was."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        if isinstance(value, float) and not math.isfinite(value):
            return 0
        return rng.choice([-value, value + 1, value - 1, value * 1000, value / 3, str(value), value == 1])
    if isinstance(value, str):
        bits = mutate_bytes(rng, value.encode("utf-8", "surrogatepass"))
        return bits.decode("utf-8", rng.choice(["replace", "surrogateescape"]))
    if isinstance(value, list):
        return rng.choice(
            [value[::-1], value[:1], value * 2, value[1:], dict(enumerate(map(str, value[:50])))]
        )
    return rng.choice([list(value), list(value.values()), {**value, "zz": 1}, {k: None for k in value}])
