"""The command line as a user types it, in processes of its own.

Covers: overmem, overmem.__main__, overmem.cli, overmem.cli.options
"""

import ast
import json
import os
import signal
import subprocess
import sys

import pytest

import overmem as package
from overmem.cli.run import run
from tests.conftest import VAL_ROWS
from tests.helpers.command import run_command as overmem
from tests.helpers.paths import SRC


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_flow_as_a_user_types_it(pico_run, val_file):
    command = [
        sys.executable,
        "-m",
        "overmem",
        "audit",
        str(pico_run),
        "--val",
        str(val_file),
        "--limit",
        "6",
    ]
    done = subprocess.run([*command, "--train", str(val_file)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"overmem diagnose {pico_run}" in done.stdout.replace("\n", "")
    done = overmem("diagnose", pico_run)
    assert done.returncode == 0, done.stderr
    assert "insufficient evidence" in " ".join(done.stdout.split())
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if "overmem report" not in line)
    done = overmem("diagnose", pico_run, "--json")
    assert json.loads(done.stdout)["schema"] == "overmem.verdict/1"
    done = overmem("report", pico_run)
    assert done.returncode == 0, done.stderr
    assert (pico_run / "overmem" / "report.html").stat().st_size > 100_000


@pytest.mark.slow
def test_show_prompt_marks_where_the_completion_begins(pico_run, val_file):
    done = overmem("audit", pico_run, "--val", val_file, "--show-prompt")
    assert done.returncode == 0, done.stderr
    assert "How many?" in done.stdout and "tokens" in done.stdout
    assert not (pico_run / "overmem").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"words": "no shape like this"}\n', "words"),
        ("", "empty"),
        ('{"prompt": "a", "completion": "b"\n', "line 1"),
    ],
)
def test_bad_data_is_one_message_and_exit_2(pico_run, tmp_path, content, message):
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    done = overmem("audit", pico_run, "--val", path)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not (pico_run / "overmem").exists()


WRONG = """
import json, sys
from overmem.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["overmem", *words]
    try:
        main()
    except SystemExit as end:
        print(json.dumps([end.code, sorted({"torch", "transformers", *LARGE} & set(sys.modules))]))
"""
TABLES = ("numpy", "polars", "pyarrow")
"""What takes half a second to import, and reads no line of text."""


