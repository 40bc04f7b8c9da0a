"""What a repair tries: averages of neighbouring checkpoints, each once."""

import math

import numpy as np

from overmem.repairing.candidates import Candidate, finer, pair, propose, shortlist

NAMES = [f"checkpoint-{step}" for step in (100, 200, 300, 400, 500)]


def test_pairs_join_an_early_fit_checkpoint_with_a_late_accurate_one():
    accuracy, nll = np.array([0.5, 0.8, 0.9, 0.95, 0.94]), np.array([0.5, 0.4, 0.42, 0.5, 0.6])
    found = propose(NAMES, accuracy, nll, recommended=2)
    pairs = {c.checkpoints for c in found if c.family == "pair"}
    # Lowest NLL is 200 and recommended 300; last is 500 and most accurate 400.
    assert pairs == {(a, b) for a in (NAMES[1], NAMES[2]) for b in (NAMES[4], NAMES[3])}
    assert all(math.isclose(sum(c.weights), 1) and len(c.weights) == len(c.checkpoints) for c in found)
    assert len({c.name for c in found}) == len(found)


def test_soups_hold_both_ends_of_their_windows():
    accuracy, nll = np.array([0.5, 0.8, 0.9, 0.95, 0.94]), np.array([0.5, 0.4, 0.42, 0.5, 0.6])
    soups = {c.checkpoints for c in propose(NAMES, accuracy, nll, recommended=2) if c.family == "soup"}
    windows = ((1, 5), (2, 5), (1, 3), (1, 4), (0, 5))
    assert soups == {tuple(NAMES[a:b]) for a, b in windows}


def test_of_equally_accurate_checkpoints_the_latest_is_paired():
    nll = np.array([0.4, 0.5, 0.6, 0.7, 0.8])
    found = propose(NAMES, np.array([0.5, 0.9, 0.9, 0.9, 0.8]), nll, recommended=0)
    assert {c.checkpoints[1] for c in found if c.family == "pair"} == {NAMES[4], NAMES[3]}


def test_what_is_the_same_average_is_tried_once():
    # With two checkpoints, the pair at 0.5 and every soup are one and the same.
    found = propose(NAMES[:2], np.array([0.5, 0.6]), np.array([0.4, 0.5]), recommended=0)
    averages = [(c.checkpoints, c.weights) for c in found]
    assert len(set(averages)) == len(averages) == 3


def test_a_run_whose_last_checkpoint_is_best_has_soups_but_no_pairs():
    rising = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    found = propose(NAMES, rising, 1 - rising, recommended=4)
    assert {c.family for c in found} == {"soup", "ema"}


def test_finer_steps_stay_between_the_two():
    assert [c.weights[1] for c in finer(pair("a", "b", 0.25))] == [0.125, 0.375]


def test_the_shortlist_has_the_best_of_each_family_before_neighbours_of_the_lowest():
    pairs = [pair(NAMES[0], NAMES[1], alpha) for alpha in (0.25, 0.5, 0.75)]
    soup = Candidate(family="soup", checkpoints=tuple(NAMES), weights=(0.2,) * 5)
    assert shortlist([*pairs, soup], [0.1, 0.11, 0.12, 0.5], few=2) == [0, 3]
    assert shortlist([*pairs, soup], [0.1, 0.11, 0.12, 0.5], few=3) == [0, 3, 1]
