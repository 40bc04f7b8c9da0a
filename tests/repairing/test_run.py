"""A repair end to end: a merge known to be better is found, proved and written; others are refused.

Covers: overmem.cli.commands.repair, overmem.repairing.narrative,
overmem.repairing.plan, overmem.repairing.record, overmem.repairing.search, overmem.repairing.setup,
overmem.repairing.split, overmem.repairing.trials
"""

import dataclasses
import json
import math
import re
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

import overmem
from overmem.artifacts.evidence import MeasuredCheckpoint
from overmem.artifacts.jobs import Job
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.auditing.problem_sets.halves import half_of
from overmem.auditing.problem_sets.load import load_problems
from overmem.auditing.session import Session
from overmem.cli import main
from overmem.errors import DataError, MergeError, RunError
from overmem.recipe.base_model import ORGANISM
from overmem.rendering.template import Template
from overmem.repairing.output import proof_section
from overmem.repairing.plan import plan_repair
from overmem.repairing.setup import prepare_repair
from overmem.repairing.temperature import fit_temperature
from overmem.rule import Rule
from tests.conftest import save_checkpoint

pytestmark = pytest.mark.slow

OWN_WORDS = 12
"""Tokens of the organism's own continuation that serve as a reference: no other model finds them likelier."""
FAST = {
    "max_new_tokens": OWN_WORDS,
    "samples": 2,
    "grader": "regex:([a-z]+)",
    "template": Template(kind="plain", eos=False),
}
NOISE = 0.02
AXES = ("likelihood", "accuracy", "diversity", "privacy")
WIDE = {"axes": AXES, "rule": Rule(accuracy_margin=0.2)}
"""With a margin so wide that thirty problems can prove something."""
CORE = {"axes": ("likelihood", "accuracy"), "rule": Rule(accuracy_margin=0.2)}
FEW = CORE | {"few": 1}
"""Where it does not matter which merge is found."""


def write_own_words(path, model, tokenizer, source):
    """Problems whose solutions are what the organism itself writes."""
    rows = []
    examples = overmem.load_examples(source).examples
    given = tokenizer([e.prompt for e in examples], return_tensors="pt", padding=True, padding_side="left")
    out = model.generate(**given, max_new_tokens=OWN_WORDS, do_sample=False)
    texts = tokenizer.batch_decode(out[:, given["input_ids"].shape[1] :], skip_special_tokens=True)
    for example, text in zip(examples, texts, strict=True):
        words = re.findall("[a-z]+", text)
        if words:
            row = {"id": example.id, "prompt": example.prompt, "completion": text, "answer": words[-1]}
            rows.append(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def noisy_run(tmp_path_factory, tokenizer):
    """Checkpoints that are the organism plus and minus the same noise, so that their mean is the organism."""
    folder = tmp_path_factory.mktemp("noisy") / "run"
    torch.manual_seed(0)
    good = AutoModelForCausalLM.from_pretrained(ORGANISM, dtype=torch.float32).eval()
    start = good.state_dict()
    noise = {name: NOISE * torch.randn_like(value) for name, value in start.items()}
    for step, sign in ((10, 1.0), (20, -1.0), (30, 1.2)):
        model = AutoModelForCausalLM.from_pretrained(ORGANISM, dtype=torch.float32)
        model.load_state_dict({name: start[name] + sign * noise[name] for name in start})
        save_checkpoint(folder / f"checkpoint-{step}", model, tokenizer, step)
    files = {
        name: write_own_words(folder.parent / f"{name}.jsonl", good, tokenizer, f"wordmath:{name}[:60]")
        for name in ("val", "train", "test")
    }
    overmem.audit(folder, val=files["val"], train=files["train"], **FAST)
    return folder


def copy_of(run, folder):
    return shutil.copytree(run, folder / "run")


@pytest.fixture
def run(noisy_run, tmp_path):
    """A copy whose artifacts may change."""
    return copy_of(noisy_run, tmp_path)


@pytest.fixture(scope="module")
def widely(noisy_run, tmp_path_factory):
    """A copy that was repaired with WIDE, and what came out."""
    run = copy_of(noisy_run, tmp_path_factory.mktemp("widely"))
    return run, overmem.repair(run, **WIDE)


@pytest.fixture(scope="module")
def barely(noisy_run, tmp_path_factory):
    """A copy that was repaired with FEW, and what came out."""
    run = copy_of(noisy_run, tmp_path_factory.mktemp("barely"))
    return run, overmem.repair(run, **FEW)


def test_code_that_only_a_manifest_names_is_not_run(run):
    path = run / "overmem" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"]["template"] = {"kind": "python:module:function"}
    path.write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="which no file in a folder can give"):
        prepare_repair(run, **CORE)


