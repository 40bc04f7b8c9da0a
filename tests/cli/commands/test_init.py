"""`overmem init`, and the commands that read what it wrote."""

import json
import shutil
from types import SimpleNamespace

import pytest
import typer
import yaml
from typer.testing import CliRunner

from overmem.cli.app import app
from overmem.cli.commands.init import _asks
from overmem.errors import OvermemError


def call(*words):
    done = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(done.exception, OvermemError):
        return 2, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def test_it_writes_what_it_finds_and_commands_read_it(pico_run, val_file, monkeypatch):
    monkeypatch.chdir(val_file.parent)  # beside the run, and called val
    code, told = call("init", pico_run, "--json")
    assert code == 0
    told = json.loads(told)
    assert told["val"] == str(val_file) and told["train"] is None
    assert "How many?" in told["prompt"] and told["plan"] is not None
    file = pico_run / "overmem.yaml"
    assert yaml.safe_load(file.read_text())["val"] == str(val_file)
    assert not (pico_run / "overmem" / "manifest.json").exists()
    code, said = call("init", pico_run, "--yes")
    assert code == 2 and "exists already" in said
    code, said = call("init", pico_run, "--yes", "--force", "--train", "wordmath:train[:4]")
    assert code == 0 and f"{val_file}: 12 examples" in said and "(found; not asked)" in said
    assert said.count("(found; not asked)") == 1 and "wordmath:train[:4]: 4 examples" in said
    assert "3 checkpoints (full models), steps 10 to 100" in said
    assert (
        "How many?" in said
        and "accuracy" in said.partition("How many?")[2]
        and "next:  overmem audit" in said
    )
    assert yaml.safe_load(file.read_text()) == {
        "val": str(val_file),
        "train": "wordmath:train[:4]",
        "axes": ["likelihood", "accuracy"],
        "engine": "hf",
        "rule": {"accuracy_margin": 0.03, "perplexity_ratio": 1.1},
    }
    code, said = call("audit", pico_run, "--show-prompt", "--json")  # --val is in the file
    assert code == 0 and "How many?" in json.loads(said)["text"]
    assert "# limit:" in file.read_text() and "# max_new_tokens:" in file.read_text()
    file.write_text(file.read_text() + "limmit: 3\n")
    code, said = call("audit", pico_run)
    assert code == 2 and "limmit" in said


