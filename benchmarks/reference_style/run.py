"""Is val written in the style of training? False alarms in one style, and power against others and mixtures.

Sets are made from `wordmath`, and from GSM8K, MATH-500, SVAMP and GSM-Hard where `--data` has them. In one
style: other topics, lengths, pronouns and templates by the same writers. In another: the same problems
rewritten by rule, or other data sets, as all, a half or a quarter of val. The `first` cases were seen while
the test was made. The `second` and the `last` ones were each run once when it was frozen, and were seen when
it was mended. The `unseen` ones were written after that.

    python -m benchmarks.reference_style.run --data ../shared/data --seeds 3
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from benchmarks.reference_style import first, last, second, unseen

from overmem.stats.style.shift import StyleShift, detect_style_shift

CASES = {"first": first.cases, "second": second.cases, "last": last.cases, "unseen": unseen.cases}
SIZE = 1200
"""Texts of a side, of which the test looks at its own number."""


def said_of(train: list[str], val: list[str], seeds: int, size: int) -> list[StyleShift]:
    """What the test says of some draws of both sides."""
    found = []
    for seed in range(seeds):
        sides = [random.Random(seed).sample(texts, min(len(texts), size)) for texts in (train, val)]
        found.append(detect_style_shift(*sides, seed=seed))
    return found


def main() -> None:
    """Test every case over some draws; print a row of each, and false alarms and power of each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--only", choices=tuple(CASES))
    options = parser.parse_args()
    print("| training: val | style | written | unlike | told of draws |")
    print("| --- " * 5 + "|")
    totals: dict[tuple[str, str], list[list[bool]]] = {}
    for written, make in CASES.items():
        if options.only not in (None, written):
            continue
        for name, (train, val) in make(options.data, options.size).items():
            found = said_of(train, val, options.seeds, options.size)
            style, title = ("one" if name.startswith("=") else "other"), name.removeprefix("=")
            told = [bool(one.other_style) for one in found]
            shares = sorted(one.unlike.value for one in found)
            said = f"{shares[0]:.2f} to {shares[-1]:.2f} | {sum(told)} of {len(told)}"
            print(f"| {title} | {style} | {written} | {said} |", flush=True)
            totals.setdefault((written, style), []).append(told)
    for (written, style), cases in totals.items():
        draws = [told for case in cases for told in case]
        every = sum(map(all, cases))
        print(
            f"{written}, {style} style: told in {sum(draws)} of {len(draws)} draws, "
            f"in every draw of {every} of {len(cases)} cases"
        )


if __name__ == "__main__":
    main()
