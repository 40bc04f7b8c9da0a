"""An audit end to end on pico models: whole, resumed, and told when something changed.

Covers: overmem.auditing.executor, overmem.auditing.manifest_writer
"""

import json
import re
import shutil
import subprocess
import sys

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

import overmem
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.auditing.options import AuditOptions, saved_options
from overmem.auditing.resolve import resolve_options
from overmem.auditing.run import measure
from overmem.auditing.session import Session
from overmem.auditing.watch import Watched
from overmem.errors import ArtifactError, CheckpointError, DataError, OvermemError, RunError
from overmem.models import loading
from overmem.models.decoding import unfinished
from overmem.models.loading import ModelHost
from overmem.reporting.provenance import versions_line
from overmem.verdict.warnings.staleness import staleness_notes
from tests.conftest import VAL_ROWS, make_pico, save_checkpoint
from tests.helpers.quantized import make_models, plain, save_adapters


def table(run, checkpoint, rows):
    return Store.of_run(run).read_rows(checkpoint, rows).sort("split", "example_id")


def test_an_audit_measures_all_checkpoints_and_a_verdict_follows(pico_run, val_file):
    done = overmem.audit(pico_run, val=str(val_file), train=str(val_file), limit=8)
    assert [c.name for c in done.manifest.checkpoints] == [
        "checkpoint-10",
        "checkpoint-20",
        "checkpoint-100",
    ]
    likelihood = table(pico_run, "checkpoint-20", "likelihood")
    assert likelihood.group_by("split").len().sort("split").rows() == [("train", 8), ("val", 8)]
    assert len(table(pico_run, "checkpoint-20", "generations")) == 8
    # Random models solve nothing: insufficient evidence is a verdict too, and says why.
    verdict = overmem.diagnose(done)
    assert verdict.stage == "undetermined" and "insufficient evidence" in verdict.reason
    assert verdict.checkpoints[0].train_nll_nats.value == pytest.approx(verdict.checkpoints[0].nll_nats.value)


def test_nothing_is_computed_twice(pico_run, val_file, monkeypatch):
    overmem.audit(pico_run, val=str(val_file))
    before = table(pico_run, "checkpoint-10", "likelihood")

    def fail(*_):
        raise AssertionError("a model was loaded although every row is there")

    monkeypatch.setattr(ModelHost, "load", fail)
    overmem.audit(pico_run, val=str(val_file))
    assert table(pico_run, "checkpoint-10", "likelihood").equals(before)
    # A smaller limit asks for rows that are there.
    overmem.audit(pico_run, val=str(val_file), limit=5)


@pytest.mark.parametrize(
    ("place", "pattern", "names"),
    [
        ("v0-20260116-162510/checkpoint-{}", None, "checkpoint-{}"),
        ("global_step_{}/actor/huggingface", None, "global_step_{}"),
        ("seed3/mine-{}/hf", "seed3/*/hf", "mine-{}"),
    ],
)
def test_what_is_audited_is_what_is_diagnosed_and_watched(
    pico_run, val_file, tokenizer, place, pattern, names
):
    run = pico_run.parent / "elsewhere"
    for step in (10, 20, 100):
        shutil.copytree(pico_run / f"checkpoint-{step}", run / place.format(step))
        (run / place.format(step) / "trainer_state.json").unlink()
    expected = [names.format(step) for step in (10, 20, 100)]
    asked = {"val": str(val_file), "limit": 2, "max_new_tokens": 4, "checkpoints_glob": pattern}
    done = overmem.audit(run, **asked)
    assert [c.name for c in done.manifest.checkpoints] == expected and not done.skipped
    assert done.store.root == run / "overmem"
    watched = Watched(run, 0.0, checkpoints_glob=pattern).settled_run()
    assert watched is not None and [c.name for c in watched.checkpoints] == expected
    assert [c.name for c in overmem.diagnose(run).checkpoints] == expected
    assert staleness_notes(run, done.store) == ()
    make_pico(tokenizer, seed=5).save_pretrained(run / place.format(20))
    shutil.copytree(run / place.format(10), run / place.format(30))
    notes = " ".join(staleness_notes(run, done.store))
    assert f"{names.format(20)} holds other weights" in notes
    assert f"{names.format(30)} is in the folder and not in the audit" in notes


