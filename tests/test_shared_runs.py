"""A run that somebody shared runs nothing of theirs, whichever command opens it."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import yaml
from transformers.integrations import hub_kernels

import overmem
from overmem.auditing.run_files.named_base import named_base
from overmem.auditing.run_files.training_files import find_training_file
from overmem.cli import main
from overmem.errors import DataError
from overmem.grading.grade import get_grader
from overmem.recipe.reading import dump_recipe
from overmem.rendering.chat_template import chat_template_text
from overmem.rendering.template import Template
from overmem.sweeping.cells import make_cells
from overmem.sweeping.run import open_sweep
from tests.conftest import VAL_ROWS, make_pico, save_checkpoint
from tests.helpers.planted import change, plant_code, plant_model, plant_pickle, plant_tokenizer

TASK = """
task: mine
dataset_path: json
doc_to_text: !function planted.judge
doc_to_target: answer
"""
STEPS = (10, 20, 30)
GRADER = {"grader": "python:planted:judge"}
TEMPLATE = {"template": {"kind": "python:planted.py:render"}}
CONSENT = {"trust_remote_code": True, "allow_pickle": True, "allow_code_execution": True}


def plant_known(folder: Path, mark: Path) -> None:
    """Code beside a model that can be read without it, and a kernel to fetch."""
    plant_model(folder, mark, known=True)
    change(folder / "config.json", _attn_implementation="org/kernel")


@pytest.fixture(scope="module")
def audited(tmp_path_factory, tokenizer) -> Path:
    """A run and its audit, which gave no leave to run anything."""
    folder = tmp_path_factory.mktemp("shared")
    rows = [
        {**row, "id": f"{row['id']}-{i}", "prompt": f"{row['id']} {i} {row['prompt']}"}
        for i in range(4)
        for row in VAL_ROWS
    ]
    (folder / "val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = folder / "run"
    for step in STEPS:
        save_checkpoint(run / f"checkpoint-{step}", make_pico(tokenizer, seed=step), tokenizer, step)
        # Whoever plants something writes it into the audit, too.
        plant_known(run / f"checkpoint-{step}", folder / "ran")
    given = {"max_new_tokens": 4, "samples": 2, "axes": "likelihood,accuracy,privacy", "checkpoints": "all"}
    overmem.audit(run, val=str(folder / "val.jsonl"), train=f"{folder / 'val.jsonl'}[:20]", **given)
    return run


class Shared:
    """A copy of it with code in every place that could name some, as the current folder."""

    def __init__(self, folder: Path, audited: Path, tokenizer) -> None:
        self.run, self.mark = folder / "run", folder / "ran"
        shutil.copytree(audited, self.run)
        for name in ("planted", "json", "sympy", "math_verify", "multiprocessing"):
            plant_code(self.run, self.mark, f"{name}.py")
        for step in STEPS:
            plant_known(self.run / f"checkpoint-{step}", self.mark)
        self._pickled()
        self._adapter(tokenizer)
        self._tasks()
        self.name_in_manifest(**CONSENT)

    def _pickled(self) -> None:
        folder = self.run / "checkpoint-40"
        shutil.copytree(self.run / "checkpoint-30", folder)
        (folder / "model.safetensors").unlink()
        plant_pickle(folder / "pytorch_model.bin", self.mark)

    def _adapter(self, tokenizer) -> None:
        base, folder = self.run / "base", self.run / "checkpoint-50"
        save_checkpoint(base, make_pico(tokenizer, seed=0), tokenizer, 0)
        plant_model(base, self.mark)
        shutil.copytree(self.run / "checkpoint-30", folder)
        (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
        adapter = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "base_model_name_or_path": str(base)}
        adapter |= {"megatron_config": {"a": 1}, "megatron_core": "planted"}
        (folder / "adapter_config.json").write_text(json.dumps(adapter))

    def _tasks(self) -> None:
        tasks = self.run / "tasks"
        tasks.mkdir()
        (tasks / "mine.yaml").write_text(TASK)
        plant_code(tasks, self.mark)

    def recipe(self, **parts) -> None:
        """A recipe in the run, with permission to run code."""
        written = {
            "model": {
                "name": str(self.run / "base"),
                "trust_remote_code": True,
                "attn_implementation": "org/kernel",
            },
            "data": {"train": str(self.run.parent / "val.jsonl"), "val": str(self.run.parent / "val.jsonl")},
            "monitor": {"allow_code_execution": True},
            "training": {"trust_remote_code": True},
            "output": str(self.run),
        }
        (self.run / "recipe.yaml").write_text(yaml.safe_dump(written | parts))

    def name_in_manifest(self, **named) -> None:
        """What the audit says it was asked for."""
        path = self.run / "overmem" / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["config"] |= named
        path.write_text(json.dumps(manifest))


@pytest.fixture
def shared(tmp_path, audited, tokenizer, monkeypatch) -> Shared:
    shutil.copy(audited.parent / "val.jsonl", tmp_path)
    made = Shared(tmp_path, audited, tokenizer)
    monkeypatch.chdir(made.run)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.delitem(sys.modules, "planted", raising=False)
    get_grader.cache_clear()  # of a file of the same name in another current folder
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    monkeypatch.setattr(hub_kernels, "get_kernel", lambda name, **_: pytest.fail(f"fetched {name}"))
    monkeypatch.setattr(hub_kernels, "is_kernels_available", lambda *_: True)
    return made


@pytest.fixture
def call(monkeypatch, capsys):
    def call(*words) -> tuple[int, str]:
        """Exit code of a command and what it wrote to standard error; what is no error of ours is raised."""
        monkeypatch.setattr(sys, "argv", ["overmem", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, capsys.readouterr().err

    return call


VAL = "../val.jsonl"
FEW = ("--max-new-tokens", "4", "--limit", "4", "--out", "../again")
COMMANDS = {
    "plan": ("plan", ".", "--val", VAL, *FEW),
    "audit": ("audit", ".", "--val", VAL, *FEW),
    "audit by its recipe": ("audit", ".", *FEW),
    "audit --show-prompt": ("audit", ".", "--val", VAL, "--show-prompt"),
    "audit --check-tokens": ("audit", ".", "--val", VAL, "--check-tokens", VAL),
    "diagnose": ("diagnose", "."),
    "compare": ("compare", ".", "."),
    "check": ("check", "."),
    "merge": ("merge", "checkpoint-20", "checkpoint-30", "--out", "merged"),
    "merge --into-full": ("merge", "checkpoint-50", "checkpoint-50", "--out", "merged", "--into-full"),
    "repair": ("repair", ".", "--few", "1", "--axes", "likelihood", "--accuracy-margin", "0.3"),
    "repair --plan": ("repair", ".", "--plan", "--accuracy-margin", "0.3"),
    "report": ("report", "."),
    "report --format md": ("report", ".", "--format", "md", "--out", "-"),
    "report --format json": ("report", ".", "--format", "json", "--out", "-"),
    "watch": ("watch", ".", "--val", VAL, "--settle", "0", "--idle", "0.0001", "--every", "0.01", *FEW),
    "data check": ("data", "check", "--val", VAL, "--train", VAL),
    "data memorized": ("data", "memorized", "."),
    "data clean": ("data", "clean", ".", "--out", "clean.jsonl"),
    "train --resume": ("train", "../mine.yaml", "--resume", "--out", "."),
    "train --dry-run": ("train", "../mine.yaml", "--dry-run", "--model", "base"),
    "train": ("train", "../mine.yaml", "--model", "base", "--out", "../new"),
    "sweep": ("sweep", "../sweep.yaml"),
    "sweep --plan": ("sweep", "../sweep.yaml", "--plan"),
    "init": ("init", ".", "--val", VAL, "--yes", "--force"),
}
BY_MANIFEST = ("repair --plan", "repair", "report", "audit by its recipe")
"""Commands that go on from what a manifest or a recipe names."""
NAMED = {
    "grader": GRADER,
    "template": TEMPLATE,
    "tasks": {"ood": {"mine": "lm_eval:mine@tasks"}, "retention": {"mine": "lm_eval:mine@tasks"}},
    "base": {"base_model": "base"},
}


def write_own_files(run: Path) -> None:
    """A recipe and a sweep of the user's, which name the shared folder and give no leave."""
    mine = {"model": {"name": str(run / "base")}, "data": {"train": VAL, "val": VAL}, "output": "../new"}
    (run.parent / "mine.yaml").write_text(yaml.safe_dump(mine))
    sweep = {"recipe": "../mine.yaml", "output": "../cells", "grid": {"seed": [0]}}
    (run.parent / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    (cell,) = make_cells(open_sweep(str(run.parent / "sweep.yaml")))
    shutil.copytree(run, cell.folder)
    (cell.folder / "recipe.yaml").write_text(dump_recipe(cell.recipe))


@pytest.mark.parametrize(
    "depth",
    [*(pytest.param(depth, marks=pytest.mark.exhaustive) for depth in ("tokenizers", "models")), "manifest"],
)
def test_no_command_runs_code_that_a_shared_run_brings_along(shared, call, depth):
    """What is planted deeper is reached only where what lies before it is sound."""
    shared.recipe()
    for checkpoint in ("checkpoint-10", "checkpoint-50"):
        if depth != "manifest":
            plant_model(shared.run / checkpoint, shared.mark)
        if depth == "tokenizers":
            plant_tokenizer(shared.run / checkpoint, shared.mark)
    write_own_files(shared.run)
    for name, words in COMMANDS.items():
        code, said = call(*words)
        assert not shared.mark.exists(), (name, said)
        assert code in (0, 1, 2) and "Traceback" not in said, (name, said)


@pytest.mark.parametrize("named", NAMED)
def test_what_a_manifest_or_a_recipe_names_is_not_run(shared, call, named):
    shared.recipe(**(TEMPLATE if named == "template" else {}))
    shared.name_in_manifest(**NAMED[named])
    for name in BY_MANIFEST:
        code, said = call(*COMMANDS[name])
        assert not shared.mark.exists(), (name, said)
        assert code in (0, 1, 2) and "Traceback" not in said, (name, said)
    retrained = shared.run / "overmem" / "retrain.yaml"
    if retrained.exists():
        assert all(
            word not in retrained.read_text() for word in ("trust_remote_code: true", "planted", "kernel")
        )


PLANTED = {
    **{name: {name: True} for name in CONSENT},
    "grader": {"grader": "python:planted.py:judge"},
    "template": {"template": {"kind": "python:planted.py:render"}},
    "ood": {"axes": "all", "ood": {"mine": "lm_eval:mine@tasks"}},
    "retention": {"retention": {"mine": "lm_eval:mine@tasks"}},
    "engine": {"engine": "openai:http://127.0.0.1:1"},
    "vllm": {"engine": "vllm:worker_cls=planted.Worker"},
}
"""What an `overmem.yaml` may not decide."""
BY_FILE = ("audit", "audit --show-prompt", "audit --check-tokens", "plan", "watch")
BY_RULE = ("diagnose", "check", "report", "repair --plan")


@pytest.mark.parametrize("named", PLANTED)
def test_an_overmem_yaml_grants_nothing_and_sends_nothing_anywhere(shared, call, monkeypatch, named):
    monkeypatch.setattr("socket.create_connection", lambda *_, **__: pytest.fail("data would be sent"))
    (shared.run / "overmem.yaml").write_text(yaml.safe_dump({"val": VAL, **PLANTED[named]}))
    for name in BY_FILE:
        words = COMMANDS[name]
        if "--val" in words:  # the file's own
            at = words.index("--val")
            words = words[:at] + words[at + 2 :]
        code, said = call(*words)
        assert not shared.mark.exists(), (name, said)
        if (name, named) != ("watch", "retention"):  # it measures none, and so needs no consent
            assert code == 2 and "only the command line may" in said, (name, said)
    for name in BY_RULE if named == "trust_remote_code" else ():
        code, said = call(*COMMANDS[name])
        assert not shared.mark.exists() and "Traceback" not in said, (name, said)


def test_what_an_overmem_yaml_names_runs_where_the_command_repeats_it(shared, call):
    (shared.run / "overmem.yaml").write_text(yaml.safe_dump({"val": VAL, **PLANTED["grader"]}))
    call("audit", ".", "--show-prompt", "--grader", "python:planted.py:judge")
    assert shared.mark.exists()


@pytest.mark.parametrize(
    ("named", "words", "option"),
    [
        ({}, COMMANDS["repair --plan"], ("--trust-remote-code",)),
        ({}, COMMANDS["audit"], ("--trust-remote-code",)),
        ({}, COMMANDS["plan"], ("--trust-remote-code",)),
        (GRADER, COMMANDS["repair --plan"], ("--grader", "python:planted.py:judge")),
        (TEMPLATE, COMMANDS["repair --plan"], ("--template", "python:planted.py:render")),
        ({}, COMMANDS["audit"], ("--grader", "python:planted.py:judge")),
    ],
)
def test_it_runs_where_the_command_says_so(shared, call, named, words, option):
    """That what is planted would be seen, and that consent is enough."""
    shared.name_in_manifest(**named)
    call(*words)
    assert not shared.mark.exists()
    call(*words, *option)
    assert shared.mark.exists()


@pytest.fixture
def in_time():
    """Ends a test that waits for the other end of a pipe."""

    def end(*_):
        raise TimeoutError("it waits for the other end of the pipe")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("file", ["checkpoint-20/model.safetensors", "README.md", "train.yaml", "chat.jinja"])
def test_a_pipe_among_the_files_is_not_waited_for(tmp_path, tokenizer, in_time, file):
    run = tmp_path / "run"
    for step in STEPS[:2]:
        save_checkpoint(run / f"checkpoint-{step}", make_pico(tokenizer, seed=step), tokenizer, step)
    (run / file).unlink(missing_ok=True)
    os.mkfifo(run / file)
    opened = overmem.open_run(run)
    assert set(opened.skipped) == ({"checkpoint-20"} if "20" in file else set())
    assert find_training_file(run) is None and named_base(opened) is None
    if file == "chat.jinja":
        with pytest.raises(DataError, match=r"cannot read the chat template[\s\S]*not a file"):
            chat_template_text(tokenizer, Template(kind="chat", chat_template=str(run / file)))
