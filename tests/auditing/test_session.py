"""Every axis end to end on pico models: planned, measured, resumed, compared, and bad input refused.

Covers: overmem.artifacts.jobs, overmem.artifacts.rows,
overmem.axes.accuracy, overmem.axes.axis,
overmem.axes.likelihood, overmem.verdict.costs,
overmem.verdict.seeds
"""

import json
import math
from pathlib import Path

import pytest

import overmem
from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.artifacts.jobs import Job
from overmem.artifacts.store import Store
from overmem.auditing import run as auditing
from overmem.auditing.jobs import compute_rows as work
from overmem.auditing.options import AuditOptions
from overmem.auditing.planning.timing import make_timed_plan
from overmem.auditing.resolve import resolve_options
from overmem.axes import all_axes
from overmem.errors import DataError, RunError
from overmem.verdict.compare import compare
from overmem.verdict.seeds import diagnose_seeds
from tests.conftest import make_pico, save_checkpoint
from tests.helpers.val_files import QUICK, with_added_tokens, write_files


@pytest.fixture
def files(tmp_path):
    return write_files(tmp_path)


def run_all(run, files, **options):
    settings = {"val": files["val"], "train": files["train"], "ood": {"far": files["ood"]}}
    return overmem.audit(run, **settings, **(QUICK | options))


def test_all_axes_are_measured_and_the_verdict_says_what_they_cost(pico_run, files, tokenizer):
    save_checkpoint(pico_run / "checkpoint-0", make_pico(tokenizer, seed=1), tokenizer, 0)
    done = run_all(pico_run, files, checkpoints="all")
    verdict = overmem.diagnose(done)
    measured = {cost.axis for cost in verdict.costs}
    assert measured == set(all_axes()) - {"likelihood", "accuracy"}
    for cost in verdict.costs:
        assert cost.difference.n > 0 or cost.difference.reason
        finite = math.isfinite(cost.difference.value)
        assert finite or cost.difference.reason
        if finite:
            assert cost.difference.value == pytest.approx(cost.value - cost.reference_value, abs=1e-9)
    # The base model's loss is that of checkpoint-0, which nothing has to compute again.
    assert done.manifest.base.name == "checkpoint-0"
    assert {c.measure for c in verdict.costs if c.axis == "privacy"} >= {"auroc_base", "auroc_loss"}
    assert {c.measure for c in verdict.costs if c.axis == "robustness"} >= {"accuracy_drop_rename"}
    record = json.loads((pico_run / "overmem" / "verdict.json").read_text())
    assert len(record["costs"]) == len(verdict.costs)
    overmem.report(pico_run)
    assert "auroc base" in (pico_run / "overmem" / "report.html").read_text()


def test_costly_axes_are_measured_where_the_verdict_compares(pico_run, files):
    done = run_all(pico_run, files)
    sampled = {c.name: "sample val" in c.row_keys for c in done.manifest.checkpoints}
    assert sampled["checkpoint-100"]
    rows = [len(Store.of_run(pico_run).read_rows(n, "continuations")) > 0 for n in sampled]
    assert rows == list(sampled.values())


def test_axes_are_added_one_at_a_time_and_nothing_is_computed_twice(pico_run, files, monkeypatch):
    settings = {k: v for k, v in QUICK.items() if k != "axes"} | {
        "val": files["val"],
        "train": files["train"],
    }
    overmem.audit(pico_run, axes=("likelihood", "accuracy"), **settings)
    calls = []
    for kind, do in list(work.WORK.items()):
        monkeypatch.setitem(work.WORK, kind, lambda *a, _k=kind, _do=do: calls.append(_k) or _do(*a))
    overmem.audit(pico_run, axes=("likelihood", "accuracy", "diversity"), **settings)
    assert set(calls) == {"sample"}
    calls.clear()
    # An axis alone keeps what was measured before in the manifest.
    done = overmem.audit(pico_run, axes=("recall",), **settings)
    assert set(calls) == {"continue"}
    last = done.manifest.checkpoints[-1].row_keys
    assert {"score val", "greedy val", "sample val", "continue train"} <= set(last)
    calls.clear()
    overmem.audit(pico_run, axes=("recall", "diversity"), **settings)
    assert calls == []
    assert {c.axis for c in overmem.diagnose(pico_run).costs} >= {"diversity", "recall"}