@pytest.mark.parametrize("kind", [KeyError, RecursionError, ZeroDivisionError, ImportError])
def test_no_exception_of_a_library_ends_an_audit(pico_run, val_file, monkeypatch, kind):
    whole = loading._check_finite

    def fails(model, checkpoint):
        if checkpoint.name == "checkpoint-20":
            raise kind("of a library")
        whole(model, checkpoint)

    monkeypatch.setattr(loading, "_check_finite", fails)
    done = overmem.audit(pico_run, val=str(val_file), limit=2, axes="likelihood")
    assert [c.name for c in done.manifest.checkpoints] == ["checkpoint-10", "checkpoint-100"]
    assert "checkpoint-20 cannot be loaded" in done.skipped["checkpoint-20"]
    assert "of a library" in done.skipped["checkpoint-20"]


def test_a_last_checkpoint_whose_configuration_is_damaged_is_skipped(pico_run, val_file):
    (pico_run / "checkpoint-100" / "config.json").write_text('{"model_type": "nobody\'s"}')
    done = overmem.audit(pico_run, val=str(val_file), limit=2, axes="likelihood")
    assert [c.name for c in done.manifest.checkpoints] == ["checkpoint-10", "checkpoint-20"]
    assert "checkpoint-100 cannot be loaded" in done.skipped["checkpoint-100"]


def test_a_checkpoint_that_fails_at_the_other_axes_is_skipped_while_others_do_not(
    pico_run, val_file, monkeypatch
):
    asked = {"axes": "likelihood,accuracy,diversity", "samples": 2, "checkpoints": "all", "limit": 2}
    asked |= {"max_new_tokens": 4, "grader": "exact", "val": str(val_file)}
    does_batch = Session._do_batch
    failing = {"checkpoint-20"}

    def fails(session, job, checkpoint, batch):
        if job.kind == "sample" and checkpoint.name in failing:
            raise CheckpointError(f"{checkpoint.name} fails in its forward pass")
        does_batch(session, job, checkpoint, batch)

    monkeypatch.setattr(Session, "_do_batch", fails)
    done = overmem.audit(pico_run, **asked)
    assert [c.name for c in done.manifest.checkpoints] == ["checkpoint-10", "checkpoint-100"]
    assert done.skipped == {"checkpoint-20": "checkpoint-20 fails in its forward pass"}
    # What fails everywhere is no fault of one checkpoint, and the core stands.
    failing |= {"checkpoint-10", "checkpoint-100"}
    with pytest.raises(OvermemError, match="fails in its forward pass"):
        overmem.audit(pico_run, **asked, out=pico_run.parent / "other")


def test_a_larger_limit_adds_rows_and_changed_weights_do_not_mix(pico_run, val_file, tokenizer):
    overmem.audit(pico_run, val=str(val_file), limit=5)
    first = {
        (r["example_id"], r["nll_nats"]) for r in table(pico_run, "checkpoint-10", "likelihood").to_dicts()
    }
    overmem.audit(pico_run, val=str(val_file), limit=9)
    second = {
        (r["example_id"], r["nll_nats"]) for r in table(pico_run, "checkpoint-10", "likelihood").to_dicts()
    }
    assert first < second and len(second) == 9
    save_checkpoint(pico_run / "checkpoint-10", make_pico(tokenizer, seed=77), tokenizer, 10)
    done = overmem.audit(pico_run, val=str(val_file), limit=9)
    key = done.manifest.checkpoints[0].row_keys["score val"]
    new = done.store.read_rows("checkpoint-10", "likelihood", key)
    assert len(new) == 9
    assert not {r["nll_nats"] for r in new.to_dicts()} & {nll for _, nll in second}


def test_answers_are_graded_again_without_the_model(pico_run, val_file, monkeypatch):
    overmem.audit(pico_run, val=str(val_file))
    texts = table(pico_run, "checkpoint-10", "generations")["text"].to_list()
    monkeypatch.setattr(ModelHost, "load", lambda *_: pytest.fail("generated again"))
    overmem.audit(pico_run, val=str(val_file), grader="regex:([A-Za-z]+)")
    again = table(pico_run, "checkpoint-10", "generations")
    assert again["text"].to_list() == texts
    assert set(again["grader"]) == {"regex:([A-Za-z]+)"}


