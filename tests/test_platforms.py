"""macOS and Windows by pretending: what POSIX or Linux alone has is taken away, and the work goes on.

Nobody runs these tests there. What is pretended is what Python's own documentation says is missing.
"""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from overmem.artifacts import temporary
from overmem.auditing.planning import forecast
from overmem.errors import GradeError
from overmem.grading.sandbox import run as sandbox
from tests.helpers.paths import ROOT
from tests.helpers.synthetic import write_run

TAKEN_AWAY = """
import os, signal, sys, warnings
# Libraries are loaded first: they are of this platform, and know it.
import filelock, numpy, polars, psutil, pyarrow.parquet, pydantic, rich.console, threadpoolctl, typer, {more}
# It asks the system which BLAS is loaded whenever threads are limited, by calls that only that system has.
threadpoolctl.ThreadpoolController._load_libraries = lambda self: None
for module in ("resource", "fcntl", "termios", "pwd", "grp"):
    sys.modules[module] = None
for name in ("fork", "killpg", "sysconf", "register_at_fork", "getuid", "setsid", "sched_getaffinity"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGKILL", "SIGXCPU", "SIGPROF", "SIGALRM", "SIGHUP", "setitimer", "ITIMER_PROF", "alarm"):
    delattr(signal, name)
# Text without an encoding is in the system's there, which is not UTF-8.
warnings.filterwarnings("error", category=EncodingWarning, module="overmem")
sys.platform = "{platform}"
"""
WORK = """
from pathlib import Path
import overmem
from overmem.artifacts.files import locked_folder, write_text_atomic
from overmem.errors import RunError

run = Path(sys.argv[1])
print(repr(overmem.diagnose(run)).splitlines()[1].strip())
print(overmem.report(run).name)
write_text_atomic(run / "a.txt", "whole")
with locked_folder(run / "locked", RunError("taken")):
    print("locked")
from overmem.grading.mathematics.engine import verify
print(verify("1/2", "0.5"))
"""


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_verdict_report_locks_and_grading_need_nothing_of_linux(platform, tmp_path):
    run = write_run(tmp_path / "run", checkpoints=4, axes=False)
    code = TAKEN_AWAY.format(platform=platform, more="math_verify") + WORK
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-X", "warn_default_encoding", "-c", code, str(run)],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stage, *rest = done.stdout.split("\n")
    assert stage.startswith("Stage")
    assert rest == ["report.html", "locked", "True", ""]
    assert (run / "a.txt").read_text() == "whole"


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_the_code_sandbox_says_that_it_is_for_linux_alone(monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(
        GradeError, match=r"none is run[\s\S]*neither Landlock nor seccomp[\s\S]*virtual machine"
    ):
        sandbox.run_code("x = 1", "assert x == 1")


def test_where_signals_end_processes_leftovers_are_told_by_the_list_of_processes(monkeypatch):
    asked = [sys.executable, "-c", "import os; print(os.getpid())"]
    gone = int(subprocess.run(asked, capture_output=True, text=True).stdout)
    fatal = SimpleNamespace(name="nt", kill=lambda *_: pytest.fail("a signal ends a process on Windows"))
    monkeypatch.setattr(temporary, "os", fatal)
    assert (temporary._lives(os.getpid()), temporary._lives(gone)) == (True, False)


def test_without_proc_the_memory_of_a_cpu_is_not_known_and_nothing_fails(monkeypatch):
    import torch

    monkeypatch.setattr(forecast.Path, "is_file", lambda _: False)
    assert forecast.held_bytes([torch.device("cpu")]) is None
    assert forecast.peak_bytes([torch.device("cpu")]) is None


@pytest.mark.exhaustive
@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_a_type_checker_finds_what_another_platform_lacks_only_behind_a_question(platform, tmp_path):
    """What is left are the sandbox's own lines, and calls that a question stands before."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--platform", platform, "--cache-dir", str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    found = {line.partition(":")[0] for line in done.stdout.splitlines() if "error:" in line}
    assert found <= {
        "src/overmem/grading/sandbox/inside.py",
        "src/overmem/grading/sandbox/run.py",
        "src/overmem/grading/mathematics/engine_worker.py",
        "src/overmem/auditing/planning/forecast.py",
    }