def test_an_interrupted_axis_keeps_its_rows_and_goes_on(pico_run, files, monkeypatch):
    settings = QUICK | {
        "axes": ("likelihood", "accuracy", "diversity"),
        "val": files["val"],
        "batch_tokens": 400,
    }
    original, made = work.WORK["sample"], []

    def breaks(*arguments):
        if len(made) == 3:
            raise KeyboardInterrupt
        rows = original(*arguments)
        made.append(len(rows))
        return rows

    monkeypatch.setitem(work.WORK, "sample", breaks)
    with pytest.raises(KeyboardInterrupt):
        overmem.audit(pico_run, **settings)
    kept = sum(made)
    monkeypatch.setitem(work.WORK, "sample", lambda *a: made.append(len(a[2])) or original(*a))
    done = overmem.audit(pico_run, checkpoints="all", **settings)
    assert sum(made) == 3 * 36
    assert kept > 0
    undisturbed = overmem.audit(pico_run, out=pico_run / "again", checkpoints="all", **settings)
    for checkpoint in ("checkpoint-10", "checkpoint-100"):
        one, two = (
            audit.store.read_rows(checkpoint, "generations").sort("temperature", "example_id", "sample")
            for audit in (done, undisturbed)
        )
        assert one.equals(two)


def test_a_budget_is_shared_and_what_was_cut_is_said(pico_run, files, monkeypatch):
    # One second a row of sampling, a thousandth for all else: the budget allows 20 to 36 problems.
    monkeypatch.setattr(
        auditing.Session, "seconds", lambda self, job, *_: 1.0 if job.kind == "sample" else 0.001
    )
    settings = QUICK | {"axes": ("likelihood", "accuracy", "diversity", "recall")}
    done = overmem.audit(pico_run, val=files["val"], train=files["train"], budget_minutes=75 / 60, **settings)
    cut = done.manifest.cut
    assert set(cut) == {"diversity"} and 20 <= cut["diversity"]["measured"] < 36
    notes = " ".join(overmem.diagnose(done).notes)
    assert f"diversity was measured on {cut['diversity']['measured']} of 36" in notes
    tight = overmem.audit(
        pico_run, val=files["val"], out=pico_run / "tight", budget_minutes=10 / 60, **settings
    )
    assert tight.manifest.cut["diversity"]["measured"] == 0
    assert "diversity was not measured" in " ".join(overmem.diagnose(tight).notes)


def test_limits_of_single_axes(pico_run, files):
    axes = ("likelihood", "accuracy", "diversity", "recall")
    run_all(pico_run, files, axes=axes, checkpoints="all", limit=12, limits={"diversity": 5})
    rows = Store.of_run(pico_run).read_rows("checkpoint-10", "generations")
    sampled = set(rows.filter(rows["temperature"] > 0)["example_id"])
    answered = set(
        rows.filter((rows["temperature"] == 0) & (rows["variant"] == "clean") & (rows["split"] == "val"))[
            "example_id"
        ]
    )
    assert len(sampled) == 5 and len(answered) == 12 and sampled < answered


def test_more_samples_keep_the_ones_that_are_there(pico_run, files):
    settings = QUICK | {"axes": ("diversity",), "val": files["val"], "limit": 4}
    store = overmem.audit(pico_run, **settings).store
    few = samples_of(store)
    overmem.audit(pico_run, **(settings | {"samples": 5}))
    many = samples_of(store)
    assert few.items() < many.items() and len(many) == 4 * 5


def samples_of(store):
    rows = store.read_rows("checkpoint-100", "generations").to_dicts()
    return {(r["example_id"], r["sample"]): r["text"] for r in rows if r["temperature"] > 0}


