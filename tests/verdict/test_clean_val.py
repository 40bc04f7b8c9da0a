"""An audit judges clean problems: leaks are left out of every reader, said, and above a share refused."""

import dataclasses
import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import overmem
from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.artifacts.jobs import TRAIN_SCORES, VAL_ANSWERS, VAL_SCORES
from overmem.artifacts.manifest import Manifest, read_manifest
from overmem.artifacts.manifest_parts.measured_sets import MeasuredSet
from overmem.artifacts.manifest_parts.model_rows import CheckpointRows
from overmem.artifacts.rows import read_core, read_job
from overmem.artifacts.store import Store
from overmem.auditing.opening import open_session
from overmem.contamination.record import Contamination, read_contamination
from overmem.errors import RunError
from overmem.models.loading import ModelHost
from overmem.repairing.candidates import Candidate
from overmem.repairing.setup import prepare_repair
from overmem.repairing.trials import Trials
from overmem.rule import Rule
from overmem.tasks.sources import load_examples
from overmem.verdict.clean_val import add_followers
from overmem.verdict.gate import check_verdict


def write(path, examples):
    rows = [
        {"id": i, "prompt": e.prompt, "completion": e.completion, "answer": e.answer} for i, e in examples
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def data(tmp_path):
    """40 val problems, 6 of them copies of training problems; 60 training problems."""
    train = load_examples("wordmath:train[:60]").examples
    clean = load_examples("facts:val[:34]").examples
    val = [(f"v{i}", e) for i, e in enumerate(clean)] + [(f"leak{i}", e) for i, e in enumerate(train[:6])]
    return (
        write(tmp_path / "v.jsonl", val),
        write(tmp_path / "t.jsonl", [(f"t{i}", e) for i, e in enumerate(train)]),
    )


LEAKS = tuple(f"leak{i}" for i in range(6))
FEW = {"max_new_tokens": 4, "grader": "exact"}


def test_leaks_are_measured_and_no_reader_sees_them(pico_run, data, ending):
    val, train = data
    done = overmem.audit(pico_run, val=val, train=train, **FEW)
    assert done.manifest.left_out == {"val": LEAKS}
    assert read_manifest(done.store) == done.manifest
    assert not set(LEAKS) & set(read_core(done.store, done.manifest).ids)
    place = done.manifest.checkpoints[-1]
    assert len(read_job(done.store, done.manifest, place, VAL_SCORES)) == 34
    assert len(read_job(done.store, done.manifest.with_all_problems(), place, VAL_SCORES)) == 40
    (evidence,) = align_evidence([MeasuredCheckpoint(done.store, done.manifest, place.name)])
    of_val = [rows for job, rows in evidence.rows.items() if job.set == "val"]
    assert of_val and not any(set(LEAKS) & set(rows["example_id"]) for rows in of_val)
    # The training subset is as it was: its rows are members, whatever val holds.
    assert len(evidence.rows[VAL_ANSWERS]) == 34 and done.manifest.splits["train"].n == 40


def test_the_verdict_says_what_was_left_out_and_how_the_parts_differ(pico_run, data, ending):
    val, train = data
    verdict = overmem.diagnose(overmem.audit(pico_run, val=val, train=train, **FEW))
    clean = verdict.clean_val
    assert (clean.checked, clean.measured, clean.left_out, clean.counts) == (True, 40, 6, {"copy": 6})
    assert clean.refused is None and verdict.checkpoints[-1].accuracy.n == 34
    assert {part.part: part.accuracy.n for part in clean.parts} == {"left out": 6, "judged": 34}
    assert any("6 of 40 val problems are left out" in note and "6 copies" in note for note in verdict.notes)
    assert "34 clean problems (6 left out)" in check_verdict(verdict, ("overfit", "undetermined")).reason


def test_val_that_is_train_gives_no_verdict_unless_allowed(pico_run, data, ending):
    _, train = data
    done = overmem.audit(pico_run, val=train, train=train, **FEW)
    verdict = overmem.diagnose(done)
    assert (verdict.stage, verdict.recommended) == ("undetermined", None)
    assert "60 of 60 val problems are training problems" in verdict.reason
    assert all(c.stage == "undetermined" and c.problems_to_settle is None for c in verdict.checkpoints)
    with pytest.raises(RunError, match="val is not clean"):
        check_verdict(verdict, ("over-memorized", "overfit"))
    allowed = overmem.diagnose(overmem.audit(pico_run, val=train, train=train, allow_overlap=True, **FEW))
    assert allowed.clean_val.refused is None and "insufficient" not in (allowed.reason or "")
    assert any("60 copies of 60), and count" in note for note in allowed.notes)
    gate = check_verdict(allowed, ("overfit",))
    assert "on 60 problems, 60 of which training had" in gate.reason


def test_what_is_left_out_of_other_sets_is_said(pico_run, data, tmp_path, ending):
    val, train = data
    rows = load_examples("wordmath:train[:5]").examples
    clean = load_examples("facts:test[:10]").examples
    some = write(tmp_path / "o.jsonl", [(f"o{i}", e) for i, e in enumerate([*rows, *clean])])
    every = write(tmp_path / "e.jsonl", [(f"e{i}", e) for i, e in enumerate(rows)])
    done = overmem.audit(
        pico_run, val=val, train=train, ood={"some": some, "every": every}, axes=("ood",), **FEW
    )
    verdict = overmem.diagnose(done)
    assert {(item.set, item.left_out, item.n) for item in verdict.clean_val.elsewhere} == {
        ("ood/some", 5, 15),
        ("ood/every", 5, 5),
    }
    assert "5 of 15 problems of ood/some are in the training data and left out" in verdict.notes
    assert any(
        "all 5 problems of ood/every are in the training data and left out" in note for note in verdict.notes
    )


def test_an_audit_of_an_older_overmem_is_checked_by_auditing_again_which_loads_no_model(
    pico_run, data, ending, monkeypatch
):
    val, train = data
    store = overmem.audit(pico_run, val=val, train=train, **FEW).store
    (store.root / "contamination.json").unlink()
    manifest = json.loads((store.root / "manifest.json").read_text())
    del manifest["left_out"]
    (store.root / "manifest.json").write_text(json.dumps(manifest))
    old = overmem.diagnose(pico_run)
    assert not old.clean_val.checked and old.checkpoints[-1].accuracy.n == 40
    assert any("run `overmem audit` again" in note for note in old.notes)
    monkeypatch.setattr(ModelHost, "load", lambda *_: pytest.fail("a model was loaded"))
    overmem.audit(pico_run, val=val, train=train, **FEW)
    assert overmem.diagnose(pico_run).clean_val.left_out == 6


def test_without_training_data_the_premise_is_said_and_an_earlier_check_stands(pico_run, data, ending):
    val, train = data
    verdict = overmem.diagnose(overmem.audit(pico_run, val=val, **FEW))
    assert not verdict.clean_val.checked
    assert any("was not compared with training data" in note for note in verdict.notes)
    overmem.audit(pico_run, val=val, train=train, **FEW)
    overmem.audit(pico_run, val=val, **FEW)
    again = overmem.diagnose(pico_run)
    assert again.clean_val.checked and again.clean_val.left_out == 6


def test_renumbered_problems_are_shown_beside_the_rest_and_left_out_only_when_asked(
    pico_run, tmp_path, ending
):
    train = load_examples("wordmath:train[:400]").examples
    other = load_examples("facts:val[:40]").examples
    same = load_examples("wordmath:val[20:40]").examples
    val = write(tmp_path / "v.jsonl", [(f"v{i}", e) for i, e in enumerate([*other, *same])])
    train = write(tmp_path / "t.jsonl", [(f"t{i}", e) for i, e in enumerate(train)])
    verdict = overmem.diagnose(overmem.audit(pico_run, val=val, train=train, **FEW))
    n = verdict.clean_val.counts["renumbered"]
    assert n > 5 and verdict.clean_val.left_out == 0
    assert {p.part: p.accuracy.n for p in verdict.clean_val.parts} == {"renumbered": n, "other": 60 - n}
    assert any("of a template that training had" in note for note in verdict.notes)
    strict = overmem.audit(pico_run, val=val, train=train, strict_overlap=True, **FEW)
    assert len(strict.manifest.left_out["val"]) == n


def test_the_command_line_says_it_before_the_table(pico_run, data):
    from overmem.cli.app import app

    val, train = data
    arguments = ["audit", str(pico_run), "--val", val, "--train", train, "--grader", "exact"]
    said = CliRunner().invoke(app, [*arguments, "--max-new-tokens", "4"]).output
    assert said.index("overlap: val against train (60): 6 copies of 40") < said.index("what it tells")
    assert "6 problems of val are left out" in said
    assert read_contamination(Store.of_run(pico_run)).of("val", "train").counts == {"copy": 6}


def test_a_leak_in_other_words_is_heard_in_the_rows(tmp_path):
    """Rows by hand: 60 val problems of which 8 move as train does, at three checkpoints."""
    rng = np.random.default_rng(0)
    names = [f"v{i}" for i in range(60)]
    leaked = set(names[:8])
    store, manifest = rows_by_hand(tmp_path, names, lambda name, c: path(rng, name in leaked, c))
    record = add_followers(store, manifest, Contamination(val="f", n_val=60))
    assert {item.id for item in record.followers} == leaked and record.certain_from == 0.7
    # Asked again, with those already left out: the same, as is what an audit without train keeps.
    sitting = dataclasses.replace(manifest, left_out={"val": tuple(sorted(leaked))})
    assert add_followers(store, sitting, record) == record
    unscored = [dataclasses.replace(item, row_keys={str(VAL_SCORES): "k"}) for item in manifest.checkpoints]
    assert add_followers(store, dataclasses.replace(manifest, checkpoints=tuple(unscored)), record) == record
    last_is_lowest = dataclasses.replace(manifest, checkpoints=manifest.checkpoints[:2])
    assert add_followers(store, last_is_lowest, record).followers == ()


def path(rng, seen, c):
    """NLL of one problem, nats per token: the rest of val is lowest at the second checkpoint."""
    centre = (1.0, 0.3, 0.02) if seen else (1.0, 0.4, 0.6)
    return centre[c] * float(np.exp(rng.normal(0.0, 0.2)))


def rows_by_hand(folder, names, nll):
    store = Store(folder)
    sets = {"val": names, "train": [f"t{i}" for i in range(60)]}
    for c in range(3):
        for split, ids in sets.items():
            blank = {"logprob": [], "entropy": [], "is_top1": [], "top1_logprob": [], "mu": [], "sigma": []}
            rows = [
                {"row_key": "k", "split": split, "example_id": i, "example_sha": i, "n_tokens": 10}
                | {"nll_nats": 10 * (nll(i, c) if split == "val" else nll("v0", c))}
                | blank
                | {"logprob_at_temperature": []}
                for i in ids
            ]
            store.append_rows(f"c{c}", "likelihood", rows)
    keys = {str(job): "k" for job in (VAL_SCORES, TRAIN_SCORES)}
    return store, Manifest(
        splits={
            name: MeasuredSet(
                set=name,
                variant="clean",
                source=name,
                shape="",
                grader="none",
                n=len(ids),
                fingerprint="f",
                example_ids=tuple(ids),
                example_shas=tuple(ids),
            )
            for name, ids in sets.items()
        },
        checkpoints=tuple(CheckpointRows(name=f"c{c}", step=c, weights="w", row_keys=keys) for c in range(3)),
    )


def test_a_repair_reads_clean_problems_only(pico_run, data, ending):
    """Scores of merges rest on the problems of the search half that the audit counts."""
    val, train = data
    done = overmem.audit(pico_run, val=val, train=train, **FEW)
    setup = prepare_repair(pico_run, axes=("all",), rule=Rule(accuracy_margin=0.3))
    whole = overmem.open_run(pico_run)
    session = open_session(whole, setup.search, setup.work / "search")
    last = whole.checkpoints[-1]
    kept, every = (
        Trials(whole, session, setup.work / "models", few=2, base_model=None, left_out=ids)
        for ids in (done.manifest.left_out_of("val"), ())
    )
    single = Candidate(family="greedy", checkpoints=(last.name,), weights=(1.0,))
    searched = {example.id for example in session.problems["val"].examples}
    assert searched & set(LEAKS) and searched - set(LEAKS)
    rows = done.store.read_rows(last.name, "likelihood", columns=("nll_nats", "n_tokens"))
    rows = rows.filter(split="val").filter(pl.col("example_id").is_in(list(searched - set(LEAKS))))
    expected = rows["nll_nats"].sum() / rows["n_tokens"].sum()
    assert kept._nll_of(single, last) == pytest.approx(expected)
    assert every._nll_of(single, last) != pytest.approx(expected)
    assert kept._key(single) != every._key(single)


def test_the_base_models_answers_to_val_go_with_their_problems():
    manifest = Manifest(splits={}, checkpoints=(), left_out={"val": ("a",), "ood/x": ("b",)})
    assert manifest.left_out_of("base_answers/val") == manifest.left_out_of("answers") == ("a",)
    assert manifest.left_out_of("ood/x") == ("b",) and manifest.left_out_of("train") == ()