def test_adapters_share_one_base_and_equal_their_merged_model(tmp_path, tokenizer, val_file, monkeypatch):
    from peft import LoraConfig, get_peft_model

    base = tmp_path / "base"
    save_checkpoint(base, make_pico(tokenizer, seed=0), tokenizer, 0)
    run = tmp_path / "run"
    merged = {}
    for step, rslora in ((10, False), (20, True)):
        torch.manual_seed(step)
        config = LoraConfig(
            r=2, lora_alpha=8, use_rslora=rslora, init_lora_weights=False, task_type="CAUSAL_LM"
        )
        adapted = get_peft_model(make_pico(tokenizer, seed=0), config)
        adapted.peft_config["default"].base_model_name_or_path = str(base)
        adapted.save_pretrained(run / f"checkpoint-{step}")
        merged[step] = adapted.merge_and_unload()
    loads = []
    original = ModelHost._load_base
    monkeypatch.setattr(ModelHost, "_load_base", lambda *a: loads.append(1) or original(*a))
    overmem.audit(run, val=str(val_file), axes=("likelihood",))
    assert loads == [1]
    reference = tmp_path / "merged"
    for step, model in merged.items():
        save_checkpoint(reference / f"checkpoint-{step}", model, tokenizer, step)
    overmem.audit(reference, val=str(val_file), axes=("likelihood",))
    for step in merged:
        ours = table(run, f"checkpoint-{step}", "likelihood")["nll_nats"].to_list()
        theirs = table(reference, f"checkpoint-{step}", "likelihood")["nll_nats"].to_list()
        assert ours == pytest.approx(theirs, abs=1e-3)
    assert ours != pytest.approx(table(run, "checkpoint-10", "likelihood")["nll_nats"].to_list(), abs=1e-2)


def test_rows_of_two_precisions_are_the_models_own_and_are_never_mixed(tmp_path, tokenizer, val_file):
    models = make_models(tmp_path / "models", tokenizer)
    run = tmp_path / "run"
    save_adapters(run, models["4bit"], tokenizer, steps=(1,))
    asked = {"val": str(val_file), "axes": ("likelihood",), "limit": 3, "base_row": False}
    keys, nats = [], []
    for quantize in (None, "none", None):
        overmem.audit(run, **asked, quantize=quantize)
        manifest = read_manifest(Store.of_run(run))
        assert saved_options(manifest).quantize == quantize
        in_bits = "weights in bitsandbytes 4 bit" in versions_line(manifest)
        assert in_bits == (manifest.quantization == "bitsandbytes 4 bit") == (quantize is None)
        (key,) = manifest.checkpoints[0].row_keys.values()
        rows = table(run, "checkpoint-1", "likelihood").filter(pl.col("row_key") == key)
        keys.append(key)
        nats.append(dict(zip(rows["example_id"], rows["nll_nats"] / rows["n_tokens"], strict=True)))
    assert keys[0] == keys[2] != keys[1] and len(table(run, "checkpoint-1", "likelihood")) == 6
    model = plain(models["4bit"], adapter=run / "checkpoint-1")
    for row in VAL_ROWS:
        if row["id"] in nats[0]:
            prompt = len(tokenizer(row["prompt"])["input_ids"])
            text = tokenizer(row["prompt"] + row["completion"])["input_ids"] + [tokenizer.eos_token_id]
            with torch.no_grad():
                ln_p = model(input_ids=torch.tensor([text])).logits[0].log_softmax(-1)
            scored = range(prompt, len(text))
            expected = -sum(float(ln_p[at - 1, text[at]]) for at in scored) / len(scored)
            assert nats[0][row["id"]] == pytest.approx(expected, abs=2e-6)


