"""Run the fuzzer by hand: `python -m tests.fuzz --cases 5000 --seed 0`; one case: `--case KIND:SEED`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.fuzz.judge import FAULTS
from tests.fuzz.kinds import KINDS
from tests.fuzz.planted import PLANTED
from tests.fuzz.runner import LIMIT_SECONDS, Result, prepare, run_case, warm_up


def main() -> int:
    """Run what the command line asks for.

    Returns:
        0 where no case had a fault, else 1.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=300, help="how many, the kinds in turn")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first of each kind; the next has the next"
    )
    parser.add_argument("--kinds", default=",".join(KINDS), help="joined by commas")
    parser.add_argument(
        "--case", action="append", default=[], help="KIND:SEED, this one alone; with --out its folder is kept"
    )
    parser.add_argument("--out", type=Path, help="folder for material and cases; a temporary one by default")
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, help="seconds that a case may take")
    parser.add_argument("--json", action="store_true", help="print each result as a line, and keep no folder")
    asked = parser.parse_args()
    names = asked.case or list(case_names(asked.cases, asked.seed, asked.kinds.split(",")))
    with tempfile.TemporaryDirectory() as temporary:
        folder = (asked.out or Path(temporary)).resolve()
        warm_up()
        material = prepare(folder)
        keep = bool(asked.case and asked.out and not asked.json)
        results = (run_named(name, material, folder, asked.limit, keep=keep) for name in names)
        if asked.json:
            for result in results:
                print(json.dumps(dataclasses.asdict(result)))
            return 0
        return show(results, verbose=bool(asked.case))


def run_named(name: str, material: Path, folder: Path, limit: float, *, keep: bool = False) -> Result:
    """Run `KIND:SEED`, of a kind or with a planted fault; see `run_case`."""
    kind = name.partition(":")[0]
    plan = KINDS[kind] if kind in KINDS else PLANTED[kind][0]
    return run_case(name, plan, material, folder / name.replace(":", "-"), limit=limit, keep=keep)


def case_names(cases: int, seed: int, kinds: Iterable[str] = tuple(KINDS)) -> Iterator[str]:
    """`KIND:SEED` of so many cases, the kinds in turn."""
    chosen = list(kinds)
    for i in range(cases):
        yield f"{chosen[i % len(chosen)]}:{seed + i // len(chosen)}"


def show(results: Iterable[Result], *, verbose: bool = False) -> int:
    """Print each fault as it is found, then the table; 1 where there was one."""
    counts: dict[str, Counter[str]] = {}
    slowest = 0.0
    for result in results:
        count = counts.setdefault(result.case.partition(":")[0], Counter())
        count["cases"] += 1
        count["refused" if result.code == 2 else "answered"] += result.code in (0, 1, 2)
        count.update(result.faults.keys())
        slowest = max(slowest, result.seconds)
        if result.faults or verbose:
            print(f"python -m tests.fuzz --case {result.case}  # exit {result.code}, {result.seconds:.1f} s")
            print(f"  overmem {' '.join(map(ascii, result.arguments))[:500]}")
            for name, why in result.faults.items():
                print(f"  {name}: {why[-1200:]!a}")
            print(result.message if verbose else "", flush=True)
    print(table(counts))
    print(f"slowest {slowest:.1f} s")
    return int(any(count[name] for count in counts.values() for name in FAULTS))


def table(counts: dict[str, Counter[str]]) -> str:
    """Counts by kind, and of all."""
    columns = ("cases", "refused", "answered", *FAULTS)
    lines = ["kind".ljust(11) + "".join(name.rjust(len(name) + 2) for name in columns)]
    for kind, count in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        lines.append(kind.ljust(11) + "".join(str(count[name]).rjust(len(name) + 2) for name in columns))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
