"""Faults planted into the tool, to see that the fuzzer counts each: plans that first spoil the process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from overmem.errors import ArtifactError
from tests.fuzz.kinds import Plan

DIAGNOSE = ["diagnose", "run", "--resamples", "200"]


def _planted(target: str, fault: Callable[..., Any], arguments: list[str] = DIAGNOSE) -> Plan:
    """A plan that puts `fault` in the place of `module:name` or `module:class.name`."""

    def plan(rng: Random) -> list[str]:
        from importlib import import_module

        module, _, name = target.partition(":")
        holder: Any = import_module(module)
        *outer, last = name.split(".")
        for part in outer:
            holder = getattr(holder, part)
        setattr(holder, last, fault)
        return list(arguments)

    return plan


def _raise(error: BaseException) -> Callable[..., Any]:
    def fault(*_: Any, **__: Any) -> None:
        raise error

    return fault


def _half_a_record(store: Any, name: str, record: Any) -> Path:
    path: Path = store.root / f"{name}.json"
    path.unlink(missing_ok=True)
    path.write_text('{"schema": "overmem.verdict/1", "stage')
    return path


def _half_a_table(*_: Any, **__: Any) -> None:
    path = Path("run/overmem/checkpoint-10/likelihood.parquet")
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[: len(whole) // 2] + whole[-8:])


def _left(*_: Any, **__: Any) -> None:
    Path(f"run/overmem/.verdict.json.{os.getpid()}.tmp").touch()


def _refused_after_a_loss(*_: Any, **__: Any) -> None:
    Path("run/overmem/verdict.json").unlink()
    raise ArtifactError("no", got="nothing")


_READ = "overmem.artifacts.store:Store.read_rows"
_WRITE = "overmem.artifacts.run_records:RunRecords.write_record"
PLANTED: dict[str, tuple[Plan, str]] = {
    "reader": (_planted(_READ, _raise(KeyError("logprob"))), "traceback"),
    "record": (_planted(_WRITE, _half_a_record), "half-written"),
    "table": (_planted(_WRITE, _half_a_table), "half-written"),
    "leftover": (_planted(_WRITE, _left), "leftover"),
    "loser": (_planted(_READ, _refused_after_a_loss), "lost"),
    "sleeper": (_planted(_READ, lambda *_, **__: time.sleep(60)), "over time"),
    "escape": (_planted(_WRITE, lambda *_, **__: os.write(1, b"\x1b[2J")), "escape"),
    "wordless": (_planted(_READ, _raise(ArtifactError("no"))), "message"),
    "exit": (_planted(_READ, lambda *_, **__: sys.exit(3)), "exit code"),
    "abort": (_planted(_READ, lambda *_, **__: os.abort()), "exit code"),
    "plan": (lambda rng: [str(1 / 0)], "not made"),
    "json": (
        _planted(
            "overmem.cli.commands.diagnose:print_json", lambda _: print('{"a": NaN}'), [*DIAGNOSE, "--json"]
        ),
        "json",
    ),
}
"""By name: a plan with a fault, and what the fuzzer has to call it."""
