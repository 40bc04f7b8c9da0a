"""The ROC curve of a membership attack."""

import numpy as np
import pytest

from overmem.reporting.exhibits.membership import POINTS, roc_curve, thin
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
