"""`overmem diagnose` of a log: what it imports, what it keeps, and that the plain call is the same call.

Covers: overmem.cli.run
"""

import json
import os
import subprocess
import sys

import pytest

from overmem.cli.diagnosis import diagnose_plain
from overmem.cli.run import SPINS, run
from tests.helpers.processes import ALONE
from tests.helpers.written_logs import WRITTEN

HEAVY = {"numpy", "polars", "pyarrow", "torch", "transformers", "datasets", "tensorboard", "wandb", "mlflow"}
PARSER = {"typer", "pydantic", "importlib.metadata"}
"""What the options of a command cost; a call without any does without."""
LOGS = (
    "llamafactory/trainer_log.jsonl",
    "notebook.ipynb",
    "events.out.tfevents.1795986438.vm.19124.0",
    "run-u14vof0r.wandb",
    "mlruns",
    "console.txt",
)
PROGRAM = """
import sys
from overmem.cli import main

codes = []
for arguments in {calls!r}:
    sys.argv = ["overmem", *arguments]
    try:
        main()
    except SystemExit as ended:
        codes.append(ended.code)
print("imported", sorted({modules!r} & set(sys.modules)), codes)
"""


def imported(modules, *calls):
    """Which of some modules a process has imported after calls of the command line, and their exit codes."""
    program = PROGRAM.format(calls=[list(map(str, call)) for call in calls], modules=modules)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=ALONE, check=True
    )
    return done.stdout.splitlines()[-1]


@pytest.fixture
def trainer_state(tmp_path):
    (tmp_path / "trainer_state.json").write_text((WRITTEN / "hf.json").read_text())
    return tmp_path


def test_a_log_is_diagnosed_without_arrays_and_without_the_parser_of_options(trainer_state):
    calls = [("diagnose", path) for path in (trainer_state, *(WRITTEN / name for name in LOGS))]
    calls.append(("diagnose", trainer_state, "--json"))
    assert imported(HEAVY | PARSER, *calls) == f"imported [] {[0] * len(calls)}"


def test_help_and_options_import_no_arrays(trainer_state):
    calls = [("--help",), ("diagnose", "--help"), ("diagnose", trainer_state, "--perplexity-ratio", "1.2")]
    assert imported(HEAVY, *calls) == "imported [] [0, 0, 0]"


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["screen", "json"])
def test_the_plain_call_says_what_the_parsed_one_says(trainer_state, options, monkeypatch, capsys):
    said = []
    for more in ([], ["--seed", "0"]):
        monkeypatch.setattr(sys, "argv", ["overmem", "diagnose", str(trainer_state), *options, *more])
        assert run() == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and "eval_loss" in said[0]


def test_calls_with_more_in_them_are_left_to_the_parser(trainer_state, tmp_path):
    path = str(trainer_state)
    calls = ([], ["diagnose"], ["report", path], ["diagnose", "--help"], ["diagnose", path, "--full"])
    calls += (["diagnose", path, path], ["diagnose", str(tmp_path / "gone")], ["diagnose", ""])
    assert not any(map(diagnose_plain, calls))
    (tmp_path / "overmem.yaml").write_text("{}")  # may hold thresholds
    assert not diagnose_plain(["diagnose", path])


def test_of_a_run_folder_the_verdict_is_kept_and_of_a_log_alone_nothing(trainer_state, tmp_path):
    log = tmp_path / "elsewhere" / "trainer_log.jsonl"
    log.parent.mkdir()
    log.write_text((WRITTEN / LOGS[0]).read_text())
    assert diagnose_plain(["diagnose", str(log)]) and diagnose_plain(["diagnose", str(log.parent)])
    assert list(log.parent.iterdir()) == [log]
    assert diagnose_plain(["diagnose", str(trainer_state)])
    assert json.loads((trainer_state / "overmem" / "verdict.json").read_text())["evidence"] == "logged"


def test_a_reader_who_has_left_is_no_error_to_speak_of(trainer_state):
    """What `| head` does."""
    theirs, ours = os.pipe()
    os.close(theirs)
    call = [sys.executable, "-m", "overmem", "diagnose", str(trainer_state), "--json"]
    buffered = {name: value for name, value in ALONE.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(call, stdout=ours, stderr=subprocess.PIPE, timeout=60, env=buffered)
    os.close(ours)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(os.name != "posix", reason="closes streams as a shell does")
def test_standard_streams_that_are_closed_or_full_are_no_traceback():
    calls = [">&-", ">&- 2>&-", "<&-", "> /dev/full"]
    script = "\n".join(f'"{sys.executable}" -m overmem --version {call}; echo $? >&3' for call in calls)
    done = subprocess.run(["bash", "-c", f"exec 3>&1\n{script}"], capture_output=True, text=True, env=ALONE)
    assert [line for line in done.stdout.split() if line.isdecimal()] == ["0", "0", "0", "2"]
    assert done.stderr.startswith("overmem: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("told", "spins"), [({}, SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)]
)
def test_threads_wait_as_the_user_says_and_else_not_for_long(monkeypatch, told, spins):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["overmem", "--version"])
    assert run() == 0 and os.environ.get("GOMP_SPINCOUNT") == spins
