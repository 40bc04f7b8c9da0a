"""An audit of a sharded model that is larger than the memory it may use.

Two random bf16 checkpoints are audited (likelihood and answers to a few problems) without a limit, and in
a memory control group below the size of one checkpoint. Weights are mapped from the files, so pages that
do not fit are dropped and read again: slow, but it ends, with the same rows. Needs root and cgroup v1.

    python -m benchmarks.audit_size [--gb 2.2] [--limit-gb 1.5]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.merge import measure, write_checkpoint

import overmem.verdict.diagnose

GROUP = Path("/sys/fs/cgroup/memory/overmem-audit-size")


def command(run, out, problems):
    settings = ["--dtype", "bfloat16", "--max-new-tokens", "8", "--device", "cpu", "--template", "plain"]
    source = f"wordmath:val[:{problems}]"
    return [sys.executable, "-m", "overmem", "audit", str(run), "--out", str(out), "--val", source, *settings]


def limited(words, limit_gb):
    """The same command inside a group that may use so much memory, page cache included."""
    GROUP.mkdir(exist_ok=True)
    (GROUP / "memory.limit_in_bytes").write_text(str(int(limit_gb * 1e9)))
    return ["sh", "-c", f'echo $$ > {GROUP}/cgroup.procs && exec "$0" "$@"', *words]


def forget(run):
    """Drop a run's files from the page cache, whose pages count for the group that read them first."""
    os.sync()
    for path in run.rglob("*.safetensors"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rows_of(out):
    store, manifest = overmem.verdict.diagnose.open_audit(out)
    return {
        (record.name, table): store.read_rows(record.name, table).sort("example_id", "split")
        for record in manifest.checkpoints
        for table in ("likelihood", "generations")
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gb", type=float, default=2.2, help="size of a checkpoint on disk")
    parser.add_argument("--limit-gb", type=float, default=1.5)
    parser.add_argument("--problems", type=int, default=4)
    parser.add_argument("--work", type=Path, help="holds a temporary folder, of twice the size")
    options = parser.parse_args()
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        run, found = Path(folder) / "run", {}
        for step in (1, 2):
            size = write_checkpoint(run / f"checkpoint-{step}", options.gb, step)
            state = {"global_step": step, "epoch": step, "log_history": []}
            (run / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps(state))
        for name, limit in (("no limit", None), (f"{options.limit_gb} GB", options.limit_gb)):
            out = Path(folder) / name.replace(" ", "-")
            words = command(run, out, options.problems)
            forget(run)
            used = measure(words if limit is None else limited(words, limit), environment)
            found[name] = rows_of(out)
            print(
                f"| {size / 1e9:.2f} GB | {name} | {used.wall_seconds:.0f} s | {used.rss_mb:.0f} MB "
                f"| {used.anonymous_mb:.0f} MB |",
                flush=True,
            )
        first, second = found.values()
        assert first.keys() == second.keys() and all(first[key].equals(second[key]) for key in first)
        print("rows equal")
        shutil.rmtree(run)
    if GROUP.is_dir():
        GROUP.rmdir()


if __name__ == "__main__":
    main()