def test_rows_that_meet_in_a_figure_are_of_one_precision(pico_run, val_file, tmp_path):
    shutil.rmtree(pico_run / "checkpoint-10")
    shutil.rmtree(pico_run / "checkpoint-20")
    train = tmp_path / "train.jsonl"
    train.write_text(val_file.read_text().replace("Tom", "Ann"))
    asked = {"val": str(val_file), "limit": 2, "max_new_tokens": 2, "base_row": False}
    more = {"train": str(train), "axes": "privacy,robustness", "checkpoints": "all"}
    first = overmem.audit(pico_run, **asked, **more, variants={"typo": None})
    (all_of_it,) = (c.row_keys for c in first.manifest.checkpoints)
    assert set(all_of_it) == {"score val", "score train", "greedy val", "greedy val typo"}
    same = overmem.audit(pico_run, **asked)
    assert same.manifest.checkpoints[0].row_keys == all_of_it
    other = overmem.audit(pico_run, **asked, dtype="bfloat16").manifest.checkpoints[0]
    assert other.row_keys.keys() == other.settings.keys() == {"score val", "greedy val"}
    assert not set(other.row_keys.values()) & set(all_of_it.values())


def test_a_moved_base_model_can_be_named(tmp_path, tokenizer, val_file):
    from peft import LoraConfig, get_peft_model

    run = tmp_path / "run"
    for step in (1, 2):
        adapted = get_peft_model(make_pico(tokenizer, seed=0), LoraConfig(r=2, task_type="CAUSAL_LM"))
        adapted.peft_config["default"].base_model_name_or_path = "/gone/base"
        adapted.save_pretrained(run / f"checkpoint-{step}")
        tokenizer.save_pretrained(run / f"checkpoint-{step}")
    with pytest.raises(RunError, match=r"/gone/base[\s\S]*--base-model"):
        overmem.audit(run, val=str(val_file))
    base = tmp_path / "base"
    save_checkpoint(base, make_pico(tokenizer, seed=0), tokenizer, 0)
    overmem.audit(run, val=str(val_file), base_model=str(base), axes=("likelihood",))


def test_sharded_checkpoints_score_like_whole_ones(tmp_path, tokenizer, val_file):
    model = make_pico(tokenizer, seed=1)
    run = tmp_path / "run"
    save_checkpoint(run / "checkpoint-1", model, tokenizer, 1)
    save_checkpoint(run / "checkpoint-2", model, tokenizer, 2)
    for file in (run / "checkpoint-2").glob("*.safetensors"):
        file.unlink()
    model.save_pretrained(run / "checkpoint-2", max_shard_size="20KB")
    assert len(list((run / "checkpoint-2").glob("*.safetensors"))) > 1
    overmem.audit(run, val=str(val_file), axes=("likelihood",))
    one, two = (table(run, f"checkpoint-{n}", "likelihood")["nll_nats"].to_list() for n in (1, 2))
    assert one == two


def test_a_diverged_checkpoint_is_named_and_the_others_audited(pico_run, val_file):
    file = pico_run / "checkpoint-20" / "model.safetensors"
    tensors = load_file(file)
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})
    (pico_run / "checkpoint-100" / "model.safetensors").write_bytes(b"short")
    save_checkpoint_again = pico_run / "checkpoint-10"
    assert save_checkpoint_again.is_dir()
    done = overmem.audit(pico_run, val=str(val_file), limit=4)
    assert [c.name for c in done.manifest.checkpoints] == ["checkpoint-10"]
    assert "NaN" in done.skipped["checkpoint-20"] and "copy" in done.skipped["checkpoint-100"]
    with pytest.raises(RunError, match="fewer than two"):
        overmem.diagnose(done)


def test_a_prompt_longer_than_the_context_is_named(tmp_path, pico_run):
    path = tmp_path / "long.jsonl"
    path.write_text(
        json.dumps({"id": "big", "prompt": "Tom " * 300, "completion": " 1", "answer": "1"}) + "\n"
    )
    with pytest.raises(DataError, match=r"big[\s\S]*256"):
        overmem.audit(pico_run, val=str(path))
    assert not list((pico_run / "overmem").rglob("*.parquet"))