def test_wrong_data_are_said_before_torch_is_imported_and_mostly_before_tables(pico_run, val_file, tmp_path):
    files = {
        "empty": "",
        "broken": '{"prompt": "a", "completion": "b"\n',
        "columns": '{"words": "no shape like this"}\n',
        "unanswered": '{"prompt": "a", "completion": "b"}\n',
    }
    for name, text in files.items():
        (tmp_path / f"{name}.jsonl").write_text(text)
    bad = {name: str(tmp_path / f"{name}.jsonl") for name in (*files, "missing")}
    run, good = str(pico_run), str(val_file)
    recipe = {"model": {"name": "organism"}, "data": {"train": bad["missing"]}, "output": str(tmp_path / "o")}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    sweep = {"recipe": str(tmp_path / "r.yaml"), "output": str(tmp_path / "s"), "grid": {"seed": [0]}}
    (tmp_path / "s.yaml").write_text(json.dumps(sweep))
    cases = {
        **{("audit", run, "--val", bad[name]): name for name in bad if name != "unanswered"},
        ("audit", run, "--val", bad["unanswered"], "--grader", "exact"): "has no answer",
        ("audit", run, "--val", good, "--train", bad["missing"]): "missing",
        ("audit", run, "--val", "no-such-owner/no-such-set"): "no-such-set",
        ("audit", run, "--val", "gsm9k:val"): "unknown task",
        ("plan", run, "--val", bad["missing"]): "missing",
        ("train", str(tmp_path / "r.yaml")): "missing",
        ("train", str(tmp_path / "r.yaml"), "--dry-run"): "missing",
        ("data", "check", "--val", bad["broken"]): "broken",
        ("check", bad["empty"]): "no training log",
    }
    n_without_tables = len(cases)
    cases |= {
        ("audit", run, "--val", good, "--axes", "ood", "--ood", f"a={bad['broken']}"): "broken",
        ("watch", run, "--val", bad["missing"]): "missing",
        ("init", run, "--val", bad["columns"], "--json"): "columns",
        ("sweep", str(tmp_path / "s.yaml")): "missing",
    }
    done = subprocess.run(
        [sys.executable, "-c", f"LARGE = {TABLES}\n{WRONG}", json.dumps(list(cases))],
        capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert [code for code, _ in ends] == [2] * len(cases), done.stderr
    assert not any(imported for _, imported in ends[:n_without_tables])
    assert not {"torch", "transformers"} & {name for _, imported in ends for name in imported}
    messages = done.stderr.split("overmem: ")[1:]
    assert len(messages) == len(cases) and "Traceback" not in done.stderr
    for message, named in zip(messages, cases.values(), strict=True):
        assert named in message, message
    assert not (pico_run / "overmem").exists() and not (tmp_path / "o").exists()


def test_bad_runs_are_one_message_and_exit_2(tmp_path, val_file):
    for command in (
        ["audit", tmp_path, "--val", val_file],
        ["diagnose", tmp_path / "no"],
        ["report", tmp_path / "no"],
    ):
        done = overmem(*command)
        assert done.returncode == 2, done.stdout
        assert done.stderr.startswith("overmem: ") and "Traceback" not in done.stderr


def test_an_unknown_recipe_key_is_one_message(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("model: {name: organism}\ndata: {train: wordmath:train}\noutput: x\nlernrate: 1\n")
    done = overmem("train", path)
    assert done.returncode == 2
    assert "lernrate" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()


def test_an_unaudited_run_is_read_from_its_log(tmp_path):
    folder = tmp_path / "checkpoint-20"
    folder.mkdir()
    log = [{"step": s, "epoch": s / 10, "eval_loss": loss} for s, loss in ((10, 1.0), (20, 1.4))]
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 20, "log_history": log}))
    done = overmem("diagnose", tmp_path)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "training log alone" in text and "overmem audit" in text and "eval_loss" in text
    gate = overmem("check", tmp_path)
    assert gate.returncode == 2 and "only the log of the training" in gate.stderr


LIGHT = """
import sys
import overmem, overmem.verdict.diagnose, overmem.reporting.run, overmem.cli.views.verdict
assert all(map(callable, (overmem.diagnose, overmem.report, overmem.judge, overmem.open_run)))
print(sorted({"torch", "transformers", "trl", "datasets"} & set(sys.modules)))
"""


def test_diagnosis_and_report_import_no_torch():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_functions_are_not_shadowed_by_modules(pico_run, val_file):
    import overmem as package

    package.audit(pico_run, val=str(val_file), axes=("likelihood",), limit=len(VAL_ROWS))
    assert callable(package.audit) and callable(package.diagnose) and callable(package.report)


@pytest.mark.slow
def test_artifacts_kept_elsewhere_are_diagnosed_from_there(pico_run, val_file, tmp_path):
    done = overmem("audit", pico_run, "--val", val_file, "--limit", 4, "--out", tmp_path / "art")
    assert done.returncode == 0 and f"overmem diagnose {tmp_path / 'art'}" in done.stdout.replace("\n", "")
    *_, stage, ship, _, page = done.stdout.splitlines()
    assert "Stage" in stage and "Ship" in ship and page == f"page: {tmp_path / 'art' / 'report.html'}"
    assert (tmp_path / "art" / "verdict.json").is_file()
    (tmp_path / "art" / "report.html").unlink()
    (tmp_path / "art" / "verdict.json").unlink()
    again = ("audit", pico_run, "--val", val_file, "--limit", 4, "--out", tmp_path / "art", "--json")
    done = overmem(*again, "--only-measure")
    assert json.loads(done.stdout) == {"audited": str(tmp_path / "art"), "skipped": {}}
    assert not (tmp_path / "art" / "verdict.json").exists()
    assert json.loads(overmem(*again).stdout)["report"] == str(tmp_path / "art" / "report.html")
    assert overmem("report", tmp_path / "art").returncode == 0
    assert (tmp_path / "art" / "report.html").is_file() and not (pico_run / "overmem").exists()


