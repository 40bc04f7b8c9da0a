"""Tries are counted by content, and each leaves less for the next."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import zeta
from scipy.stats import norm

from overmem.artifacts.store import Store
from overmem.repairing.proof import prove
from overmem.repairing.tries import LEVEL, Try, count_try, level_of, number_of, stretch_of
from tests.helpers.repairs import measured

PROBLEMS = tuple(f"sha{i}" for i in range(20))


def a_try(after="a", before="b", problems=PROBLEMS):
    return Try(before=before, after=after, problems=problems)


def test_the_first_try_has_the_whole_level_and_all_others_a_fifth_of_it():
    assert level_of(1) == LEVEL and stretch_of(1) == 1
    assert sum(level_of(k) for k in range(1, 10_000)) < zeta(3) * LEVEL < 1.21 * LEVEL
    assert stretch_of(3) == pytest.approx(norm.isf(0.05 / 27 / 2) / norm.isf(0.025))


def test_other_weights_are_another_try_and_the_same_weights_are_not():
    tries = [a_try("a"), a_try("c")]
    assert number_of(tries, a_try("d")) == 3
    assert [number_of(tries, a_try(name)) for name in "ac"] == [1, 2]
    assert number_of(tries, a_try("a", before="x")) == 3


def test_fresh_problems_begin_anew_and_half_old_ones_do_not():
    fresh = tuple(f"other{i}" for i in range(20))
    tries = [a_try("a"), a_try("c")]
    assert number_of(tries, a_try("d", problems=fresh)) == 1
    assert number_of(tries, a_try("d", problems=PROBLEMS[:10] + fresh[:10])) == 3
    assert number_of(tries, a_try("d", problems=PROBLEMS[:3] + fresh)) == 1


class Place:
    """One model whose rows on the confirm split are kept in a store."""

    def __init__(self, root, name, key):
        self.store, self.name = Store(root), name
        self.record = SimpleNamespace(row_keys={"score val": key})
        lists = {name: [-0.5] for name in ("logprob", "entropy", "top1_logprob", "mu", "sigma")}
        rows = [
            {"row_key": key, "split": "val", "example_id": f"id{i}", "example_sha": sha, "n_tokens": 1}
            | {"nll_nats": 0.5, "is_top1": [True], "nll_at_temperature": [0.5], **lists}
            for i, sha in enumerate(PROBLEMS)
        ]
        self.store.append_rows(name, "likelihood", rows)
        self.store.compact_parts(name, "likelihood")

    def rows(self, job):
        return self.store.read_rows(self.name, "likelihood", self.record.row_keys[str(job)])


def test_tries_are_kept_with_the_run_and_outlive_their_record(tmp_path):
    store, split = Store(tmp_path), tmp_path / "repair" / "confirm"
    before = Place(split, "checkpoint-1", "b")
    Place(split, "base", "no merge")
    counted = [
        count_try(store, Place(split, name, key), before, ["checkpoint-1"])
        for name, key in (("pair-1", "k1"), ("pair-2", "k2"), ("other-name", "k1"), ("pair-1", "k3"))
    ]
    assert counted == [1, 2, 1, 3]
    record = json.loads((tmp_path / "tries.json").read_text())
    assert record["schema"] == "overmem.tries/1"
    assert [item["after"] for item in record["tries"]] == ["k1", "k2", "k3"]
    (tmp_path / "tries.json").unlink()
    assert count_try(store, Place(split, "pair-3", "k4"), before, ["checkpoint-1"]) == 4
    shutil.rmtree(split)
    before = Place(split, "checkpoint-1", "b")
    assert count_try(store, Place(split, "pair-5", "k5"), before, ["checkpoint-1"]) == 5


def test_a_later_try_must_be_clearer():
    rng = np.random.default_rng(0)
    right, noise = np.r_[np.ones(160), np.zeros(40)], rng.normal(0, 0.05, 200)
    spread = rng.normal(0, 0.05, 200)
    gain = spread - spread.mean() + 2.3 * spread.std() / np.sqrt(200)
    sides = measured(right, 0.5 + noise), measured(right, 0.5 + noise - gain)
    found = [prove(*sides, against="c", accuracy_margin=0.03, number=number) for number in (1, 2, 3)]
    assert [proof.accepted for proof in found] == [True, False, False]
    assert [proof.number for proof in found] == [1, 2, 3] and found[2].level == pytest.approx(0.05 / 27)
    assert "nothing is clearly better at 99.38%" in found[1].reason
    assert dataclasses.asdict(found[0].differences[0]) == dataclasses.asdict(found[1].differences[0])
