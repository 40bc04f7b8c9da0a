"""Grouped problems from the manifest to every figure of a verdict."""

import json

import numpy as np
import pytest

from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence, joined_labels
from overmem.artifacts.jobs import VAL_SCORES
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.axes import all_axes
from overmem.axes.grouped import groups_in
from overmem.axes.privacy.figures import Attacked
from overmem.errors import ArtifactError
from overmem.records import Verdict
from overmem.stats.groups import Groups
from overmem.verdict.costs import measure_axes
from overmem.verdict.diagnose import diagnose
from tests.helpers.synthetic import write_run

PROBLEMS = 80


def written(folder, labels=None, of_train=None):
    """A run with several axes, whose problems have groups where `labels` gives some of their ids."""
    run = write_run(folder / "run", checkpoints=3, problems=PROBLEMS)
    path = run / "overmem" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["axes"] += ["calibration", "diversity", "privacy", "recall"]
    for name, made in (("val", labels), ("train", of_train)):
        if made is not None:
            split = manifest["splits"][name]
            split |= {"groups": made(split["example_ids"]), "grouped_by": "column source"}
    path.write_text(json.dumps(manifest))
    return run


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run whose problems each stand alone."""
    return written(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def plain(alone):
    """Its verdict."""
    return diagnose(alone, save=False)


def in_pairs(ids):
    return [f"pair {place // 2}" for place in range(len(ids))]


def name_of(function):
    return getattr(function, "__name__", "alone")


def in_fives(ids):
    return [f"five {place // 5}" for place in range(len(ids))]


def evidence_of(run):
    """Of the last checkpoint, where every axis was measured."""
    store = Store(run / "overmem")
    manifest = read_manifest(store)
    return align_evidence([MeasuredCheckpoint(store, manifest, manifest.checkpoints[-1].name)])[0]


@pytest.mark.parametrize(("labels", "of_train"), [(in_pairs, in_fives), (None, in_fives)], ids=name_of)
def test_every_measure_draws_the_groups_of_its_own_sets(tmp_path, labels, of_train):
    evidence = evidence_of(written(tmp_path, labels, of_train))
    grouped = {name: n for name, made, n in (("val", labels, 40), ("train", of_train, 16)) if made}
    seen = set()
    for of_axis in measure_axes(evidence, list(all_axes())).values():
        for measure in of_axis.values():
            sets = {name: name.partition(":")[0].replace("answers", "val") for name in measure.sizes}
            expected = {name: grouped[own] for name, own in sets.items() if own in grouped}
            assert {name: of.number for name, of in measure.groups.items()} == expected, measure.name
            assert measure.units <= min([PROBLEMS, *expected.values()])
            seen |= set(expected)
    halves = Attacked.of_evidence(evidence).halves
    assert (halves.members.number, halves.nonmembers.number) == tuple(
        grouped.get(name, PROBLEMS) for name in ("train", "val")
    )
    known = {"val": ("val", "val:score", "val:greedy"), "train": ("train", "train:score", "train:continue")}
    assert {name for own in grouped for name in known[own]} <= seen


def test_groups_of_one_leave_the_whole_verdict_as_it_is(plain, tmp_path):
    ours = diagnose(written(tmp_path, list, list), save=False).to_dict()
    assert ours == plain.to_dict()


def test_a_verdict_says_its_groups_and_its_errors_are_theirs(plain, tmp_path):
    ours = diagnose(written(tmp_path, in_pairs, in_fives), save=False)
    known = [(g.problems, g.groups, g.by) for g in (ours.groups, ours.train_groups)]
    assert known == [(PROBLEMS, 40, "column source"), (PROBLEMS, 16, "column source")]
    said = (
        "The 80 problems are in 40 groups (column source); errors are those of the groups. "
        "The 80 training rows are in 16 groups (column source); errors are those of the groups."
    )
    assert said in ours.words and "groups" not in " ".join(plain.words)
    for kind in ("nll_nats", "train_nll_nats"):
        figures = [[getattr(c, kind) for c in verdict.checkpoints] for verdict in (ours, plain)]
        assert [e.value for e in figures[0]] == [e.value for e in figures[1]]
        assert all(a.high != b.high for a, b in zip(*figures, strict=True))
    costs = [{(c.axis, c.measure): c.difference for c in v.costs} for v in (ours, plain)]
    moved = [key for key, found in costs[0].items() if np.isfinite(found.low) and found != costs[1][key]]
    assert {axis for axis, _ in moved} >= {"calibration", "diversity", "privacy", "recall"}
    earlier = ours.to_dict()
    assert Verdict.from_dict(earlier).train_groups == ours.train_groups
    del earlier["train_groups"]
    assert Verdict.from_dict(earlier).train_groups is None


def test_runs_are_compared_in_the_groups_that_either_audit_has(alone, tmp_path):
    ours, theirs = written(tmp_path, in_pairs), alone

    def place(run):
        store = Store(run / "overmem")
        return MeasuredCheckpoint(store, read_manifest(store), "checkpoint-300")

    known = [groups_in(item.rows[VAL_SCORES]) for item in align_evidence([place(ours), place(theirs)])]
    assert [groups.number for groups in known] == [40, 40]
    assert (known[0].index_N == known[1].index_N).all()
    assert groups_in(align_evidence([place(theirs)])[0].rows[VAL_SCORES]) is None


def test_labels_of_several_audits_join_what_any_of_them_joins():
    labels = joined_labels([{"a": "1", "b": "1", "c": "2"}, {"b": "x", "c": "x", "d": "y"}])
    assert Groups.of(labels[name] for name in "abcd").index_N.tolist() == [0, 0, 0, 1]


def test_labels_that_are_not_one_an_id_are_refused(tmp_path):
    run = written(tmp_path, lambda ids: ["a"])
    with pytest.raises(ArtifactError, match="the manifest is damaged") as error:
        diagnose(run)
    assert "groups" in str(error.value) and "1 labels of 80 problems" in str(error.value)
