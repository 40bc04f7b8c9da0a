"""Is `overmem plan` right? Forecast an audit, do it, and compare seconds and memory.

    python -m benchmarks.plan RUN [--axes all] [--limit 60] [--max-new-tokens 64] [--dtype float32]

RUN is copied first, without what was measured on it. Forecast and audit run in a process each; seconds are
those of the work, without the imports, and memory is the peak over what the process held before it. What the
forecast has timed is kept, so both speak of the rest. Prints one JSON record.

`--cpu-clock` counts the process's own seconds in both, for a machine that is shared (with OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--axes", default="likelihood,accuracy")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--max-new-tokens", type=int)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--val")
    parser.add_argument("--train")
    parser.add_argument("--cpu-clock", action="store_true")
    parser.add_argument("--part", choices=("forecast", "audit"), help="what a child process does")
    given = parser.parse_args()
    if given.part is not None:
        options = {
            k: v for k, v in vars(given).items() if k not in ("run", "part", "cpu_clock") and v is not None
        }
        options["axes"] = tuple(given.axes.split(","))
        if given.cpu_clock:
            time.monotonic = time.process_time
        print(json.dumps(do(given.part, given.run, options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / given.run.name
        shutil.copytree(given.run, copy, ignore=shutil.ignore_patterns("overmem"))
        words = [word for word in sys.argv[1:] if word != str(given.run)]
        found = {part: child(copy, words, part) for part in ("forecast", "audit")}
    said, was = found["forecast"], found["audit"]
    record = {
        "run": given.run.name,
        "options": " ".join(words),
        "seconds": [round(said["seconds"], 1), round(was["seconds"], 1)],
        "megabytes": [round(said["memory_bytes"]["total"] / 1e6), round(was["bytes"] / 1e6)],
        "tried_megabytes": round(said["measured_bytes"] / 1e6),
        "parts": said["memory_bytes"],
        "written": [sum(axis["written_tokens"] for axis in said["axes"]), was["written"]],
    }
    print(json.dumps(record))


def child(run: Path, words: list[str], part: str) -> Any:
    command = [sys.executable, __file__, str(run), *words, "--part", part]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def do(part: str, path: Path, options: dict[str, Any]) -> dict[str, Any]:
    from overmem.auditing.opening import open_session
    from overmem.auditing.options import make_options
    from overmem.auditing.planning.forecast import forecast, held_bytes, peak_bytes
    from overmem.auditing.resolve import resolve_options
    from overmem.auditing.run import measure
    from overmem.checkpoints import open_run

    run = open_run(path)
    options = {"val": None, "train": None, **options}
    config = resolve_options(run, make_options(options))
    session = open_session(run, config)
    if part == "forecast":
        return forecast(session, {}).to_dict(1)
    before, written = held_bytes(session.host.devices), answers(session)
    began = time.monotonic()
    measure(run, config)
    seconds = time.monotonic() - began
    most = peak_bytes(session.host.devices)
    assert before is not None and most is not None
    return {"seconds": seconds, "bytes": most - before, "written": answers(session) - written}


def answers(session: Any) -> int:
    """Tokens written into the saved answers."""
    names = [checkpoint.name for checkpoint in session.run.checkpoints]
    tables = [session.store.read_rows(name, "generations", columns=["n_tokens"]) for name in names]
    return sum(int(table["n_tokens"].sum()) for table in tables)


if __name__ == "__main__":
    main()