def test_a_foreign_tokenizer_is_refused(tmp_path, tokenizer, val_file):
    run = tmp_path / "run"
    for step in (1, 2):
        save_checkpoint(run / f"checkpoint-{step}", make_pico(tokenizer, 0, vocab_size=50), tokenizer, step)
    with pytest.raises(DataError, match="tokenizer does not belong"):
        overmem.audit(run, val=str(val_file))


def test_missing_answers_and_missing_data_are_said(tmp_path, pico_run):
    path = tmp_path / "plain.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n' * 3)
    with pytest.raises(RunError, match="--val"):
        overmem.audit(pico_run)
    with pytest.raises(DataError, match="none"):
        overmem.audit(pico_run, val=str(path), grader="math")


def test_answers_that_a_kill_cut_go_on(tmp_path, pico_run, val_file, monkeypatch):
    class Killed(BaseException):
        pass

    settings = {"val": str(val_file), "limit": 6, "max_new_tokens": 12}
    overmem.audit(pico_run, out=tmp_path / "undisturbed", **settings)
    monkeypatch.setattr(unfinished, "SAVE_SECONDS", 0.0)
    saves = []
    save = unfinished.UnfinishedAnswers.save

    def killed_at_the_fifth(self):
        save(self)
        saves.append(self.path)
        if len(saves) == 5:
            raise Killed

    monkeypatch.setattr(unfinished.UnfinishedAnswers, "save", killed_at_the_fifth)
    with pytest.raises(Killed):
        overmem.audit(pico_run, **settings)
    assert saves[-1].is_file()
    overmem.audit(pico_run, **settings)
    assert len(saves) > 5 and not list((pico_run / "overmem").rglob("*.unfinished"))
    for checkpoint in ("checkpoint-10", "checkpoint-20", "checkpoint-100"):
        expected = Store(tmp_path / "undisturbed").read_rows(checkpoint, "generations").sort("example_id")
        found = table(pico_run, checkpoint, "generations").sort("example_id")
        # The mean is added up from one more pass over what had been written: rounding.
        assert found.drop("mean_logprob").equals(expected.drop("mean_logprob"))
        assert found["mean_logprob"].to_list() == pytest.approx(expected["mean_logprob"].to_list(), abs=1e-5)


# Imports once, then forks a child for every audit and kills it with SIGKILL after a random number of
# batches. Prints how many audits were killed in flight.
KILLER = """
import os, random, signal, sys, time
import torch
torch.set_num_threads(1)
import overmem, overmem.models.loading, overmem.auditing.run as auditing
from overmem.auditing import compute_rows as work
from overmem.models.engines import hf
run, val = sys.argv[1:]
for module, name in ((work, "score_all"), (hf, "generate")):
    def slow(*a, _f=getattr(module, name), **k):
        time.sleep(0.02)
        return _f(*a, **k)
    setattr(module, name, slow)
saved = lambda: sum(len(files) for _, _, files in os.walk(os.path.join(run, "overmem")))
rng, kills = random.Random(0), 0
for _ in range(5):
    child = os.fork()
    if child == 0:
        overmem.audit(run, val=val, train=val, batch_tokens=60, max_new_tokens=8)
        os._exit(0)
    target = saved() + rng.randint(1, 3)
    deadline = time.monotonic() + 20
    while saved() < target and os.waitpid(child, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(rng.random() * 0.03)
    try:
        os.kill(child, signal.SIGKILL)
        kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    except (ProcessLookupError, ChildProcessError):
        pass
print("kills", kills)
"""


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_audit_killed_again_and_again_ends_with_the_same_rows(tmp_path, pico_run, val_file):
    settings = {"val": str(val_file), "train": str(val_file), "batch_tokens": 60, "max_new_tokens": 8}
    undisturbed = tmp_path / "undisturbed"
    torch.set_num_threads(1)
    overmem.audit(pico_run, out=undisturbed, **settings)
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(pico_run), str(val_file)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout.split("kills ")[1]) >= 4, done.stderr
    overmem.audit(pico_run, **settings)
    for checkpoint in ("checkpoint-10", "checkpoint-20", "checkpoint-100"):
        for rows in ("likelihood", "generations"):
            expected = Store(undisturbed).read_rows(checkpoint, rows)
            assert table(pico_run, checkpoint, rows).equals(expected.sort("split", "example_id"))
    left = [
        path.name for path in (pico_run / "overmem").rglob("*") if path.suffix not in {".json", ".parquet"}
    ]
    assert sorted(left) == ["checkpoint-10", "checkpoint-100", "checkpoint-20"]


