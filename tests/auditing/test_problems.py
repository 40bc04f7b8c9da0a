"""The problems of an audit: their halves, and answers that attack the machine, contained and graded wrong."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
from typer.testing import CliRunner

import overmem
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.rows import subset
from overmem.artifacts.store import Store
from overmem.auditing import problems as auditing_data
from overmem.auditing.compute_rows import Tools, greedy
from overmem.auditing.options import AuditOptions
from overmem.auditing.problems import half_of, load_problems, said_of
from overmem.cli.app import app
from overmem.errors import GradeError
from overmem.grading import sandbox
from overmem.grading.sandbox import run
from overmem.models.decoding.generation import Generation
from overmem.models.decoding.sampling import Sampling
from overmem.models.engines.hf import HfEngine
from overmem.models.likelihood.divergence import BasePredictions
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


def test_halves_are_disjoint_whole_and_leave_some_of_any_subset_on_either_side():
    ids = [f"p{i}" for i in range(101)]
    prompts = {name: f"What is {name}?" for name in ids}
    search, confirm = half_of(prompts, "search", 0), half_of(prompts, "confirm", 0)
    assert search | confirm == set(ids) and not search & confirm
    assert half_of(dict(reversed(prompts.items())), "search", 0) == search != half_of(prompts, "search", 1)
    few = {ids[i] for i in subset(ids, 40, 0)}
    assert 8 < len(few & search) < 32


def test_the_same_problem_under_two_ids_is_never_in_both_halves():
    prompts = {f"{copy}{i}": f"What is {i}?" for i in range(40) for copy in "ab"}
    search = half_of(prompts, "search", 0)
    assert len(search) == 40 and all((f"a{i}" in search) == (f"b{i}" in search) for i in range(40))


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_rows_that_cannot_be_graded_are_left_out_of_val_and_of_its_variants(tmp_path):
    rows = [{"id": str(n), "prompt": f"Question: {n}?", "completion": f" {n}", "answer": n} for n in range(5)]
    del rows[2]["answer"]
    val = write_rows(tmp_path / "val.jsonl", rows)
    other = write_rows(tmp_path / "other.jsonl", [row | {"prompt": row["prompt"] + "!"} for row in rows])
    options = AuditOptions(val=val, axes=("likelihood", "accuracy", "robustness"), variants={"mine": other})
    found = load_problems(options, make_tokenizer())
    assert [item.set for item in found.values()] == ["val", "val"]
    for item in found.values():
        assert [example.id for example in item.examples] == ["0", "1", "3", "4"]
    assert any("1 rows left out, which cannot be graded: no answer" in line for line in said_of(found))
    alone = load_problems(options.replace(axes=("likelihood",), variants=None), make_tokenizer())
    assert len(alone["val"].examples) == 5  # nothing is asked, so nothing has to be graded


def test_a_chat_templates_generation_prompt_is_told_to_the_grader(tmp_path):
    rows = [{"messages": [{"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "#### 5"}]}]
    options = AuditOptions(val=write_rows(tmp_path / "val.jsonl", rows))
    val = load_problems(options, make_tokenizer(template=GENERATION_ONLY_THINK))["val"]
    assert val.graded("2 and 3 is 5", val.examples[0])["correct"] == 0.0
    assert val.graded("2 and 3</think>5", val.examples[0])["correct"] == 1.0


def test_answers_are_asked_for_after_the_prompts_own_tokens(tmp_path):
    rows = [{"prompt": "12 app", "completion": "les 5", "answer": "5"}]
    tokenizer = make_tokenizer()
    options = AuditOptions(val=write_rows(tmp_path / "val.jsonl", rows))
    val = load_problems(options, tokenizer)["val"]
    seen = []

    class Engine:
        def generate(self, model, prompts, *_, **__):
            seen.extend(prompts)
            return [[Generation(text="5", tokens=(1,), finished=True, mean_logprob=0.0)] for _ in prompts]

    tools = Tools(
        engine=Engine(),
        tokenizer=tokenizer,
        stops=(),
        max_new_tokens=1,
        sampling=Sampling(samples=2, temperature=1.0),
        batch_tokens=1,
        base_predictions=BasePredictions(tmp_path),
    )
    assert greedy(None, val, [0], tools)[0][0]["correct"] == 1.0
    assert list(seen[0]) == tokenizer("12 app")["input_ids"] != list(val.rendered[0].prompt_ids)


def test_a_group_falls_into_one_half_also_by_way_of_a_shared_prompt():
    prompts = {f"{i}": f"prompt {i - i % 2}" for i in range(60)}
    groups = {f"{i}": f"group {i // 3}" for i in range(0, 60, 2)}
    search, confirm = (half_of(prompts, half, 0, groups) for half in ("search", "confirm"))
    assert search | confirm == prompts.keys() and not search & confirm and search and confirm
    for half in (search, confirm):
        texts, labels = {prompts[i] for i in half}, {groups[i] for i in half if i in groups}
        other = prompts.keys() - half
        assert not texts & {prompts[i] for i in other}
        assert not labels & {groups[i] for i in other if i in groups}
    turned = dict(reversed(prompts.items()))
    assert half_of(turned, "search", 0, dict(reversed(groups.items()))) == search
    assert half_of(prompts, "search", 0, {}) == half_of(prompts, "search", 0)
