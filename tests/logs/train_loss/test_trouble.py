import math
import random

import pytest

from overmem.logs.history import LoggedHistory
from overmem.logs.train_loss.rows import train_rows
from overmem.logs.train_loss.trouble import find_trouble


def trouble(losses, an_epoch=50, **more):
    rows = (
        {"step": 10 * (i + 1), "loss": x, "epoch": (i + 1) / an_epoch, **more} for i, x in enumerate(losses)
    )
    found = find_trouble(train_rows(LoggedHistory(rows=tuple(rows), source="log", kind="trainer_state")))
    return {finding.kind: finding for finding in found}


def falling(n=100, to=0.8, noise=0.02):
    rng = random.Random(0)
    return [to + 1.2 * math.exp(-i / 20) + rng.gauss(0, noise) for i in range(n)]


def test_an_ordinary_loss_has_no_trouble():
    assert trouble(falling()) == {}
    assert trouble([1.5, 1.2, 1.1]) == {}
    assert trouble([]) == {}


def test_a_loss_that_is_no_number_is_found_where_it_starts():
    (found,) = trouble([*falling(50), *[math.nan] * 50]).values()
    assert found.severity == "problem" and found.steps == (510,)
    assert "at 50 of 100 logged rows, first at step 510, and at every row after it" in found.sentence
    assert "every row after" not in trouble([2.0, math.inf, 1.5])["not_finite"].sentence


def test_a_loss_of_0_throughout_means_that_nothing_was_trained_on():
    (found,) = trouble([0.0] * 100, grad_norm=0.0).values()
    assert (found.kind, found.severity) == ("zero_loss", "problem")
    assert "the gradient norm is 0" in found.sentence
    assert "gradient" not in trouble([0.0] * 5)["zero_loss"].sentence


def test_a_loss_that_rises_again_has_diverged():
    (found,) = trouble([*falling(70), *[2.5 + 0.01 * i for i in range(30)]]).values()
    assert (found.kind, found.severity) == ("diverged", "problem")
    assert found.steps == (700,)
    assert "diverged" not in trouble(falling(to=0.01, noise=0.005))


def test_a_loss_that_does_not_move():
    (found,) = trouble([1.1 + 0.01 * (i % 2) for i in range(60)]).values()
    assert found.kind == "flat" and "1.11 in the first tenth" in found.sentence
    still = trouble([1.1 + 0.01 * (i % 2) for i in range(60)], learning_rate=0.0)
    assert "the learning rate was 0" in still["flat"].sentence


@pytest.mark.parametrize(
    ("an_epoch", "says"), [(20, "by heart"), (200, "so it is not memorization")], ids=["later", "at once"]
)
def test_a_loss_near_0(an_epoch, says):
    found = trouble([max(0.01, 1 - i / 50) for i in range(100)], an_epoch)["near_zero"]
    assert found.steps == (490,) and says in found.sentence


def test_spikes_are_counted_and_the_highest_named():
    losses = falling()
    losses[60], losses[80] = 3.0, 5.0
    (found,) = trouble(losses).values()
    assert (found.kind, found.severity, found.steps) == ("spikes", "note", (610, 810))
    assert "2 spikes, the highest 5 at step 810" in found.sentence


def test_a_rise_within_the_noise_is_no_divergence():
    noise = random.Random(3)
    level = [2 - i / 100 for i in range(80)] + [1.35] * 20
    assert "diverged" not in trouble(
        [one + noise.gauss(0, 0.3 if i > 79 else 0.02) for i, one in enumerate(level)]
    )
