"""pass@k: the unbiased estimate, with an interval."""

import pytest

from overmem.axes.samples.subsets import pass_at_k
from overmem.reporting.exhibits.samples import pass_curve


def test_pass_curve_is_the_unbiased_estimate_with_an_interval() -> None:
    from overmem.axes.samples.problem_samples import ProblemSamples

    rights = [0, 1, 3, 5, 5, 2, 4, 0]
    problems = [
        ProblemSamples(
            example_id=str(i), texts=("x",) * 5, answers=("1",) * 5, correct=(True,) * c + (False,) * (5 - c)
        )
        for i, c in enumerate(rights)
    ]
    cut = ProblemSamples(example_id="cut", texts=("x",), answers=("1",), correct=(True,))
    curve = pass_curve([*problems, cut], 5)
    for k, point in enumerate(curve, start=1):
        assert point.value == pytest.approx(pass_at_k(5, rights, k).mean())
        assert point.n == len(problems)
        found = point.estimate()
        assert found.low <= found.value <= found.high and found.low < found.high
    assert [point.value for point in curve] == sorted(point.value for point in curve)