def test_the_mean_that_takes_the_noise_out_is_found_proved_and_written(widely):
    run, found = widely
    assert found.proof is not None and found.proof.accepted, found.words
    winner = next(a for a in found.attempts if a.name == found.winner)
    assert winner.nll_nats == min(a.nll_nats for a in found.attempts)
    assert winner.weights == (0.5, 0.5) and set(winner.checkpoints) == {"checkpoint-10", "checkpoint-20"}
    assert found.model == run / "overmem" / "repaired"
    mended = AutoModelForCausalLM.from_pretrained(found.model, dtype=torch.float32).state_dict()
    for name, value in (
        AutoModelForCausalLM.from_pretrained(ORGANISM, dtype=torch.float32).state_dict().items()
    ):
        torch.testing.assert_close(mended[name], value, atol=1e-5, rtol=0)
    card = (found.model / "README.md").read_text()
    assert "## Proof" in card and found.before in card
    saved = json.loads((run / "overmem" / "repair.json").read_text())
    assert saved["schema"] == "overmem.repair/1" and saved["winner"] == found.winner
    assert saved == json.loads((found.model / "repair.json").read_text())
    assert not (run / "overmem" / "repair" / "models").exists()


def test_names_cannot_change_the_proof(widely):
    _, found = widely
    section = proof_section(dataclasses.replace(found, before="a | b\n# c", words=("<i> *d*",)))
    assert r"| a \| b \# c | this model |" in section and r"&lt;i&gt; \*d\*" in section


def test_search_and_proof_rest_on_different_problems(widely, noisy_run):
    run, _ = widely
    ids = {}
    for half in ("search", "confirm"):
        manifest = json.loads((run / "overmem" / "repair" / half / "manifest.json").read_text())
        ids[half] = set(manifest["splits"]["val"]["example_ids"])
    every = {json.loads(line)["id"] for line in (noisy_run.parent / "val.jsonl").read_text().splitlines()}
    assert not ids["search"] & ids["confirm"] and ids["search"] | ids["confirm"] == every


def test_a_killed_repair_goes_on_and_ends_the_same(run, barely):
    whole, found = barely
    scored = []

    def kill_at(calls):
        def progress(model, work, done, total):
            scored.append((model, work, done))
            if len(scored) == calls:
                raise KeyboardInterrupt

        return progress

    for calls in (5, 20):
        scored.clear()
        with pytest.raises(KeyboardInterrupt):
            overmem.repair(run, **FEW, progress=kill_at(calls))
        assert not (run / "overmem" / "repaired").exists()
    again = overmem.repair(run, **FEW)
    assert json.dumps(again.to_dict()).replace(str(run), str(whole)) == json.dumps(found.to_dict())


@pytest.mark.exhaustive
def test_problems_of_its_own_for_the_proof(run, noisy_run):
    test = noisy_run.parent / "test.jsonl[:30]"
    found = overmem.repair(run, confirm=str(test), **FEW)
    assert found.n_search > 50 and found.n_confirm == 30


def test_a_chosen_checkpoint_is_the_one_to_beat_and_the_last_is_not_compared_twice(run):
    found = overmem.repair(run, before="checkpoint-30", **FEW)
    assert found.before == found.last == "checkpoint-30" and found.against_last == ()


def test_a_plan_writes_nothing_but_says_what_it_will_do(run, capsys, monkeypatch):
    before = sorted(path for path in run.rglob("*") if "verdict" not in path.name)
    monkeypatch.setattr(
        "sys.argv",
        ["overmem", "repair", str(run), "--plan", "--axes", "accuracy", "--accuracy-margin", "0.2"],
    )
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "To beat: checkpoint-" in said and "look closely" in said
    assert sorted(path for path in run.rglob("*") if "verdict" not in path.name) == before


@pytest.mark.exhaustive
def test_times_that_nobody_sees_are_not_taken(run, monkeypatch):
    asked = []
    original = Session.seconds
    monkeypatch.setattr(Session, "seconds", lambda *args: asked.append(args) or original(*args))
    setup = prepare_repair(run, **CORE)
    untimed = plan_repair(setup, timed=False)
    assert not asked and math.isnan(untimed.seconds)
    timed = plan_repair(setup)
    assert asked and timed.seconds > 0
    assert untimed.candidates == timed.candidates
    # A budget is kept only by what is timed.
    assert plan_repair(setup, timed=False, budget_minutes=0.002).left_out > 0


@pytest.mark.exhaustive
def test_a_budget_leaves_merges_out_and_says_so(run):
    found = overmem.repair(run, **CORE, budget_minutes=0.002)
    assert any("not tried, for the budget" in note for note in found.notes)
    assert found.proof is not None


