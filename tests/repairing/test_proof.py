"""What proves a repair: no worse in accuracy, clearly better in something."""

from dataclasses import replace

import numpy as np
import pytest

from overmem.repairing.proof import fewest_problems, not_worse, prove
from overmem.stats import paired
from overmem.stats.groups import Groups
from overmem.stats.measures import mean_measure
from tests.helpers.repairs import measured


class TestProof:
    """200 problems, of which the checkpoint to beat solves 160."""

    right = np.r_[np.ones(160), np.zeros(40)]
    noise = np.random.default_rng(0).normal(0, 0.05, 200)

    def prove(self, before, after):
        return prove(before, after, against="checkpoint-1", accuracy_margin=0.03)

    def test_as_accurate_and_lower_nll_is_accepted(self):
        found = self.prove(measured(self.right, 0.5 + self.noise), measured(self.right, 0.4 - self.noise))
        assert found.accepted and found.probability_not_worse > 0.99
        assert "with probability over 0.99" in found.reason
        assert found.gains == ("likelihood nll",)

    def test_a_lower_nll_does_not_buy_accuracy(self):
        after = self.right.copy()
        after[:10] = 0
        found = self.prove(measured(self.right, 0.5 + self.noise), measured(after, 0.1 - self.noise))
        assert not found.accepted and found.gains == ("likelihood nll",)
        # 10 of 200 lost: -0.05 with a standard error of 0.0155, so a tenth of it is above -0.03.
        assert found.probability_not_worse == pytest.approx(0.1, abs=0.05)

    @pytest.mark.parametrize(("n", "enough"), [(10, False), (60, False), (90, True), (130, True)])
    def test_a_few_problems_without_a_flip_prove_nothing(self, n, enough):
        sides = [measured(np.ones(n), level) for level in (0.5 + self.noise[:n], 0.4 - self.noise[:n])]
        assert self.prove(*sides).accepted == enough
        assert (n >= fewest_problems(0.03)) == enough

    def test_the_probability_is_the_same_however_much_is_in_memory(self, monkeypatch):
        sides = [measured(right, self.noise) for right in (self.right, np.roll(self.right, 9))]
        whole = self.prove(*sides).probability_not_worse
        monkeypatch.setattr(paired, "AT_ONCE", 300)
        assert self.prove(*sides).probability_not_worse == whole and 0.01 < whole < 0.99

    def test_the_probability_is_the_posterior_of_the_shares_lost_and_won(self):
        after = self.right.copy()
        after[:6], after[-3:] = 0, 1
        found = self.prove(measured(self.right, self.right), measured(after, self.right))
        rng = np.random.default_rng(1)
        shares = rng.dirichlet([6 + 1, 191 + 1, 3 + 1], 200_000)
        exact = np.mean(shares[:, 2] - shares[:, 0] > -0.03)
        assert found.probability_not_worse == pytest.approx(exact, abs=0.03)

    def test_problems_of_one_group_are_weighed_together(self):
        after = self.right.copy()
        after[:4], after[-2:] = 0, 1
        often = [np.repeat(right, 3) for right in (self.right, after)]
        groups = {"val": Groups.of(np.repeat(np.arange(200), 3).tolist())}

        def probability(before, after, groups):
            sides = [measured(side)["accuracy"] for side in (before, after)]
            sides = [{n: replace(m, groups=groups) for n, m in side.items()} for side in sides]
            return not_worse(*sides, 0.03, 2000, 0)

        once = probability(self.right, after, {})
        assert probability(*often, groups) == once < probability(*often, {})
        assert probability(self.right, after, {"val": Groups.of_one(200)}) == once

    def test_its_work_grows_with_the_problems_not_with_their_square(self, monkeypatch):
        monkeypatch.setattr(paired, "PARTS", 10)

        def counted(n):
            seen = []
            [measure] = measured(np.arange(n) % 4 > 0)["accuracy"].values()

            def watched(counts):
                seen.append(counts["val"].size)
                return measure.statistic(counts)

            sides = [{"accuracy": {"accuracy": replace(measure, statistic=watched)}}] * 2
            prove(*sides, against="checkpoint-1", accuracy_margin=0.03, draws=100)
            return sum(seen)

        assert counted(400) == 2 * counted(200)

    def test_only_the_headlines_of_an_axis_count(self):
        sides = [measured(self.right), measured(self.right)]
        for side, sign, level in zip(sides, (1, -1), (0.5, 0.3), strict=True):
            flat = mean_measure("nll", "lower", "val", 0.5 + self.noise)
            other = mean_measure("other", "lower", "val", level + sign * self.noise)
            side["likelihood"] = {"nll": flat, "other": other}
        assert not self.prove(*sides).accepted

    def test_nothing_better_is_rejected(self):
        found = self.prove(
            measured(self.right, 0.5 + self.noise), measured(self.right, 0.5 + self.noise[::-1])
        )
        assert not found.accepted and found.gains == () and "nothing is clearly better" in found.reason

    @pytest.mark.parametrize(
        ("axis", "before", "after"),
        [("drop", 0.3, 0.1), ("ood", 0.3, 0.6), ("pass_at_k", 0.5, 0.9)],
    )
    def test_each_of_the_other_axes_counts_in_its_own_direction(self, axis, before, after):
        sides = [
            measured(self.right, **{axis: level + sign * self.noise})
            for level, sign in ((before, 1), (after, -1))
        ]
        assert self.prove(*sides).accepted
        assert not self.prove(*sides[::-1]).accepted

    def test_privacy_alone_is_no_gain(self):
        sides = [measured(self.right), measured(self.right)]
        for side, level in zip(sides, (0.9, 0.6), strict=True):
            values = level + self.noise * level
            side["privacy"] = {"auroc": mean_measure("auroc", "lower", "val", values)}
        found = self.prove(*sides)
        assert not found.accepted and found.differences[-1].difference.high < 0
