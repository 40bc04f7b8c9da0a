"""The monitor in real Trainer runs: what it logs, and that training does not notice it.

Covers: overmem.monitor.log_files
"""

import copy
import json
import logging
import os
import shutil
import subprocess
import sys

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments
from trl import SFTConfig, SFTTrainer

import overmem
from overmem import OverMemorizationMonitor
from overmem.errors import OvermemError
from overmem.monitor import callback as monitoring
from overmem.recipe.reading import check_recipe
from overmem.records import Example
from overmem.rendering.render import render
from overmem.rendering.template import Template
from overmem.verdict.live import Point
from tests.conftest import make_pico
from tests.helpers.paths import ROOT
from tests.helpers.training import QUIET, QUIET_SFT, run_in_two_processes

EXAMPLES = [
    Example(f"p{i}", f"Question: Tom has {i} apples. How many?\nAnswer:", f" Tom has {i}.\n#### {i}", str(i))
    for i in range(80)
]
TRAIN, VAL = EXAMPLES[:40], EXAMPLES[40:]


@pytest.fixture(scope="module")
def base(tokenizer):
    return make_pico(tokenizer, seed=0, attention_dropout=0.2)


@pytest.fixture(scope="module")
def data(tokenizer):
    rendered = [render(example, tokenizer, Template()) for example in TRAIN]
    return Dataset.from_list(
        [
            {"input_ids": r.input_ids, "labels": (-100,) * len(r.prompt_ids) + r.completion_ids}
            for r in rendered
        ]
    )


@pytest.fixture
def run(tmp_path, tokenizer, data, base):
    """Train a copy of the base model, 5 steps an epoch, and return the trainer."""

    def go(*callbacks, kind=SFTTrainer, resume=None, **changes):
        own = {k: changes.pop(k) for k in list(changes) if k in ("peft_config", "eval_dataset")}
        shape = {"num_train_epochs": 4, "per_device_train_batch_size": 8, "learning_rate": 1e-2}
        arguments = {"output_dir": str(tmp_path / "out")} | shape
        if kind is not SFTTrainer:
            own["data_collator"] = DataCollatorForSeq2Seq(tokenizer)
        settings, quiet = (SFTConfig, QUIET_SFT) if kind is SFTTrainer else (TrainingArguments, QUIET)
        torch.manual_seed(0)
        trainer = kind(
            model=copy.deepcopy(base),
            args=settings(**(quiet | arguments | changes)),
            train_dataset=data,
            processing_class=tokenizer,
            callbacks=list(callbacks),
            **own,
        )
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    return go


def watching(**changes):
    # These runs take no time, so that any measuring is a large share of it.
    return OverMemorizationMonitor(**({"val": VAL, "train": TRAIN, "max_cost": None} | changes))


def ours(trainer):
    return [row for row in trainer.state.log_history if "overmem/val_nll" in row]


def theirs(trainer):
    """The Trainer's own log, without clocks."""
    clocks = ("runtime", "per_second")
    rows = [row for row in trainer.state.log_history if "overmem/val_nll" not in row]
    return [{k: v for k, v in row.items() if not k.endswith(clocks)} for row in rows]


def assert_same(one, other):
    assert theirs(one) == theirs(other)
    after = dict(other.model.named_parameters())
    assert all(torch.equal(value, after[name]) for name, value in one.model.named_parameters())


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"kind": Trainer},
        pytest.param(
            {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}, marks=pytest.mark.exhaustive
        ),
        pytest.param({"bf16": True}, marks=pytest.mark.exhaustive),
        pytest.param({"gradient_checkpointing": True}, marks=pytest.mark.exhaustive),
        {"eval_strategy": "epoch", "eval_dataset": True},
        pytest.param(
            {"peft_config": LoraConfig(r=2, lora_dropout=0.3, target_modules="all-linear")},
            marks=pytest.mark.exhaustive,
        ),
        {
            "peft_config": LoraConfig(r=2, lora_dropout=0.3, target_modules="all-linear"),
            "gradient_checkpointing": True, "bf16": True,
        },
    ],
    ids=["full", "trainer", "accumulation", "bf16", "recompute", "evaluation", "lora", "lora-recompute"],
)  # fmt: skip
def test_training_is_bit_for_bit_what_it_is_without(run, data, shape):
    if "eval_dataset" in shape:
        shape = shape | {"eval_dataset": data.select(range(8))}
    plain = run(**shape)
    drawn = torch.rand(3)
    watched = run(monitor := watching(every=3, answers=30), **shape)
    assert torch.equal(torch.rand(3), drawn)
    assert monitor.off is None and [r.step for r in monitor.readings] == [3, 6, 9, 12, 15, 18, 20]
    assert_same(plain, watched)