@pytest.mark.slow
def test_axes_may_be_named_one_by_one(pico_run, val_file):
    done = overmem(
        "audit", pico_run, "--val", val_file, "--limit", 4, "--axes", "likelihood", "--axes", "accuracy"
    )
    assert done.returncode == 0, done.stderr
    manifest = json.loads((pico_run / "overmem" / "manifest.json").read_text())
    assert set(manifest["axes"]) == {"likelihood", "accuracy"}
    done = overmem("audit", pico_run, "--val", val_file, "--axes", "likelihood", "--axes", "likelyhood")
    assert done.returncode == 2 and "likelyhood" in done.stderr


@pytest.mark.slow
def test_a_chat_template_that_is_left_out_is_said(pico_run, val_file):
    # Plain problems for a chat model are asked in words that its training never had, and all looks well.
    note = "pass --template chat"
    command = ("audit", pico_run, "--val", val_file, "--limit", 2, "--max-new-tokens", 2)
    done = overmem(*command)
    assert done.returncode == 0 and note not in " ".join(done.stdout.split()), done.stderr
    for folder in pico_run.glob("checkpoint-*"):
        (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    done = overmem(*command)
    assert note in " ".join(done.stdout.split()), done.stderr
    # Whoever names the kind knows.
    assert note not in " ".join(overmem(*command, "--template", "plain").stdout.split())


def test_ctrl_c_during_the_start_is_one_line(tmp_path):
    # Libraries are imported for seconds; in place of the first one that says when it is.
    (tmp_path / "typer.py").write_text("import sys, time\nprint('here', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "overmem", "audit", tmp_path, "--val", "v.jsonl"]
    paths = os.pathsep.join([str(tmp_path), str(SRC)])
    started = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    with started:
        assert started.stdout is not None and started.stdout.readline() == "here\n"
        started.send_signal(signal.SIGINT)
        _, said = started.communicate(timeout=60)
    assert started.returncode == 130 and said == "overmem: interrupted; what was saved stays\n"


def test_names_that_are_no_utf8_are_read_and_printed(tmp_path):
    run = tmp_path / "r\udce9n"
    folder = run / "checkpoint-20"
    folder.mkdir(parents=True)
    (run / "b\udce9d.yaml").write_text("base_model: x\ndatasets: [{path: y}]\n")
    log = [{"step": step, "eval_loss": loss} for step, loss in ((10, 1.0), (20, 1.4))]
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 20, "log_history": log}))
    for command in (["diagnose", run], ["diagnose", run, "--json"], ["diagnose", run / "n\udce9"]):
        done = overmem(*command)
        assert "Traceback" not in done.stderr and r"\udce9" in done.stdout + done.stderr
        assert done.returncode == (2 if command[1] != run else 0)


def test_what_the_disk_says_is_one_message_with_a_next_step(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["overmem", "report", "x"])
    for error, named in (
        (OSError(5, "Input/output error"), "a file cannot be read or written"),
        (PermissionError(13, "Permission denied", "/a/b"), "/a/b cannot be used"),
    ):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr("overmem.reporting.run.print_or_write", fail)
        assert run() == 2
        said = capsys.readouterr().err
        assert said.startswith(f"overmem: {named}\n  got: ") and error.strerror in said and "  next: " in said


def test_what_editors_see_is_what_the_package_gives():
    tree = ast.parse((SRC / "overmem" / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    seen = {name.asname: node.module for node in imports for name in node.names}
    assert seen == package._PUBLIC
    assert (SRC / "overmem" / "py.typed").is_file()
