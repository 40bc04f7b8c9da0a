"""The ROC curve of a membership attack."""

import numpy as np
import polars as pl
import pytest

from overmem.artifacts.rows import GROUP
from overmem.reporting.exhibits.membership import POINTS, membership_exhibit, roc_curve, thin
from overmem.stats.roc import auroc


def test_roc_has_the_area_of_auroc_with_ties_and_survives_thinning() -> None:
    rng = np.random.default_rng(1)
    member, other = rng.integers(2, 30, 700) / 3, rng.integers(0, 28, 900) / 3
    fpr, tpr = roc_curve(member, other)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(tpr, fpr) == pytest.approx(auroc(member, other))
    member, other = rng.normal(1, 1, 4000), rng.normal(0, 1, 4000)
    thinned = thin(roc_curve(member, other))
    assert len(thinned[0]) <= POINTS
    assert np.trapezoid(thinned[1], thinned[0]) == pytest.approx(auroc(member, other), abs=0.002)
    assert (thinned[0][0], thinned[1][0], thinned[0][-1], thinned[1][-1]) == (0, 0, 1, 1)


def test_rows_of_one_group_are_drawn_together_on_either_side() -> None:
    rng = np.random.default_rng(2)
    once = [pl.DataFrame({"nll_nats": rng.gamma(4, scale, 60), "n_tokens": 4}) for scale in (1.0, 1.5)]
    names = [pl.Series("example_id", [*map(str, range(240))]), pl.Series(GROUP, [*map(str, range(60))] * 4)]
    copies = [pl.concat([rows] * 4).with_columns(names) for rows in once]

    def said(members: pl.DataFrame, others: pl.DataFrame) -> str:
        return membership_exhibit({"last": members}, {"last": others}, "").words["last"].partition(";")[0]

    alone = [rows.drop(GROUP) for rows in copies]
    found = {said(*pair) for pair in (copies, alone, (copies[0], alone[1]), (alone[0], copies[1]))}
    assert len(found) == 4 and said(*copies).partition(" (")[0] == said(*once).partition(" (")[0]