@pytest.mark.exhaustive
def test_samples_at_another_temperature_are_not_compared(pico_run, files):
    sampled = {"checkpoints": "all", "axes": ("likelihood", "accuracy", "diversity")}
    done = run_all(pico_run, files, **sampled)
    store, manifest = done.store, done.manifest
    places = [MeasuredCheckpoint(store, manifest, name) for name in ("checkpoint-10", "checkpoint-100")]
    assert Job("sample", "val") in align_evidence(places)[0].rows
    hot = run_all(pico_run, files, **sampled, temperature=1.5, samples=2, out=pico_run / "hot")
    other = [places[0], MeasuredCheckpoint(hot.store, hot.manifest, "checkpoint-100")]
    assert Job("sample", "val") not in align_evidence(other)[0].rows
    few = run_all(pico_run, files, **sampled, samples=2, out=pico_run / "few")
    shared = align_evidence([places[0], MeasuredCheckpoint(few.store, few.manifest, "checkpoint-100")])
    assert {len(item.rows[Job("sample", "val")]) for item in shared} == {2 * 36}


@pytest.mark.exhaustive
def test_a_stopped_core_keeps_the_axes_of_an_earlier_sitting(pico_run, files, monkeypatch):
    run_all(pico_run, files, checkpoints="all")
    original = auditing.Session.do

    def stops(self, job, checkpoint, *rest, **options):
        if checkpoint.name == "checkpoint-20" and job.kind == "greedy":
            raise KeyboardInterrupt
        return original(self, job, checkpoint, *rest, **options)

    monkeypatch.setattr(auditing.Session, "do", stops)
    core = {k: v for k, v in QUICK.items() if k != "axes"} | {"val": files["val"], "train": files["train"]}
    with pytest.raises(KeyboardInterrupt):
        overmem.audit(pico_run, **core)
    monkeypatch.setattr(auditing.Session, "do", original)
    done = overmem.audit(pico_run, **core)
    assert all("sample val" in c.row_keys for c in done.manifest.checkpoints)


def test_runs_are_compared_at_matched_accuracy(tmp_path, files, tokenizer):
    runs = []
    for name, seeds in (("a", (1, 2)), ("b", (3, 4))):
        for step, seed in zip((10, 20), seeds, strict=True):
            folder = tmp_path / name / f"checkpoint-{step}"
            save_checkpoint(folder, make_pico(tokenizer, seed=seed), tokenizer, step)
        runs.append(tmp_path / name)
        run_all(tmp_path / name, files, checkpoints="all", grader="regex:(zzz)")
    found = compare(runs[:1], runs[1:])
    assert found.matched is not None and found.probability == 1.0
    nll = next(c for c in found.differences if c.measure == "nll")
    assert nll.difference.value == pytest.approx(nll.value - nll.reference_value)
    assert nll.difference.low < nll.difference.value < nll.difference.high
    same = compare(runs[:1], runs[:1])
    assert all(c.difference.value == 0 or math.isnan(c.difference.value) for c in same.differences)
    back = compare(runs[1:], runs[:1])
    other = next(c for c in back.differences if c.measure == "nll")
    assert other.difference.value == pytest.approx(-nll.difference.value)
    # Two seeds a side: the interval has to allow for the seeds too.
    seeds = compare(runs, runs)
    assert seeds.matched is not None


def test_bad_input_is_refused_before_anything_is_measured(tmp_path, pico_run, files):
    with pytest.raises(RunError, match=r"unknown axis[\s\S]*robustnes[\s\S]*diversity"):
        overmem.audit(pico_run, val=files["val"], axes=("robustnes",))
    no_answers = tmp_path / "no_answers.jsonl"
    no_answers.write_text('{"prompt": "a", "completion": "b"}\n' * 3)
    with pytest.raises(DataError, match=r"OOD set `far` has no answers"):
        overmem.audit(pico_run, val=files["val"], ood={"far": str(no_answers)}, **QUICK)
    strangers = tmp_path / "mine.jsonl"
    strangers.write_text('{"id": "nobody", "prompt": "a", "completion": "b", "answer": "c"}\n')
    with pytest.raises(DataError, match="nobody"):
        overmem.audit(pico_run, val=files["val"], variants={"mine": str(strangers)}, **QUICK)
    plain = tmp_path / "plain.jsonl"
    plain.write_text(
        "".join(json.dumps({"prompt": f"q{i}", "completion": "b", "answer": "c"}) + "\n" for i in range(9))
    )
    fewer = {"mine": f"{plain}[:4]"}
    with pytest.raises(DataError, match=r"cannot be paired[\s\S]*4 rows without `id`, and 9 of val"):
        overmem.audit(pico_run, val=str(plain), variants=fewer, **QUICK)
    with pytest.raises(RunError, match="not measured"):
        overmem.audit(pico_run, val=files["val"], limits={"recall": 3})
    with pytest.raises(RunError, match="samples must be at least 2"):
        overmem.audit(pico_run, val=files["val"], **(QUICK | {"samples": 1}))
    assert not (pico_run / "overmem" / "manifest.json").exists()


