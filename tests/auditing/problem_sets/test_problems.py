"""Answers to a set of problems: those that attack the machine are contained and graded wrong."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
from typer.testing import CliRunner

import overmem
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.auditing.options import AuditOptions
from overmem.auditing.problem_sets import problems as auditing_data
from overmem.auditing.problem_sets.load import load_problems
from overmem.cli.app import app
from overmem.errors import GradeError
from overmem.grading import sandbox
from overmem.grading.sandbox import run
from overmem.models.decoding.generation import Generation
from overmem.models.engines.hf import HfEngine
from tests.helpers.code import sandboxed
from tests.helpers.tokenizers import GENERATION_ONLY_THINK, make_tokenizer

ANSWERS = {
    "right": "def f(x):\n    return x + 1",
    "also right": "```python\ndef f(x):\n    return 1 + x\n```",
    "wrong": "def f(x):\n    return x",
    "loop": "while True: pass",
    "forks": "import os\nfor _ in range(200):\n    if os.fork() == 0: os._exit(0)",
    "memory": "x = bytearray(10 * 2**30)",
    "files": "import os\nos.unlink({canary!r})",
    "socket": "import socket\nsocket.socket().connect_ex(('127.0.0.1', 9))",
    "environment": "import os\nopen(f'/proc/{{os.getppid()}}/environ').read()\nos.environ['HOME']",
    "forged": "import os\nprint('passed')\nos._exit(0)",
}
RIGHT = {"right", "also right"}


@pytest.fixture
def audited(pico_run, tmp_path, monkeypatch):
    """Run, val and a canary; whatever the model, its answers are those above."""
    canary = tmp_path / "canary"
    canary.write_text("alive")
    texts = {name: text.format(canary=str(canary)) if "{" in text else text for name, text in ANSWERS.items()}

    def answer(self, model, prompts, tokenizer, *, example_ids, **settings):
        made = Generation(tokens=(1,), text="", finished=True, mean_logprob=-1.0)
        return [[dataclasses.replace(made, text=texts[name])] for name in example_ids]

    monkeypatch.setattr(HfEngine, "generate", answer)
    monkeypatch.setattr(run, "Limits", lambda: sandbox.Limits(cpu_seconds=1, memory_bytes=256 * 2**20))
    rows = [
        {"id": name, "prompt": "Question: How many?\nAnswer:", "completion": " Tom has 3 apples.",
         "tests": "assert f(1) == 2"} for name in ANSWERS
    ]  # fmt: skip
    val = tmp_path / "code.jsonl"
    val.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("checkpoint-20", "checkpoint-100"):
        shutil.rmtree(pico_run / name)
    return pico_run, val, canary


@sandboxed
def test_every_attack_is_graded_wrong_and_the_audit_goes_on(audited, monkeypatch):
    folder, val, canary = audited
    with pytest.raises(GradeError, match="--allow-code-execution"):
        overmem.audit(folder, val=str(val), limit=3)
    assert not Store.of_run(folder).root.exists()
    done = CliRunner().invoke(app, ["audit", str(folder), "--val", str(val), "--allow-code-execution"])
    assert done.exit_code == 0, done.exception
    table = Store.of_run(folder).read_rows("checkpoint-10", "generations")
    correct = dict(table.select("example_id", "correct").iter_rows())
    assert {name for name, value in correct.items() if value} == RIGHT
    assert set(correct) == set(ANSWERS)
    assert canary.read_text() == "alive"

    # Saved grades are kept as long as the tests are the same, since running answers takes time.
    monkeypatch.setattr(auditing_data, "grade", lambda *a, **k: pytest.fail("graded again"))
    overmem.audit(folder, val=str(val), allow_code_execution=True)
    monkeypatch.undo()
    val.write_text(val.read_text().replace("f(1) == 2", "f(1) == 1"))
    monkeypatch.setattr(run, "Limits", lambda: sandbox.Limits(cpu_seconds=1))
    overmem.audit(folder, val=str(val), allow_code_execution=True)
    table = Store.of_run(folder).read_rows("checkpoint-10", "generations")
    assert {name for name, value in table.select("example_id", "correct").iter_rows() if value} == {"wrong"}


@sandboxed
def test_leave_to_run_code_is_not_taken_from_a_file(audited):
    from overmem.auditing.options import saved_options

    folder, val, _ = audited
    overmem.audit(folder, val=f"{val}[:3]", allow_code_execution=True)
    manifest = read_manifest(Store.of_run(folder))
    assert manifest.config["allow_code_execution"] is True
    assert saved_options(manifest).allow_code_execution is False
    with pytest.raises(GradeError, match="--allow-code-execution"):
        overmem.repair(folder)


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_chat_templates_generation_prompt_is_told_to_the_grader(tmp_path):
    rows = [{"messages": [{"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "#### 5"}]}]
    options = AuditOptions(val=write_rows(tmp_path / "val.jsonl", rows))
    val = load_problems(options, make_tokenizer(template=GENERATION_ONLY_THINK))["val"]
    assert val.graded("2 and 3 is 5", val.examples[0])["correct"] == 0.0
    assert val.graded("2 and 3</think>5", val.examples[0])["correct"] == 1.0
