"""A repair end to end: a merge known to be better is found, proved and written; others are refused."""

import json
import re
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

import overmem
from overmem.cli.main import main
from overmem.errors import MergeError, RunError
from overmem.tasks.template import Template
from overmem.training.load import ORGANISM
from tests.conftest import save_checkpoint

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


def write_own_words(path, model, tokenizer, source):
    """Problems whose solutions are what the organism itself writes."""
    rows = []
    for example in overmem.load_examples(source).examples:
        ids = tokenizer(example.prompt, return_tensors="pt").input_ids
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=OWN_WORDS, do_sample=False
        )
        text = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
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


@pytest.fixture
def run(noisy_run, tmp_path):
    """A copy whose artifacts may change."""
    copy = tmp_path / "run"
    shutil.copytree(noisy_run, copy)
    return copy


def test_the_mean_that_takes_the_noise_out_is_found_proved_and_written(run):
    found = overmem.repair(run, axes=AXES)
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


def test_search_and_proof_rest_on_different_problems(run, noisy_run):
    overmem.repair(run, axes=AXES)
    ids = {}
    for half in ("search", "confirm"):
        manifest = json.loads((run / "overmem" / "repair" / half / "manifest.json").read_text())
        ids[half] = set(manifest["splits"]["val"]["example_ids"])
    every = {json.loads(line)["id"] for line in (noisy_run.parent / "val.jsonl").read_text().splitlines()}
    assert not ids["search"] & ids["confirm"] and ids["search"] | ids["confirm"] == every


def test_a_killed_repair_goes_on_and_ends_the_same(run):
    whole = overmem.repair(run, axes=AXES).to_dict()
    for name in ("repair", "repaired"):
        shutil.rmtree(run / "overmem" / name)
    scored = []

    def kill_at(calls):
        def progress(model, work, done, total):
            scored.append((model, work, done))
            if len(scored) == calls:
                raise KeyboardInterrupt

        return progress

    for calls in (5, 12, 30):
        scored.clear()
        with pytest.raises(KeyboardInterrupt):
            overmem.repair(run, axes=AXES, progress=kill_at(calls))
        assert not (run / "overmem" / "repaired").exists()
    assert overmem.repair(run, axes=AXES).to_dict() == whole


def test_problems_of_its_own_for_the_proof(run, noisy_run):
    test = noisy_run.parent / "test.jsonl[:30]"
    found = overmem.repair(run, confirm=str(test), axes=("likelihood", "accuracy"))
    assert found.n_search > 50 and found.n_confirm == 30


def test_a_chosen_checkpoint_is_the_one_to_beat_and_the_last_is_not_compared_twice(run):
    found = overmem.repair(run, before="checkpoint-30", axes=("likelihood", "accuracy"), few=1)
    assert found.before == found.last == "checkpoint-30" and found.against_last == ()


def test_a_plan_writes_nothing_but_says_what_it_will_do(run, capsys, monkeypatch):
    before = sorted(path for path in run.rglob("*") if "verdict" not in path.name)
    monkeypatch.setattr("sys.argv", ["overmem", "repair", str(run), "--plan", "--axes", "accuracy"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "To beat: checkpoint-" in said and "look closely" in said
    assert sorted(path for path in run.rglob("*") if "verdict" not in path.name) == before


def test_a_budget_leaves_merges_out_and_says_so(run):
    found = overmem.repair(run, axes=("likelihood", "accuracy"), budget_minutes=0.002)
    assert any("not tried, for the budget" in note for note in found.notes)
    assert found.proof is not None


def test_an_output_that_exists_is_refused_before_any_work(run, tmp_path):
    with pytest.raises(MergeError, match="exists"):
        overmem.repair(run, out=tmp_path)
    assert not (run / "overmem" / "repair").exists()


def test_bad_input_is_one_message(run, tmp_path):
    with pytest.raises(RunError, match="no such checkpoint"):
        overmem.repair(run, before="checkpoint-7")
    with pytest.raises(RunError, match="budget"):
        overmem.repair(run, budget_minutes=0)
    overmem.audit(run, val="wordmath:val[:12]", **FAST)
    with pytest.raises(RunError, match="too few problems"):
        overmem.repair(run)


def test_a_run_that_was_never_audited_is_told_to(pico_run, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["overmem", "repair", str(pico_run)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "overmem audit" in capsys.readouterr().err