def test_a_corrected_answer_is_graded_again(pico_run, val_file, monkeypatch):
    done = overmem.audit(pico_run, val=str(val_file), limit=3)
    row = table(pico_run, "checkpoint-10", "generations").to_dicts()[0]
    said = re.findall(r"[A-Za-z]+", row["text"])[-1]
    rows = [json.loads(line) for line in val_file.read_text().splitlines()]
    val_file.write_text(
        "".join(
            json.dumps(r | ({"answer": said} if r["id"] == row["example_id"] else {})) + "\n" for r in rows
        )
    )
    monkeypatch.setattr(ModelHost, "load", lambda *_: pytest.fail("generated again"))
    overmem.audit(pico_run, val=str(val_file), limit=3, grader="regex:([A-Za-z]+)")
    correct = dict(
        table(pico_run, "checkpoint-10", "generations").select("example_id", "correct").iter_rows()
    )
    assert correct[row["example_id"]] == 1.0 and sum(correct.values()) == 1.0
    assert done.store.has_record("manifest")


def test_a_checkpoints_own_generation_settings_do_not_leak_in(pico_run, val_file, tmp_path):
    overmem.audit(pico_run, val=str(val_file), out=str(tmp_path / "plain"), max_new_tokens=20)
    for folder in pico_run.glob("checkpoint-*"):
        config = json.loads((folder / "generation_config.json").read_text())
        config |= {"repetition_penalty": 5.0, "do_sample": True, "temperature": 3.0, "min_new_tokens": 19}
        (folder / "generation_config.json").write_text(json.dumps(config))
    overmem.audit(pico_run, val=str(val_file), out=tmp_path / "penalised", max_new_tokens=20)
    texts = [
        Store(tmp_path / out).read_rows("checkpoint-20", "generations").sort("example_id")["text"].to_list()
        for out in ("plain", "penalised")
    ]
    assert texts[0] == texts[1]


def test_an_adapter_of_another_model_is_refused(tmp_path, tokenizer, val_file):
    from peft import LoraConfig, get_peft_model

    base, run = tmp_path / "base", tmp_path / "run"
    save_checkpoint(base, make_pico(tokenizer, 0, num_hidden_layers=1), tokenizer, 0)
    for step in (1, 2):
        adapted = get_peft_model(make_pico(tokenizer, 0), LoraConfig(r=2, task_type="CAUSAL_LM"))
        adapted.peft_config["default"].base_model_name_or_path = str(base)
        adapted.save_pretrained(run / f"checkpoint-{step}")
    with pytest.raises(RunError, match="does not fit its base model"):
        overmem.audit(run, val=str(val_file))


DIVERSE = ("likelihood", "accuracy", "diversity")