@pytest.mark.exhaustive
def test_a_users_own_variant_is_paired(tmp_path, pico_run, files):
    rows = [json.loads(line) for line in Path(files["val"]).read_text().splitlines()[:20]]
    mine = tmp_path / "mine.jsonl"
    mine.write_text(
        "".join(json.dumps(r | {"prompt": "Well. " + r["prompt"]}) + "\n" for r in reversed(rows))
    )
    done = run_all(pico_run, files, variants={"mine": str(mine)})
    assert done.manifest.splits["val mine"].n == 20
    measures = {c.measure for c in overmem.diagnose(done).costs}
    assert "accuracy_drop_mine" in measures and "accuracy_drop_typo" not in measures


def test_checkpoints_can_be_named(pico_run, files):
    done = run_all(pico_run, files, checkpoints="checkpoint-20")
    sampled = [c.name for c in done.manifest.checkpoints if "sample val" in c.row_keys]
    assert sampled == ["checkpoint-20"]
    with pytest.raises(RunError, match=r"checkpoint-7[\s\S]*checkpoint-20"):
        run_all(pico_run, files, checkpoints=["checkpoint-20", "checkpoint-7"])


def test_what_cannot_be_measured_is_said_in_the_plan(pico_run, files):
    run = overmem.open_run(pico_run)
    config = resolve_options(run, AuditOptions(val=files["val"], **QUICK))
    session = auditing.open_session(run, config)
    plan = {item.axis: item for item in make_timed_plan(session, {}).axes}
    assert "--train" in plan["privacy"].why_not and "--ood" in plan["ood"].why_not
    assert plan["diversity"].seconds > 0


def test_accuracy_near_the_floor_is_said(pico_run, files):
    done = overmem.audit(pico_run, val=files["val"], max_new_tokens=6, grader="regex:(zzz)")
    for verdict in (overmem.diagnose(done), diagnose_seeds([pico_run, pico_run])):
        said = "3 points of the 13.9% that one answer for all problems"
        assert any(said in note for note in verdict.notes)


@pytest.mark.exhaustive
def test_a_reference_without_the_other_axes_is_named_and_not_compared(pico_run, files):
    verdict = overmem.diagnose(run_all(pico_run, files, checkpoints="checkpoint-100"))
    assert verdict.costs == ()
    lowest = verdict.alternatives["lowest_perplexity"]
    assert any(f"not all measured at {lowest}" in note for note in verdict.notes)


def test_problems_are_checked_against_every_model(tmp_path, files, tokenizer):
    grown = with_added_tokens(files, tokenizer)
    for step, vocabulary in ((10, grown), (20, tokenizer)):
        model = make_pico(vocabulary, seed=step)
        save_checkpoint(tmp_path / "run" / f"checkpoint-{step}", model, grown, step)
    with pytest.raises(DataError, match="does not belong to this model"):
        overmem.audit(tmp_path / "run", val=files["val"], train=files["train"], grader="none")


def test_how_many_problems_were_measured_is_kept_beside_how_many_there_are(pico_run, files):
    given = {"val": files["val"], "grader": "none", "axes": ("likelihood",)}
    few = overmem.audit(pico_run, **given, limit=3).manifest.val
    assert few.measured == 3 < few.n
    more = overmem.audit(pico_run, **given, limit=4).manifest.val
    assert more.measured == 4
    # What an earlier sitting measured stays measured.
    assert overmem.audit(pico_run, **given, limit=2).manifest.val.measured == 4