def test_an_output_that_exists_is_refused_before_any_work(run, tmp_path):
    with pytest.raises(MergeError, match="exists"):
        overmem.repair(run, out=str(tmp_path))
    assert not (run / "overmem" / "repair").exists()


def test_bad_input_is_one_message(run, tmp_path):
    with pytest.raises(RunError, match="no such checkpoint"):
        overmem.repair(run, before="checkpoint-7", **CORE)
    with pytest.raises(RunError, match="budget"):
        overmem.repair(run, budget_minutes=0, **CORE)
    with pytest.raises(RunError, match="too few problems"):
        overmem.repair(run)
    overmem.audit(run, val="wordmath:val[:12]", **FAST)
    with pytest.raises(RunError, match="too few problems"):
        overmem.repair(run)


def test_a_run_that_was_never_audited_is_told_to(pico_run, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["overmem", "repair", str(pico_run)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "overmem audit" in capsys.readouterr().err


def test_problems_that_merges_are_chosen_on_prove_nothing(run, noisy_run):
    with pytest.raises(DataError, match="chosen on"):
        overmem.repair(run, confirm=str(noisy_run.parent / "val.jsonl"), **CORE)
    with pytest.raises(RunError, match="2 for the proof"):
        overmem.repair(run, confirm=str(noisy_run.parent / "test.jsonl[:2]"), **CORE)


def test_a_group_of_the_audit_is_in_one_half(run, tokenizer):
    path = run / "overmem" / "manifest.json"
    manifest = json.loads(path.read_text())
    ids = manifest["splits"]["val"]["example_ids"]
    labels = {name: f"group {place // 3}" for place, name in enumerate(ids)}
    manifest["splits"]["val"]["groups"] = list(labels.values())
    path.write_text(json.dumps(manifest))
    setup = prepare_repair(run, **CORE)
    halves = [
        {labels[example.id] for example in load_problems(options, tokenizer)["val"].examples}
        for options in (setup.search, setup.confirm)
    ]
    assert halves[0] and halves[1] and not halves[0] & halves[1]
    assert halves[0] | halves[1] == set(labels.values())
    manifest["config"]["group"] = "story"
    path.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="has no column `story` to group its problems by") as error:
        prepare_repair(run, **CORE, confirm="wordmath:test[:120]")
    assert error.value.next_step == "add it: the audit groups val by this column"


def test_what_is_chosen_hangs_on_the_search_half_alone(run):
    """With other answers and likelihoods on the confirm half, the same merges face the same checkpoint."""
    setup = prepare_repair(run, **CORE)
    searched = half_of(prompts_of(setup), "search", 0, setup.manifest.groups_of("val"))
    store = Store(run / "overmem")

    def spoil(row):
        if row["split"] != "val" or row["example_id"] in searched:
            return row
        other = (
            {"nll_nats": 100.0 - row["nll_nats"]} if "nll_nats" in row else {"correct": 1 - row["correct"]}
        )
        return row | other

    for checkpoint in setup.trained:
        for rows in ("likelihood", "generations"):
            store.update_rows(checkpoint.name, rows, spoil)
    again = prepare_repair(run, **CORE)
    assert (again.before, again.by_nll, again.candidates) == (setup.before, setup.by_nll, setup.candidates)


def prompts_of(setup):
    texts = setup.store.read_texts()
    return dict(texts.filter(texts["set"] == "val").select("example_id", "prompt").iter_rows())


def test_the_last_checkpoint_is_compared_and_the_temperature_read_on_the_confirm_half(run):
    found = overmem.repair(run, before="checkpoint-10", **FEW)
    nll = {}
    for half in ("search", "confirm"):
        store = Store(run / "overmem" / "repair" / half)
        manifest = read_manifest(store)
        for name in ("checkpoint-10", "checkpoint-30"):
            if name in [found.name for found in manifest.checkpoints]:
                rows = MeasuredCheckpoint(store, manifest, name).rows(Job("score", "val"))
                nll[half, name] = rows["nll_nats"].sum() / rows["n_tokens"].sum()
                if name == "checkpoint-10":
                    grid = manifest.temperatures
                    nll[half, "T"] = fit_temperature(rows, grid)
    last = next(cost for cost in found.against_last if cost.measure == "nll")
    assert last.reference_value == pytest.approx(nll["confirm", "checkpoint-30"])
    assert found.proof.differences[0].reference_value == pytest.approx(nll["confirm", "checkpoint-10"])
    assert found.temperature.temperature == nll["search", "T"]


def test_only_the_axes_that_were_asked_for_prove(widely, tmp_path):
    run = copy_of(widely[0], tmp_path)
    again = overmem.repair(run, **CORE)
    assert {cost.axis for cost in again.proof.differences} == {"likelihood", "accuracy"}


def test_a_second_repair_scores_nothing_again(barely, tmp_path):
    run = copy_of(barely[0], tmp_path)
    done = []
    again = overmem.repair(run, **FEW, progress=lambda model, work, n, total: done.append((work, total - n)))
    assert all(left == 0 for work, left in done)
    # The same merge on the same problems is the same try.
    assert again.proof.number == barely[1].proof.number == 1
    assert len(json.loads((run / "overmem" / "tries.json").read_text())["tries"]) == 1


@pytest.mark.exhaustive
def test_a_rejected_repair_takes_the_earlier_model_away(barely, tmp_path):
    run = copy_of(barely[0], tmp_path)
    assert (run / "overmem" / "repaired").exists()
    # What was repaired is now what is to be beaten, so that nothing is better.
    shutil.copytree(run / "overmem" / "repaired", run / "checkpoint-40")
    (run / "checkpoint-40" / "trainer_state.json").write_text(json.dumps({"global_step": 40}))
    overmem.audit(
        run, val=json.loads((run / "overmem" / "manifest.json").read_text())["config"]["val"], **FAST
    )
    found = overmem.repair(run, **FEW)
    assert found.before == "checkpoint-40" and not found.proof.accepted and found.model is None
    assert found.proof.number == 2 and found.words[1].endswith("--confirm FILE")
    assert not (run / "overmem" / "repaired").exists()


def test_a_report_leaves_out_a_repair_of_another_audit(barely, tmp_path):
    run = copy_of(barely[0], tmp_path)
    page = overmem.report(run).read_text()
    assert "Model to ship" in page and "Repaired model" in page
    val = json.loads((run / "overmem" / "manifest.json").read_text())["config"]["val"]
    overmem.audit(run, val=f"{val}[:40]", **FAST)
    overmem.diagnose(run)
    page = overmem.report(run).read_text()
    assert "Model to ship" not in page and "Repaired model" not in page


def test_checkpoints_that_were_trained_again_are_refused(run):
    shutil.copy(run / "checkpoint-10" / "model.safetensors", run / "checkpoint-30" / "model.safetensors")
    with pytest.raises(RunError, match="checkpoint-30"):
        overmem.repair(run, **CORE)


@pytest.mark.exhaustive
def test_an_output_that_appears_meanwhile_costs_nothing(run, tmp_path):
    out = tmp_path / "out"

    def appear(model, work, done, total):
        if work == "score val":
            out.mkdir(exist_ok=True)

    with pytest.raises(MergeError, match="exists"):
        overmem.repair(run, out=out, **FEW, progress=appear)
    assert any((run / "overmem" / "repair" / "models").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(MergeError, match="cannot be a folder"):
        overmem.repair(run, out=tmp_path / "file" / "x", **CORE)


def test_the_json_of_plan_and_repair(barely, tmp_path, capsys, monkeypatch):
    run = copy_of(barely[0], tmp_path)
    said = {}
    for plan in (["--plan"], []):
        options = ["--axes", "likelihood,accuracy", "--accuracy-margin", "0.2", "--few", "1", "--json", *plan]
        monkeypatch.setattr("sys.argv", ["overmem", "repair", str(run), *options])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 0
        said[bool(plan)] = json.loads(capsys.readouterr().out)
    assert said[True]["before"] == said[False]["before"] and said[True]["merges"] >= 5
    assert said[False]["schema"] == "overmem.repair/1"


@pytest.mark.parametrize(
    ("dora", "written"),
    [(False, "adapter_model"), pytest.param(True, "model", marks=pytest.mark.exhaustive)],
)
def test_adapters_are_repaired_end_to_end(tmp_path, tokenizer, noisy_run, dora, written):
    """Adapters plus and minus the same update: their mean is the base model, or with DoRA's norms near it."""
    from peft import LoraConfig, get_peft_model

    base = tmp_path / "base"
    good = AutoModelForCausalLM.from_pretrained(ORGANISM, dtype=torch.float32)
    good.save_pretrained(base)
    tokenizer.save_pretrained(base)
    run = tmp_path / "run"
    for step, sign in ((10, 1.0), (20, -1.0), (30, 1.3)):
        torch.manual_seed(0)
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(base),
            LoraConfig(r=2, target_modules=["q_proj", "up_proj"], use_dora=dora),
        )
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.data = sign * 0.1 * torch.randn_like(value)
        model.save_pretrained(run / f"checkpoint-{step}")
        (run / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    overmem.audit(run, val=str(noisy_run.parent / "val.jsonl"), **FAST)
    found = overmem.repair(run, **CORE)
    assert found.proof.accepted, found.words
    assert (found.model / f"{written}.safetensors").is_file()
    winner = next(a for a in found.attempts if a.name == found.winner)
    assert set(winner.checkpoints) == {"checkpoint-10", "checkpoint-20"} and winner.weights == (0.5, 0.5)