def test_an_audit_that_is_refused_leaves_all_that_was_there(pico_run, val_file):
    overmem.diagnose(overmem.audit(pico_run, val=str(val_file), limit=4))
    root = pico_run / "overmem"
    for name in ("manifest.json", "texts.parquet", "checkpoint-100/generations.parquet"):
        whole = (root / name).read_bytes()
        # In the midst, so that only reading the whole file shows it.
        damaged = whole[: len(whole) // 3] + b"\xff" * 9 + whole[len(whole) // 3 + 9 :]
        (root / name).write_bytes(damaged)
        before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
        # More than the core, so that the plan is timed before anything else is done.
        with pytest.raises(ArtifactError, match=name):
            overmem.audit(pico_run, val=str(val_file), limit=4, axes=DIVERSE, samples=2)
        assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
        (root / name).write_bytes(whole)


def test_a_new_audit_forgets_the_old_verdict_and_a_stopped_one_says_so(pico_run, val_file, monkeypatch):
    overmem.diagnose(overmem.audit(pico_run, val=str(val_file), limit=4))
    assert (pico_run / "overmem" / "verdict.json").is_file()
    original = ModelHost.load

    def stop_at_the_last(host, checkpoint):
        if checkpoint.name == "checkpoint-100":
            raise KeyboardInterrupt
        return original(host, checkpoint)

    monkeypatch.setattr(ModelHost, "load", stop_at_the_last)
    with pytest.raises(KeyboardInterrupt):
        overmem.audit(pico_run, val=str(val_file), limit=6)
    assert not (pico_run / "overmem" / "verdict.json").exists()
    notes = " ".join(overmem.diagnose(pico_run).notes)
    assert "checkpoint-100" in notes and "not measured yet" in notes


def test_generation_stops_at_the_templates_end_of_turn(tmp_path, tokenizer):
    """ChatML ends a turn with a mark and a newline; a base model's own end of text is another token."""
    from transformers import AutoTokenizer

    from overmem.auditing.options import AuditOptions
    from overmem.auditing.problems import load_problems
    from overmem.rendering.template import Template

    chat = AutoTokenizer.from_pretrained(tokenizer.name_or_path)
    chat.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    chat.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    path = tmp_path / "chat.jsonl"
    path.write_text(json.dumps({"prompt": "Tom?", "completion": "7", "answer": "7"}) + "\n")
    config = AuditOptions(val=str(path), template=Template(kind="chat"))
    problems = load_problems(config, chat)
    session = Session(None, None, chat, problems, config, Store(tmp_path), lambda *_: None)
    assert session.end_of_completion("val") == chat.convert_tokens_to_ids("<|im_end|>")


def test_a_column_groups_the_problems_of_an_audit_and_texts_do_where_none_is_named(pico_run, tmp_path):
    words = ("apple", "pear", "plum", "nut", "egg", "hen", "dog", "cat", "cow", "pig", "owl", "fox")
    rows = [
        {"id": word, "prompt": f"How many {word}s?", "completion": " 7", "answer": "7", "story": f"s{i % 3}"}
        for i, word in enumerate(words)
    ]
    val = tmp_path / "stories.jsonl"
    val.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = {"val": str(val), "grader": "exact", "max_new_tokens": 2}
    with pytest.raises(DataError, match="val has no column `storey` to group its problems by"):
        overmem.audit(pico_run, group="storey", **asked)
    train = tmp_path / "train.jsonl"
    own = [{**row, "prompt": f"{row['prompt']} Tell.", "story": f"t{i % 4}"} for i, row in enumerate(rows)]
    train.write_text("".join(json.dumps(row) + "\n" for row in own))
    plans = []
    asked["train"] = str(train)
    run = overmem.open_run(pico_run)
    options = resolve_options(run, AuditOptions(group="story", **asked))
    found = measure(run, options, on_plan=plans.append).manifest
    said = [line for line in plans[0].data if line.startswith("groups: ")]
    assert [line.partition(" (")[0] for line in said] == [
        "groups: 12 val problems in 3 groups",
        "groups: 12 training rows in 4 groups",
    ]
    assert found.splits["train"].groups == tuple(f"story=t{place % 4}" for place in range(12))
    assert found.val.groups == tuple(f"story=s{place % 3}" for place in range(12))
    assert found.val.grouped_by == "column story" and saved_options(found).group == "story"
    verdict = overmem.diagnose(pico_run)
    assert (verdict.groups.problems, verdict.groups.groups) == (12, 3)
    assert (verdict.train_groups.problems, verdict.train_groups.groups) == (12, 4)
    assert "whose groups tell as much as 3 that stand alone" in verdict.reason
    rows[1] = {**rows[0], "id": "again", "completion": "Another way: 7."}
    val.write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = tmp_path / "other.jsonl"
    other.write_text(
        "".join(json.dumps({**row, "prompt": f"{row['prompt']} Count them."}) + "\n" for row in rows)
    )
    sets = overmem.audit(pico_run, axes=("ood",), ood={"far": str(other)}, **asked).manifest.splits
    for texts in (sets["val"], sets["ood/far"]):
        assert len(set(texts.groups)) == 11 and texts.groups[0] == texts.groups[1]
        assert texts.grouped_by == "the same prompt"
