"""Hostile values of options, names of files, and answers of a server."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.mutations import HOSTILE, dump_json, mutate_bytes, mutate_value

LITTLE = ("--resamples", "200")
_BASES: tuple[tuple[str, ...], ...] = (
    ("audit", "bare", "--val", "val.jsonl", "--max-new-tokens", "2", "--limit", "3", "--device", "cpu"),
    ("plan", "bare", "--val", "val.jsonl", "--max-new-tokens", "2", "--limit", "3", "--device", "cpu"),
    *(("diagnose", "run", *LITTLE), ("compare", "run", "run", *LITTLE), ("check", "run"), ("report", "run")),
    *(("data", "check", "--val", "val.jsonl", "--train", "train.jsonl"), ("data", "memorized", "run")),
    *(("data", "clean", "run", "--out", "clean.jsonl"), ("repair", "run", "--plan")),
    ("merge", "bare/checkpoint-10", "bare/checkpoint-20", "--out", "merged"),
    *(("train", "recipe.yaml", "--dry-run"), ("sweep", "sweep.yaml", "--plan")),
    (
        "watch",
        "bare",
        "--val",
        "val.jsonl",
        "--max-new-tokens",
        "2",
        "--limit",
        "3",
        "--idle",
        "0",
        "--settle",
        "0",
    ),
)
_LEFT_OUT = {"--workers", "--ray", "--engine", "--help", "--every", "--settle", "--idle", "--json", "--plan"}
"""Options that start a cluster, look something up outside, or wait as long as one says."""
_TEXTS = (
    *(
        "nan",
        "inf",
        "-inf",
        "0",
        "-1",
        "1",
        "2",
        "1e308",
        "1e-308",
        "1" + "0" * 400,
        "9" * 5000,
        "0x10",
        "1_000",
    ),
    *(
        "",
        " ",
        "x",
        "a,b",
        ",",
        "=",
        "a=b",
        "a=",
        "=b",
        "a=b=c",
        ":",
        "a:b",
        "[",
        "[:",
        "x[::]",
        "x[1:2:3]",
        "x[-1:]",
    ),
    *(
        "x[99999999999999999999:]",
        "\x1b[31mred",
        "\udce9",
        "\n",
        "a\nb",
        "\u202ex",
        "é",
        "-",
        "--",
        "~",
        "$HOME",
    ),
    *(
        "*",
        "run[1]",
        "/",
        ".",
        "..",
        "/dev/null",
        "/proc/self/mem",
        "x" * 5000,
        "{}",
        "[]",
        "{",
        '{"a":' * 2000,
    ),
    *(
        "python:",
        "python:x",
        "python:grader.py:judge",
        "python:grader.py:nonesuch",
        "python:os:getcwd",
        "regex:(((",
        "regex:",
    ),
    *(
        "regex:(a+)+$",
        "gsm8k:",
        "gsm8k:val.jsonl",
        "wordmath:val[:2]",
        "wordmath:nonesuch",
        "hf:x",
        "file:",
        "#",
        "val.jsonl#x",
    ),
    *(
        "val.jsonl",
        "train.jsonl",
        "val.parquet",
        "val.csv",
        "shapes/choices.jsonl",
        "bare",
        "base",
        "all",
        "none",
        "first,last",
    ),
    *(
        "checkpoint-10",
        "last",
        "final",
        "likelihood",
        "accuracy,diversity",
        "chat",
        "plain",
        "auto",
        "math",
        "code",
        "exact",
    ),
    *(
        "{prompt}",
        "{prompt",
        "{x}",
        "{0}",
        "{completion!r:>99}",
        "cuda:99",
        "float8",
        "ood=val.jsonl",
        "x=val.jsonl[:2]",
    ),
    *(
        "training.learning_rate=x",
        "training.learning_rate=.nan",
        "seed=1",
        "seed=[[",
        "zz.zz=1",
        "data=3",
        "nll",
        "dft",
        "ties",
    ),
    *(
        "slerp",
        "0.5,0.5",
        "0.5,x",
        "nan,nan",
        "1e308,1e308",
        "0,0",
        "val=2",
        "val=-1",
        "val=x",
        "10%",
        "typo",
        "preamble",
    ),
)
_NAMES = (
    *(
        "run[1]",
        "run*",
        "a?b",
        "with space",
        "p%20q",
        "~",
        "h#x",
        "e\u0301",
        "é",
        "-dash",
        "--help",
        "new\nline",
        "[!a]",
    ),
    *(
        "{a,b}",
        "**",
        "s3:",
        "~root",
        "$HOME",
        "run[",
        "data[:100]",
        "'q'",
        '"q"',
        "a:b",
        "hf:",
        "file:",
        "\udce9n",
        "a\udcffb",
    ),
    *(
        "\x1b[31mred",
        "\x1b]0;t\x07",
        "\u202egnp",
        "\x01",
        "tab\tx",
        "back\\slash",
        "x" * 200,
        "checkpoint-",
        "checkpoint--1",
    ),
    *(
        "checkpoint-" + "9" * 30,
        "checkpoint-1e3",
        ".hidden",
        "CON",
        "nul",
        "a,b",
        "a=b",
        "<b>",
        "&amp;",
        "{{x}}",
        "%s",
        "\ufeffx",
    ),
)


def hostile_name(rng: Random) -> str:
    """The name of a file or folder that Linux takes."""
    name = rng.choice(_NAMES)
    return name if rng.random() < 0.7 else f"{name}{rng.choice(['', '.jsonl', '[:2]', '#x', ' '])}"


def hostile_options(rng: Random) -> list[str]:
    """A command with options that it has, of values that it cannot have."""
    base = list(rng.choice(_BASES))
    options = [option for option in _options(base) if option.name not in _LEFT_OUT]
    for option in rng.sample(options, min(len(options), rng.randint(1, 3))):
        base += [option.name] if option.is_flag else [option.name, _value(rng)]
    if rng.random() < 0.2:
        base.insert(rng.randrange(1, len(base) + 1), _value(rng))
    return base


@dataclass(frozen=True)
class _Option:
    name: str
    is_flag: bool


def _options(command: list[str]) -> list[_Option]:
    """The options of a command, as the command line itself knows them."""
    import typer

    from overmem.cli.app import app

    found: Any = typer.main.get_command(app)
    for word in command[:2]:
        if hasattr(found, "get_command"):
            found = found.get_command(None, word)
    return [_Option(p.opts[0], p.is_flag) for p in found.params if p.opts[0].startswith("--")]


def _value(rng: Random) -> str:
    return rng.choice(_TEXTS) if rng.random() < 0.85 else hostile_name(rng)


_HEADERS = (
    *(
        "Content-Length: 5",
        "Content-Length: -1",
        "Content-Length: 9" + "9" * 30,
        "Content-Length: x",
        "Content-Length: 1\r\n 2",
    ),
    *(
        "Transfer-Encoding: chunked",
        "Content-Encoding: gzip",
        "Location: file:///etc/passwd",
        "Retry-After: 1e400",
        ": x",
    ),
    *(
        "Retry-After: Wed, 99 Zzz 2020",
        "Set-Cookie: \x1b[2J",
        "X: " + "y" * 70_000,
        "Content-Type: text/html; charset=zz",
    ),
)
_STATUS = (
    "200 OK",
    "200 OK",
    "200 OK",
    "200 OK",
    "500 \x1b[31mx",
    "429 x",
    "302 x",
    "404 x",
    "401 x",
    "204 x",
    "999",
    "x",
)


def hostile_engine(rng: Random) -> list[str]:
    """A server whose answers are mutated, and an audit that asks it."""
    from overmem.models.engines.transport import RetryPolicy
    from tests.helpers.hostile_server import HostileServer, http

    RetryPolicy.wait_seconds = lambda *_: 0.001  # type: ignore[method-assign]
    choice = {"text": " 7", "finish_reason": "stop", "logprobs": {"token_logprobs": [-1.0, -2.0]}}
    completion = {"choices": [choice]}
    models: Any = {"data": [{"id": f"checkpoint-{step}"} for step in (10, 20, 100)]}
    spoilt = rng.choice(["models", "completion", "completion", "completion"])
    status, headers, bits, pause = "200 OK", [], 0, rng.random() < 0.05
    how = rng.randrange(4)
    if how == 0:
        status, headers = rng.choice(_STATUS), rng.sample(_HEADERS, rng.randint(0, 2))
    elif how == 1:
        bits = rng.randint(1, 4)
    seed = rng.random()

    def script(server: Any, connection: socket.socket) -> None:
        path = server.requests[-1].split(b" ")[1]
        is_spoilt = (spoilt == "models") == path.endswith(b"/models")
        plain: Any = models if path.endswith(b"/models") else completion
        if not path.endswith(b"/models"):
            asked = json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])
            usage = {"prompt_tokens": len(asked["prompt"]), "completion_tokens": 2}
            plain = {**completion, "model": asked["model"], "usage": usage}
        again = Random(seed)
        if is_spoilt and how >= 2:
            for _ in range(again.randint(1, 3)):
                plain = mutate_value(again, plain)
        try:
            data = http(
                dump_json(plain), *(headers if is_spoilt else ()), status=status if is_spoilt else "200 OK"
            )
        except UnicodeEncodeError:
            data = b"HTTP/1.1 200 OK\r\n\r\n"
        for _ in range(bits if is_spoilt else 0):
            data = mutate_bytes(again, data)
        connection.sendall(data[:20] if pause else data)
        if pause:
            connection.sendall(b"X: y\r\n" * 3)
            # Until the client has gone; another wait of an end that came would take the processor.
            connection.recv(1)

    server = HostileServer(script)
    Path("server.txt").write_text(os.fsdecode(server.engine))
    names = rng.choice([(), ("--engine-model", "{name}"), ("--engine-on-demand",)])
    return [
        *("audit", "bare", "--val", "val.jsonl", "--max-new-tokens", "2", "--limit", "3", "--device", "cpu"),
        *("--engine", server.engine, "--engine-timeout", "1", *names),
    ]


assert all(isinstance(text, str) for text in _TEXTS) and HOSTILE
