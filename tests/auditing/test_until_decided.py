"""`audit --until-decided`: rounds over growing prefixes, what is skipped, and that nothing is lost."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

import overmem
from overmem.artifacts.rows import subset
from overmem.artifacts.store import Store
from overmem.auditing import until_decided
from overmem.auditing.opening import open_session
from overmem.auditing.options import AuditOptions
from overmem.auditing.planning.timing import make_timed_plan
from overmem.auditing.resolve import resolve_options
from overmem.checkpoints import open_run
from overmem.cli.app import app
from overmem.errors import DataError, RunError
from overmem.models.loading import ModelHost
from overmem.reporting import provenance
from overmem.verdict import sequential
from overmem.verdict.sequential import Look
from tests.conftest import VAL_ROWS

CHECKPOINTS = ("checkpoint-10", "checkpoint-20", "checkpoint-100")
IDS = [row["id"] for row in VAL_ROWS]


@pytest.fixture(autouse=True)
def small_looks(monkeypatch):
    """Looks after 4, 6, 8, 11 and 12 of the 12 problems."""
    torch.set_num_threads(1)
    monkeypatch.setattr(sequential, "FIRST_LOOK", 4)
    monkeypatch.setattr("overmem.auditing.planning.plan.FIRST_LOOK", 4)


@pytest.fixture
def looks(monkeypatch):
    """Decide after `looks.at` problems; note what each look was shown."""

    class Looks(list):
        at = 8
        group = ()

    seen = Looks()

    def look_at(steps_C, correct_C_N, nll_nats_C_N, n_tokens_N, *, n_all, rule, group=None):
        n = correct_C_N.shape[1]
        seen.append((n, sorted(n_tokens_N.tolist())))
        seen.group = group
        return Look(n=n, n_all=n_all, stages=("fit",) * 3, chance_of_change=0.01 if n >= seen.at else 0.4)

    monkeypatch.setattr(until_decided, "look_at", look_at)
    return seen


def audit(run, **options):
    return overmem.audit(run, **({"max_new_tokens": 8} | options))


def rows_of(root, checkpoint, rows="generations"):
    return Store(root).read_rows(checkpoint, rows).sort("split", "example_id")


def assert_same_rows(root, expected):
    """Same problems, same answers, and likelihoods that differ by the rounding of other batches at most."""
    for checkpoint in CHECKPOINTS:
        ours, theirs = rows_of(root, checkpoint), rows_of(expected, checkpoint)
        assert ours.drop("mean_logprob").equals(theirs.drop("mean_logprob"))
        assert ours["mean_logprob"].to_list() == pytest.approx(theirs["mean_logprob"].to_list(), rel=1e-5)
        ours, theirs = (rows_of(place, checkpoint, "likelihood") for place in (root, expected))
        same = ["row_key", "split", "example_id", "example_sha", "n_tokens", "is_top1"]
        assert ours.select(same).equals(theirs.select(same))
        assert ours["nll_nats"].to_list() == pytest.approx(theirs["nll_nats"].to_list(), rel=1e-5)


def test_subsets_of_growing_size_are_nested_and_random():
    kept = [set(subset(IDS, n, seed=0)) for n in range(1, 13)]
    assert [len(item) for item in kept] == list(range(1, 13))
    assert all(small < large for small, large in itertools.pairwise(kept))
    assert subset(IDS, 4, seed=0) != subset(IDS, 4, seed=1)


def test_it_stops_when_decided_and_says_what_it_skipped(pico_run, val_file, looks):
    done = audit(pico_run, val=str(val_file), train=str(val_file), until_decided=True, group="prompt")
    assert [n for n, _ in looks] == [4, 6, 8]
    assert len(looks.group) == 8 and len(set(looks.group)) == 3
    first = {IDS[i] for i in subset(IDS, 8, seed=0)}
    for checkpoint in CHECKPOINTS:
        assert set(rows_of(pico_run / "overmem", checkpoint)["example_id"]) == first
        likelihood = rows_of(pico_run / "overmem", checkpoint, "likelihood")
        assert likelihood.group_by("split").len().sort("split").rows() == [("train", 8), ("val", 8)]
    assert done.manifest.until_decided == {
        "decided": True,
        "problems": 8,
        "of": 12,
        "most_chance": 0.05,
        "looks": [
            {"problems": 4, "chance_of_change": 0.4},
            {"problems": 6, "chance_of_change": 0.4},
            {"problems": 8, "chance_of_change": 0.01},
        ],
    }
    assert done.manifest.pending == ()
    notes = " ".join(overmem.diagnose(done).notes)
    assert "decided after 8 of 12 problems: the other 4 were skipped, which saved 33% of the answers" in notes
    assert "to finish" not in notes
    assert "--until-decided" in provenance.audit_command(done.manifest, "run")


def test_it_is_the_audit_of_the_first_problems(pico_run, val_file, looks, tmp_path):
    audit(pico_run, val=str(val_file), until_decided=True)
    audit(pico_run, val=str(val_file), limit=8, out=tmp_path / "limited")
    assert_same_rows(pico_run / "overmem", tmp_path / "limited")


@pytest.mark.exhaustive
def test_without_the_option_the_rest_is_added(pico_run, val_file, looks, tmp_path):
    audit(pico_run, val=str(val_file), until_decided=True)
    before = rows_of(pico_run / "overmem", "checkpoint-20")
    done = audit(pico_run, val=str(val_file))
    assert done.manifest.until_decided is None
    audit(pico_run, val=str(val_file), out=tmp_path / "whole")
    assert_same_rows(pico_run / "overmem", tmp_path / "whole")
    after = rows_of(pico_run / "overmem", "checkpoint-20")
    assert set(before.rows()) < set(after.rows()) and len(after) == 12
    assert not any("skipped" in note for note in overmem.diagnose(done).notes)


def test_a_run_that_is_not_decided_is_measured_whole(pico_run, val_file, looks):
    looks.at = math.inf
    done = audit(pico_run, val=str(val_file), until_decided=True)
    assert [n for n, _ in looks] == [4, 6, 8, 11]
    assert len(rows_of(pico_run / "overmem", "checkpoint-10")) == 12
    assert not done.manifest.until_decided["decided"]
    assert not any("skipped" in note for note in overmem.diagnose(done).notes)


@pytest.mark.exhaustive
def test_a_random_model_solves_nothing_and_is_measured_whole(pico_run, val_file):
    done = audit(pico_run, val=str(val_file), until_decided=True)
    assert [look["chance_of_change"] for look in done.manifest.until_decided["looks"]] == [None] * 4
    assert len(rows_of(pico_run / "overmem", "checkpoint-100")) == 12


def test_a_stopped_one_goes_on_where_it_was(pico_run, val_file, looks, monkeypatch, tmp_path):
    original, loads = ModelHost.load, []

    def stop_in_the_second_round(host, checkpoint):
        loads.append(checkpoint.name)
        if len(loads) == 5:
            raise KeyboardInterrupt
        return original(host, checkpoint)

    monkeypatch.setattr(ModelHost, "load", stop_in_the_second_round)
    with pytest.raises(KeyboardInterrupt):
        audit(pico_run, val=str(val_file), until_decided=True)
    notes = " ".join(overmem.diagnose(pico_run).notes)
    assert "only 4 of 12 problems were measured at every checkpoint" in notes
    monkeypatch.setattr(ModelHost, "load", original)
    del looks[:]
    done = audit(pico_run, val=str(val_file), until_decided=True)
    resumed = list(looks)
    assert [n for n, _ in resumed] == [4, 6, 8]
    del looks[:]
    audit(pico_run, val=str(val_file), until_decided=True, out=tmp_path / "undisturbed")
    assert looks == resumed
    assert_same_rows(done.store.root, tmp_path / "undisturbed")


def test_what_is_there_is_looked_at_first_and_nothing_is_computed_twice(
    pico_run, val_file, looks, monkeypatch
):
    audit(pico_run, val=str(val_file), limit=8)
    monkeypatch.setattr(ModelHost, "load", lambda *_: pytest.fail("a model was loaded"))
    done = audit(pico_run, val=str(val_file), until_decided=True)
    assert [n for n, _ in looks] == [8]
    assert done.manifest.until_decided["problems"] == 8


def test_after_a_whole_audit_nothing_is_skipped(pico_run, val_file, looks):
    audit(pico_run, val=str(val_file))
    done = audit(pico_run, val=str(val_file), until_decided=True)
    assert looks == [] and not done.manifest.until_decided["decided"]


def test_a_limit_is_all_there_is(pico_run, val_file, looks):
    looks.at = 6
    done = audit(pico_run, val=str(val_file), until_decided=True, limit=8)
    assert (done.manifest.until_decided["problems"], done.manifest.until_decided["of"]) == (6, 8)


def test_other_axes_follow_on_their_own_limits(pico_run, val_file, looks):
    looks.at = 4
    done = audit(
        pico_run,
        val=str(val_file),
        until_decided=True,
        axes="likelihood,accuracy,robustness",
        variants={"typo": None},
        limits={"robustness": 10},
        checkpoints="checkpoint-100",
    )
    assert len(rows_of(done.store.root, "checkpoint-10")) == 4
    # Rewordings are compared with the plain wording of the same problems.
    last = rows_of(done.store.root, "checkpoint-100").partition_by("variant", as_dict=True)
    typo, clean = set(last["typo",]["example_id"]), set(last["clean",]["example_id"])
    assert typo == {IDS[i] for i in subset(IDS, 10, seed=0)} <= clean
    assert overmem.diagnose(done).checkpoints[-1].accuracy.n == 4


def test_a_checkpoint_that_can_no_longer_be_loaded_is_left_out(pico_run, val_file, looks, monkeypatch):
    original, loads = ModelHost.load, []

    def gone_in_the_second_round(host, checkpoint):
        loads.append(checkpoint.name)
        if len(loads) > 3 and checkpoint.name == "checkpoint-20":
            raise overmem.errors.CheckpointError("the weights are gone")
        return original(host, checkpoint)

    monkeypatch.setattr(ModelHost, "load", gone_in_the_second_round)
    done = audit(pico_run, val=str(val_file), until_decided=True)
    assert [c.name for c in done.manifest.checkpoints] == ["checkpoint-10", "checkpoint-100"]
    assert done.skipped["checkpoint-20"] == "the weights are gone"
    assert [n for n, _ in looks] == [4, 6, 8]


def test_the_plan_names_the_looks(pico_run, val_file, capsys):
    app(["plan", str(pico_run), "--val", str(val_file), "--until-decided"], standalone_mode=False)
    assert "looks after 4, 6, 8, 11 of 12 problems" in capsys.readouterr().out
    run = open_run(pico_run)
    session = open_session(run, resolve_options(run, AuditOptions(val=str(val_file))))
    assert make_timed_plan(session, {}).looks == ()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"axes": "likelihood"}, RunError, "a verdict needs likelihood and accuracy"),
        ({"limit": 4}, DataError, "no problems to leave out"),
        ({"grader": "none"}, DataError, "no problems whose answers can be graded"),
    ],
)
def test_where_it_means_nothing_it_is_refused(pico_run, val_file, options, error, said):
    with pytest.raises(error, match=said):
        audit(pico_run, val=str(val_file), until_decided=True, **options)
    assert not (pico_run / "overmem").exists()


def test_one_checkpoint_has_no_verdict(pico_run, val_file):
    for step in (20, 100):
        (pico_run / f"checkpoint-{step}").rename(pico_run / f"away-{step}")
    with pytest.raises(RunError, match="a verdict compares checkpoints"):
        audit(pico_run, val=str(val_file), until_decided=True)
