"""Size of the report and how long it takes to make and to open, at the size of a real audit.

A synthetic audit of 12 checkpoints and 1,319 problems (GSM8K's test set) is written to disk, judged and
reported. Texts are as long as GSM8K's, of words drawn by chance, which compress worse than language; each
checkpoint answers in words of its own. The page is then opened several times, each in a fresh headless
Chromium: at its top, and at a link to one problem.

    python -m benchmarks.report_size [--checkpoints 12] [--problems 1319] [--rounds 5] [--folder DIR]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from tests.helpers.browser import Browser, find_chromium
from tests.helpers.synthetic import write_run

import overmem

WORDS, WORDS_OF_PROMPT, WORDS_OF_SOLUTION = 3000, 45, 55
CHANGED = 0.25
"""Share of an answer's words that are other ones than the reference's."""
NEAR_DRAWN = """[...document.querySelectorAll('[data-figure]')].filter(box =>
    box.getBoundingClientRect().top < innerHeight + 600).every(box => box.querySelector('.main-svg'))"""
"""Whether what lies in the window or near it is drawn; the rest waits until it is scrolled to."""
TIMES = """(page => [performance.getEntriesByName('first-contentful-paint')[0].startTime, page.loadEventEnd])
    (performance.getEntriesByType('navigation')[0])"""


def some_words(rng: np.random.Generator, n: int) -> list[str]:
    """Words of which few are frequent and most are rare, as in language."""
    ranks = np.minimum(rng.zipf(1.3, n), WORDS)
    names = [np.random.default_rng([int(rank), 5]).integers(97, 123, 2 + int(rank) % 7) for rank in ranks]
    return ["".join(map(chr, name)) for name in names]


def made_text(i: int) -> tuple[str, str]:
    """Prompt and solution of a problem, as long as GSM8K's."""
    rng = np.random.default_rng([i, 0])
    prompt, solution = some_words(rng, WORDS_OF_PROMPT), some_words(rng, WORDS_OF_SOLUTION)
    return " ".join(prompt) + "\n", " " + " ".join(solution) + f"\n#### {i}"


def made_answer(i: int, done: float, right: bool) -> str:
    """The solution with words changed, others at each checkpoint."""
    rng = np.random.default_rng([i, 1 + round(1000 * done)])
    words = made_text(i)[1].split(" ")
    for place in np.flatnonzero(rng.random(len(words)) < CHANGED):
        words[place] = some_words(rng, 1)[0]
    return " ".join(words) if right else " ".join(words) + "0"


def open_at(page: Path, width: int) -> tuple[float, float]:
    """Seconds until the problem in the middle is open by its link, and until a search has found it."""
    with Browser(width=width) as browser:
        browser.open(page)
        ids = browser.js("[...document.querySelectorAll('[data-list=val]')].length")
        assert ids == 1
        browser.js("new Promise(r => setTimeout(r, 500))")
        start = time.perf_counter()
        browser.js("location.hash = 'problem-val-00010'")
        browser.wait_for("!!document.querySelector('[id=problem-val-00010] .body')")
        opened = time.perf_counter() - start
        start = time.perf_counter()
        browser.js("""(e => { e.value = 'val-00011'; e.dispatchEvent(new Event('input', {bubbles: true})) })
            (document.querySelector('[data-list=val] [type=search]'))""")
        browser.wait_for("document.querySelectorAll('[data-list=val] .items > li').length === 1")
        return opened, time.perf_counter() - start


def open_once(page: Path, width: int) -> tuple[float, float, float, float]:
    """Seconds until text is seen, until loaded and until drawn near the window; processor seconds of it."""
    with Browser(width=width) as browser:
        browser.send("Performance.enable", timeDomain="threadTicks")
        start = time.perf_counter()
        browser.open(page)
        browser.wait_for(NEAR_DRAWN)
        drawn = time.perf_counter() - start
        metrics = {m["name"]: m["value"] for m in browser.send("Performance.getMetrics")["metrics"]}
        browser.wait_for("performance.getEntriesByName('first-contentful-paint').length > 0")
        seen, loaded = browser.js(TIMES)
        return seen / 1000, loaded / 1000, drawn, metrics["TaskDuration"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoints", type=int, default=12)
    parser.add_argument("--problems", type=int, default=1319)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)) / f"run-{given.checkpoints}-{given.problems}"
        if not (folder / "overmem" / "verdict.json").is_file():
            write_run(
                folder,
                checkpoints=given.checkpoints,
                problems=given.problems,
                samples=8,
                text=made_text,
                answer=made_answer,
            )
            overmem.diagnose(folder)
        start = time.perf_counter()
        page = overmem.report(folder)
        made = time.perf_counter() - start
        print(f"{given.checkpoints} checkpoints, {given.problems:,} problems")
        print(f"made in {made:.2f} s; {page.stat().st_size / 1e6:.2f} MB")
        if find_chromium() is None:
            print("no Chromium: not opened")
            return
        for width in (1280, 390):
            rounds = [open_once(page, width) for _ in range(given.rounds)]
            seen, loaded, drawn, busy = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(
                f"{width} wide: text seen after {seen:.2f} s, loaded {loaded:.2f} s, figures in sight drawn "
                f"{drawn:.2f} s; {busy:.2f} s of processor; median of {given.rounds} cold starts"
            )
            rounds = [open_at(page, width) for _ in range(given.rounds)]
            opened, found = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"{width} wide: a problem by its link {opened:.2f} s, a search {found:.2f} s")
        print(f"load of the machine while measuring: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