def test_without_data_it_asks_for_an_option_and_writes_nothing(pico_run, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    code, said = call("init", pico_run)
    assert code == 2 and "no validation data were found" in said and "--val FILE" in said
    code, said = call("init", pico_run, "--val", "missing.jsonl")
    assert code == 2 and "missing.jsonl" in said
    assert not (pico_run / "overmem.yaml").exists()


def test_a_pattern_of_folders_is_written_down_and_what_stands_in_the_way_of_a_plan_is_said(
    pico_run, val_file, monkeypatch
):
    from overmem.auditing.run_files.found_data import FoundData

    for step in (10, 20):
        (pico_run / f"checkpoint-{step}").rename(pico_run / f"my-{step}")
    (pico_run / "my-30").mkdir()
    found = FoundData(val=None, train=None, tool="Axolotl", told_by="axolotl.yaml")
    monkeypatch.setattr("overmem.auditing.run_files.found_data.find_data", lambda _: found)
    pattern = ("--val", val_file, "--checkpoints-glob", "my-*", "--yes")
    (pico_run / "my-20" / "tokenizer.json").write_text("{}")
    (pico_run / "my-10" / "tokenizer.json").write_text("{}")
    code, said = call("init", pico_run, *pattern)
    assert code == 0, said
    assert "2 checkpoints (full models), steps 10 to 20" in said and "no plan yet: " in said
    assert "axolotl.yaml says that it was trained by Axolotl" in said and "left out: my-30: " in said
    assert yaml.safe_load((pico_run / "overmem.yaml").read_text())["checkpoints_glob"] == "my-*"


@pytest.mark.parametrize("words", [("--yes",), ("--json",)])
def test_whoever_asks_not_to_be_asked_is_not(pico_run, val_file, monkeypatch, words):
    monkeypatch.chdir(val_file.parent)
    monkeypatch.setattr(typer, "prompt", None)
    monkeypatch.setattr("overmem.cli.commands.init._show", lambda *_: (None, None))
    monkeypatch.setattr("overmem.cli.commands.init._asks", lambda: True)
    assert call("init", pico_run, *words)[0] == 0


@pytest.mark.parametrize("piped", ["stdin", "stdout"])
def test_nobody_is_asked_where_either_side_is_no_terminal(monkeypatch, piped):
    for name in ("stdin", "stdout"):
        stream = SimpleNamespace(isatty=lambda name=name: name != piped)
        monkeypatch.setattr(f"overmem.cli.commands.init.sys.{name}", stream)
    assert not _asks()


def test_on_a_terminal_it_asks_until_the_data_can_be_read(pico_run, val_file, monkeypatch):
    other = val_file.parent / "mine.jsonl"
    shutil.copy(val_file, other)
    typed, asked = ["missing.jsonl", "", str(other), ""], []

    def prompt(text, *, default, **_):
        asked.append((text.partition(" ")[0], default))
        return typed.pop(0)

    monkeypatch.setattr(typer, "prompt", prompt)
    monkeypatch.setattr("overmem.cli.commands.init._show", lambda *_: (None, None))
    monkeypatch.setattr("overmem.cli.commands.init._asks", lambda: True)
    code, said = call("init", pico_run)
    assert code == 0 and "not found: missing.jsonl" in said, said
    assert asked == [*[("Validation", str(val_file))] * 3, ("Training", "")]
    assert yaml.safe_load((pico_run / "overmem.yaml").read_text())["val"] == str(other)


def test_the_rule_of_the_file_is_the_verdicts(tmp_path):
    folder = tmp_path / "checkpoint-20"
    folder.mkdir()
    log = [{"step": step, "eval_loss": loss} for step, loss in ((10, 1.0), (20, 1.4))]
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 20, "log_history": log}))
    (tmp_path / "overmem.yaml").write_text("rule: {perplexity_ratio: 1.7}\n")
    code, said = call("diagnose", tmp_path, "--json")
    assert code == 0 and json.loads(said)["thresholds"]["perplexity_ratio"] == 1.7
    code, said = call("diagnose", tmp_path, "--json", "--perplexity-ratio", "1.2")
    assert json.loads(said)["thresholds"]["perplexity_ratio"] == 1.2


def test_a_comparison_reads_the_files_of_its_runs_and_refuses_other_thresholds(tmp_path, monkeypatch):
    class Asked(Exception):
        pass

    def compare(left, right, *, rule):
        raise Asked(rule.accuracy_margin)

    monkeypatch.setattr("overmem.verdict.compare.compare", compare)
    a, b, bare = (tmp_path / name for name in ("a", "b", "bare"))
    for run in (a, b, bare):
        run.mkdir()
    (a / "overmem.yaml").write_text("rule: {accuracy_margin: 0.07}\n")

    def margin(*words):
        return CliRunner().invoke(app, ["compare", *map(str, words)]).exception.args[0]

    # A run without a file has no say, wherever it stands, and a seed beside another counts.
    assert (margin(a, bare), margin(bare, a), margin(bare, bare)) == (0.07, 0.07, 0.03)
    assert margin(f"{bare},{a}", f"{bare},{bare}") == 0.07
    (b / "overmem.yaml").write_text("rule: {accuracy_margin: 0.05}\n")
    for words in (("compare", a, b), ("diagnose", a, b), ("compare", f"{a},{b}", bare)):
        code, said = call(*words)
        assert code == 2 and f"0.07 ({a}), 0.05 ({b})" in said and "--accuracy-margin NUMBER" in said
    assert margin(a, b, "--accuracy-margin", "0.02") == 0.02