def test_figures_are_the_audit_s_and_reach_log_and_reporters(run, tokenizer, tmp_path):
    import overmem
    from tests.conftest import save_checkpoint

    reported = []

    class Reporter(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            reported.append((state.global_step, logs))

    trainer = run(monitor := watching(limit=30), Reporter(), save_strategy="epoch")
    steps = [row["step"] for row in ours(trainer)]
    assert steps == [5, 10, 15, 20] == [r.step for r in monitor.readings]
    state = json.loads((tmp_path / "out" / "checkpoint-20" / "trainer_state.json").read_text())
    assert state["log_history"] == trainer.state.log_history[: len(state["log_history"])]
    assert [row["step"] for row in state["log_history"] if "overmem/val_nll" in row] == steps
    last = ours(trainer)[-1]
    assert {"overmem/train_nll", "overmem/gap", "overmem/ppl_ratio", "overmem/stage"} <= set(last)
    assert last["overmem/stage_name"] in ("inflated", "not inflated", "undetermined")
    sent = [(step, logs) for step, logs in reported if "overmem/val_nll" in logs]
    assert [step for step, _ in sent] == steps
    assert all(isinstance(value, float) for _, logs in sent for value in logs.values())
    run_folder = tmp_path / "audited"
    save_checkpoint(run_folder / "checkpoint-20", trainer.model, tokenizer, 20)
    val = tmp_path / "val.jsonl"
    rows = [{"id": e.id, "prompt": e.prompt, "completion": e.completion, "answer": e.answer} for e in VAL]
    val.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = overmem.audit(run_folder, val=str(val), limit=30, dtype="float32", device="cpu")
    (entry,) = done.manifest.checkpoints
    table = done.store.read_rows("checkpoint-20", "likelihood", entry.row_keys["score val"])
    audited = table["nll_nats"].sum() / table["n_tokens"].sum()
    assert last["overmem/val_nll"] == pytest.approx(audited, abs=1e-5)


def test_tensorboard(run, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    trainer = run(watching(), report_to="tensorboard")
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    for name in ("val_nll", "train_nll", "ppl_ratio", "gap", "stage", "confidence"):
        found = [(event.step, event.value) for event in events.Scalars(f"train/overmem/{name}")]
        logged = [(row["step"], row[f"overmem/{name}"]) for row in ours(trainer) if f"overmem/{name}" in row]
        assert [step for step, _ in found] == [step for step, _ in logged]
        assert [v for _, v in found] == pytest.approx([v for _, v in logged], rel=1e-5)
    assert "train/overmem/stage_name/text_summary" in events.Tags()["tensors"]


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_trackio(tmp_path):
    """In a process of its own: trackio settles where its data lie when it is imported."""
    pytest.importorskip("trackio")
    (tmp_path / "track.py").write_text(TRACK)
    places = {"TRACKIO_DIR": str(tmp_path / "trackio"), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "track.py"), str(tmp_path)],
        capture_output=True, text=True, timeout=200, env=os.environ | places, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    logged = json.loads((tmp_path / "logged.json").read_text())
    points = [row for row in logged if "train/overmem/val_nll" in row]
    assert len(points) == 2 and "train/overmem/ppl_ratio" in points[1]
    assert [row["train/overmem/stage_name"] for row in logged if "train/overmem/stage_name" in row]


TRACK = """
import json, sys
import trackio
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer
from datasets import Dataset
import overmem
from overmem.recipe.base_model import ORGANISM
from tests.conftest import make_pico

tokenizer = AutoTokenizer.from_pretrained(ORGANISM)
rows = [{"input_ids": [5, 6, 7, 8], "labels": [-100, -100, 7, 8]}] * 8
val = [overmem.Example(f"p{i}", "Tom has", f" {i} apples.") for i in range(40)]
trainer = SFTTrainer(
    make_pico(tokenizer, seed=0),
    SFTConfig(
        output_dir=sys.argv[1] + "/out", num_train_epochs=2, report_to="trackio", project="monitored",
        run_name="one", use_cpu=True, bf16=False, save_strategy="no", max_length=None,
        gradient_checkpointing=False,
    ),
    train_dataset=Dataset.from_list(rows),
    processing_class=tokenizer,
    callbacks=[monitor := overmem.OverMemorizationMonitor(val, max_cost=None)],
)
trainer.train()
assert monitor.off is None
from trackio.sqlite_storage import SQLiteStorage

json.dump(SQLiteStorage.get_logs("monitored", "one"), open(sys.argv[1] + "/logged.json", "w"), default=str)
"""


@pytest.fixture
def scripted(monkeypatch):
    """Readings as told: NLL a token by step, on problems that all broadcast_flag."""

    def tell(nll, fail_at=None):
        measure = monitoring.measure

        def told(problem_set, model, step, epoch, on_scored):
            _, tokens = measure(problem_set, model, step, epoch, on_scored)
            if step == fail_at:
                raise RuntimeError("boom\nand more")
            spread = [1 + 0.1 * (i % 5) for i in range(len(problem_set.val))]
            rows = (nll[step] * n * s for n, s in zip(problem_set.n_tokens, spread, strict=True))
            return Point(step=step, epoch=epoch, nll_nats_N=tuple(round(x, 4) for x in rows)), tokens

        monkeypatch.setattr(monitoring, "measure", told)

    return tell


INFLATING = {5: 0.5, 10: 0.4, 15: 0.7, 20: 0.9}


def warned(caplog):
    return [r.getMessage() for r in caplog.records if r.name == "overmem.monitor"]


def test_it_warns_once(run, scripted, caplog):
    scripted(INFLATING)
    trainer = run(monitor := watching())
    (message,) = warned(caplog)
    assert "step 15" in message and "inflated" in message and "training goes on" in message
    assert trainer.state.global_step == 20 and [r.onset for r in monitor.readings] == [0, 0, 1, 1]


def test_it_stops(run, scripted, caplog):
    scripted(INFLATING)
    assert run(watching(on_onset="stop")).state.global_step == 15
    assert "training stops here" in warned(caplog)[0]
    assert run(watching(on_onset="stop", every=5)).state.global_step == 15


def test_it_calls(run, scripted, caplog):
    scripted(INFLATING)
    told, seen = [], []
    run(watching(on_onset=told.append, watch=seen.append))
    assert [reading.step for reading in told] == [15] and [r.step for r in seen] == [5, 10, 15, 20]
    assert told[0].lowest_step == 10 and not warned(caplog)
    with pytest.raises(AttributeError):
        told[0].step = 3


def test_an_error_inside_ends_the_monitor_and_not_the_training(run, scripted, caplog):
    plain = run()
    scripted(INFLATING, fail_at=10)
    watched = run(monitor := watching())
    assert_same(plain, watched)
    assert monitor.off == "RuntimeError: boom"
    (message,) = warned(caplog)
    assert "switched itself off" in message and "boom" in message
    assert [row["step"] for row in ours(watched)] == [5]


def test_an_error_in_a_user_s_function_too(run, scripted, caplog):
    scripted(INFLATING)

    def fail(reading):
        raise ZeroDivisionError

    assert run(watching(on_onset=fail)).state.global_step == 20
    assert "ZeroDivisionError" in warned(caplog)[0]


def test_problems_that_do_not_fit_are_refused_before_training(run):
    from overmem.errors import DataError

    with pytest.raises(DataError, match="does not fit the context"):
        run(watching(val=[Example("long", "Tom has " * 300, "x")]))


def test_spread_weights_turn_it_off(run, monkeypatch, caplog):
    monkeypatch.setattr(monitoring, "why_not_measurable", lambda model: "FSDP: spread")
    trainer = run(watching(on_onset="stop"))
    assert trainer.state.global_step == 20 and not ours(trainer)
    assert len(warned(caplog)) == 1 and "FSDP" in warned(caplog)[0]


@pytest.mark.parametrize(
    ("every", "expected"), [("epoch", [5, 10, 15, 20]), ("save", [8, 16, 20]), ("eval", [6, 12, 18, 20])]
)
def test_when(run, data, every, expected):
    trainer = run(
        watching(every=every), save_strategy="steps", save_steps=8,
        eval_strategy="steps", eval_steps=6, eval_dataset=data.select(range(8)),
    )  # fmt: skip
    assert [row["step"] for row in ours(trainer)] == expected
    trainer.evaluate()
    assert [row["step"] for row in ours(trainer)] == expected


def test_what_it_may_cost(run, scripted, monkeypatch, caplog):
    """A second a step and six a visit, due every five steps: at 75% two visits fit, one of them the end."""
    now = [0.0]

    class Tick(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            now[0] += 1.0

    scripted(INFLATING)
    measure = monitoring.measure

    def dear(problem_set, model, step, epoch, on_scored):
        for done, seconds in ((0.2, 1.2), (0.4, 1.2), (1.0, 3.6)):
            now[0] += seconds
            on_scored(done)
        return measure(problem_set, model, step, epoch, lambda done: None)

    monkeypatch.setattr(monitoring, "measure", dear)

    def watched(max_cost):
        monitor = watching(max_cost=max_cost)
        monitor.time_budget.clock = lambda: now[0]
        return run(Tick(), monitor), monitor

    trainer, monitor = watched(0.75)
    assert_same(run(), trainer)
    assert [reading.step for reading in monitor.readings] == [15, 20] and monitor.time_budget.skipped == 2
    assert monitor.time_budget.seconds == pytest.approx(2.4 + 6 + 6)  # at step 5 it foresaw the price
    rows = ours(trainer)
    assert [row["overmem/skipped"] for row in rows] == [2, 2]
    assert [row["overmem/cost"] for row in rows] == pytest.approx([8.4 / 15, 14.4 / 20])
    assert rows[0]["overmem/rows"]["seconds"] == 6.0
    skips, onset = warned(caplog)
    assert "75%" in skips and "step 20" in onset
    caplog.clear()
    trainer, monitor = watched(0.01)
    assert not monitor.readings and monitor.time_budget.skipped == 4
    fewer, some, none = warned(caplog)
    assert "30 val and 0 train" in fewer and "1%" in some and "too short" in none


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


@pytest.mark.parametrize("every", [pytest.param("epoch", marks=pytest.mark.exhaustive), "save"])
def test_what_may_be_recommended_survives_rotation(run, scripted, tmp_path, every):
    scripted({2: 0.50, 4: 0.40, 6: 0.45, 8: 0.6, 10: 0.7, 12: 0.8, 14: 0.9})
    shape = {
        "per_device_train_batch_size": 20, "num_train_epochs": 7, "save_strategy": "epoch",
        "save_total_limit": 2,
    }  # fmt: skip
    plain = run(**shape)
    out = tmp_path / "out"
    assert names(out) == ["checkpoint-12", "checkpoint-14"]
    whole = {path.name for path in (out / "checkpoint-14").iterdir()}
    shutil.rmtree(out)
    seen = []

    class Look(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if out.is_dir():
                seen.append([n for n in names(out) if n.startswith("checkpoint")])

    watched = run(watching(every=every), Look(), **shape)
    assert_same(plain, watched)
    # The lowest perplexity, and the latest within 1.10 of it; beside the Trainer's own two.
    assert names(out) == ["checkpoint-12", "checkpoint-14", "checkpoint-4", "checkpoint-6"]
    assert {"checkpoint-4", "checkpoint-6"} <= set(seen[-1])
    kept = {path.name for path in (out / "checkpoint-4").iterdir()}
    assert kept < whole and "model.safetensors" in kept and "optimizer.pt" not in kept
    assert {path.name for path in (out / "checkpoint-14").iterdir()} == whole
    shutil.rmtree(out)
    run(watching(keep_checkpoints=False), **shape)
    assert names(out) == ["checkpoint-12", "checkpoint-14"]


def test_one_checkpoint_allowed(run, scripted, tmp_path):
    scripted(INFLATING)
    run(watching(), save_strategy="epoch", save_total_limit=1)
    assert names(tmp_path / "out") == ["checkpoint-10", "checkpoint-20"]


def test_a_resumed_run_remembers(run, scripted, tmp_path, caplog):
    scripted(INFLATING)
    shape = {"save_strategy": "epoch", "save_total_limit": 2}
    run(uncut := watching(), **shape)
    out = tmp_path / "out"
    shutil.rmtree(out / "checkpoint-20")
    shutil.copytree(out, tmp_path / "copy")
    plain = run(resume=str(tmp_path / "copy" / "checkpoint-15"), output_dir=str(tmp_path / "copy"), **shape)
    caplog.clear()
    resumed = run(monitor := watching(), resume=str(out / "checkpoint-15"), **shape)
    assert_same(plain, resumed)
    assert [r.step for r in monitor.readings] == [5, 10, 15, 20]
    for one, other in zip(monitor.readings, uncut.readings, strict=True):
        assert (one.stage, one.confidence, one.perplexity_ratio) == (
            other.stage, other.confidence, other.perplexity_ratio,
        )  # fmt: skip
    assert warned(caplog) == []  # the onset at step 15 was known
    assert names(out) == ["checkpoint-10", "checkpoint-15", "checkpoint-20"]
    shutil.rmtree(out / "checkpoint-20")
    run(other := watching(limit=30), resume=str(out / "checkpoint-15"), **shape)
    assert [r.step for r in other.readings] == [20] and "have changed" in warned(caplog)[0]


TWO = """
import json, sys
from dataclasses import replace
import torch
from datasets import Dataset
from transformers import AutoTokenizer, LlamaForCausalLM
from trl import SFTConfig, SFTTrainer
import overmem
from overmem.recipe.base_model import ORGANISM

folder = sys.argv[1]
data, done = Dataset.from_json(folder + "/data.jsonl"), {}
for name in ("off", "on", "stop", "broken", "capped"):
    val = folder + "/val.jsonl"
    onset = "warn" if name == "on" else "stop"
    cost = 1e-6 if name == "capped" else None
    monitor = overmem.OverMemorizationMonitor(val, val, every=3, on_onset=onset, max_cost=cost)
    trainer = SFTTrainer(
        model=LlamaForCausalLM.from_pretrained(folder + "/base"),
        args=SFTConfig(output_dir=folder + "/out", **json.load(open(folder + "/arguments.json"))),
        train_dataset=data, processing_class=AutoTokenizer.from_pretrained(ORGANISM),
        callbacks=[] if name == "off" else [monitor],
    )
    if name == "stop":
        measure = monitor._measure
        monitor._measure = lambda state, model: replace(measure(state, model), onset=state.global_step > 5)
    if name == "broken":
        monitor._measure = None
    trainer.train()
    assert trainer.accelerator.num_processes == 2
    done[name] = {
        "weights": {n.removeprefix("module."): p.detach() for n, p in trainer.model.named_parameters()},
        "losses": [row["loss"] for row in trainer.state.log_history if "loss" in row],
        "points": [row["step"] for row in trainer.state.log_history if "overmem/val_nll" in row],
        "step": trainer.state.global_step,
    }
torch.save(done, f"{folder}/done-{trainer.args.process_index}.pt")
"""


@pytest.mark.slow
def test_two_processes(tmp_path, data, base):
    base.save_pretrained(tmp_path / "base")
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data))
    rows = [{"id": e.id, "prompt": e.prompt, "completion": e.completion, "answer": e.answer} for e in VAL]
    (tmp_path / "val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shape = {"max_steps": 12, "per_device_train_batch_size": 4, "learning_rate": 3e-2}
    arguments = QUIET_SFT | shape | {"ddp_backend": "gloo"}
    (tmp_path / "arguments.json").write_text(json.dumps(arguments))
    said = run_in_two_processes(TWO, tmp_path)
    first, second = (torch.load(tmp_path / f"done-{rank}.pt") for rank in (0, 1))
    for name in ("on", "broken", "capped"):
        assert first["off"]["losses"] == first[name]["losses"]
        for key, value in first["off"]["weights"].items():
            assert torch.equal(value, first[name]["weights"][key])
    assert first["on"]["points"] == [3, 6, 9, 12] and second["on"]["points"] == []
    assert first["capped"]["points"] == []
    assert first["stop"]["step"] == second["stop"]["step"] == 6
    assert said.count("switched itself off") == 1


def test_overmem_train_watches_by_default(tmp_path, tokenizer, val_file, capsys):
    import overmem
    from overmem.cli.progress import readings_table, training_progress
    from overmem.cli.screen import console
    from overmem.training.trainer import train
    from tests.conftest import save_checkpoint

    save_checkpoint(tmp_path / "base", make_pico(tokenizer, seed=0), tokenizer, 0)
    written = {
        "model": {"name": str(tmp_path / "base")},
        "data": {"train": str(val_file), "val": str(val_file)},
        "monitor": {"max_cost": None},
        "training": {"num_train_epochs": 2, "learning_rate": 1e-2, "bf16": False, "use_cpu": True},
    }
    seen = []
    path = train(check_recipe(written | {"output": str(tmp_path / "on")}, "test"), watch=seen.append)
    off = check_recipe(written | {"output": str(tmp_path / "off"), "monitor": False}, "test")
    with training_progress(console()) as view:
        train(off, progress=view, watch=view.watch)
        view.watch(seen[-1])
    assert f"monitor: step {seen[-1].step}: val ppl" in capsys.readouterr().out
    assert len(seen) == 2 and readings_table(seen).row_count == 2
    histories = []
    for name in ("on", "off"):
        state = json.loads((tmp_path / name / f"checkpoint-{seen[-1].step}/trainer_state.json").read_text())
        histories.append([row for row in state["log_history"] if "overmem/val_nll" not in row])
    assert histories[0] == histories[1]
    # A run that was begun before there was a monitor goes on.
    saved = path / "recipe.yaml"
    text = saved.read_text()
    at = text.index("monitor:")
    saved.write_text(text[:at] + text[text.index("save_base:") :])
    train(check_recipe(written | {"output": str(tmp_path / "on"), "monitor": {}}, "test"), resume=True)
    assert overmem.diagnose(overmem.audit(path)).checkpoints


def test_a_run_that_logs_nothing_is_still_quiet(run, caplog):
    with caplog.at_level(logging.WARNING):
        run(watching(val=VAL[:5]))
    assert not warned(caplog)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"every": "day"}, "when to measure"),
        ({"every": 0}, "when to measure"),
        ({"limit": 0}, "limit=0"),
        ({"answers": 10}, "at least 30"),
        ({"perplexity_ratio": 0.9}, "perplexity_ratio"),
        ({"on_onset": "panic"}, "at the onset"),
        ({"val": "no-such-file.jsonl"}, "no-such-file"),
        ({"val": []}, "no examples"),
        ({"val": ["text"]}, "str"),
        ({"val": [Example("a", "q", "c")], "answers": 30}, "answer"),
    ],
)
def test_impossible_settings_are_refused_at_once(keywords, message):
    with pytest.raises(OvermemError, match=message):
        overmem.OverMemorizationMonitor(**({"val": [Example("a", "q", "c", "1")]} | keywords))
