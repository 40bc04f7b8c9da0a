"""Size of the report and how long it takes to make and to open, at the size of a real audit.

A synthetic audit of 50 checkpoints and 1,319 problems (GSM8K's test set) is written to disk, judged and
reported; the page is then opened several times, each in a fresh headless Chromium.

    python -m benchmarks.report_size [--checkpoints 50] [--problems 1319] [--rounds 5] [--folder DIR]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from tests.helpers.browser import Browser, find_chromium
from tests.helpers.synthetic import write_run

import overmem

NEAR_DRAWN = """[...document.querySelectorAll('[data-figure]')].filter(box =>
    box.getBoundingClientRect().top < innerHeight + 600).every(box => box.querySelector('.main-svg'))"""
"""Whether what lies in the window or near it is drawn; the rest waits until it is scrolled to."""
TIMES = """(page => [performance.getEntriesByName('first-contentful-paint')[0].startTime, page.loadEventEnd])
    (performance.getEntriesByType('navigation')[0])"""


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
    parser.add_argument("--checkpoints", type=int, default=50)
    parser.add_argument("--problems", type=int, default=1319)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)) / f"run-{given.checkpoints}-{given.problems}"
        if not (folder / "overmem" / "verdict.json").is_file():
            write_run(folder, checkpoints=given.checkpoints, problems=given.problems, samples=8)
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
        print(f"load of the machine while measuring: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
