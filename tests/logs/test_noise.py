"""How far a point lies from its curve by chance: by hand, and against planted noise."""

import math
import random
from statistics import median

import pytest

from overmem.logs.noise import band, binomial, residuals_used, roughness, too_few


def test_roughness_by_hand() -> None:
    # Residuals from the line through the neighbours: 1.5 and -1.5, each with variance 1.5 s^2.
    assert roughness([0, 1, 2, 3], [0.0, 1.0, -1.0, 0.0], near=1) == pytest.approx(1.5 / math.sqrt(1.5))
    assert roughness([0, 1, 3, 4], [0.0, 1.0, 3.0, 4.0], near=0) == pytest.approx(
        0.0
    )  # a line, unevenly spaced
    assert math.isnan(roughness([0, 1, 2], [0.0, 1.0, 0.0], near=1))


def test_roughness_rests_on_the_half_of_the_residuals_nearest_to_the_point() -> None:
    rng = random.Random(0)
    for n in (4, 5, 8, 13, 30):
        for near in range(n):
            values = [rng.random() for _ in range(n)]
            nearest = sorted(range(1, n - 1), key=lambda i: (abs(i - near), -i))[: residuals_used(n)]
            found = [abs(values[i] - (values[i - 1] + values[i + 1]) / 2) / math.sqrt(1.5) for i in nearest]
            few = math.sqrt(math.fsum(r * r for r in found) / len(found))
            expected = few if len(found) < 5 else 1.4826 * median(found)
            assert roughness(range(n), values, near) == pytest.approx(expected), (n, near)


def test_a_steep_start_is_no_noise() -> None:
    values = [15.4, 2.38, 0.347, 0.3185, 0.3077, 0.3038]
    assert roughness(range(6), values, near=5) < 0.01


@pytest.mark.parametrize("n", [4, 8, 30])
@pytest.mark.parametrize("slope", [0.0, 0.5])
def test_the_truly_best_is_rarely_said_to_differ(n: int, slope: float) -> None:
    """Of 400 planted curves at least 90% name the best one as alike; on flat ones a narrow band would not."""
    rng, kept = random.Random(n), 0
    for _ in range(400):
        values = [1 + slope * i / n + rng.gauss(0, 0.02) for i in range(n)]
        best = min(range(n), key=values.__getitem__)
        noise = roughness(range(n), values, best)
        kept += abs(values[0] - values[best]) <= band(noise, n) * too_few(residuals_used(n))
    assert kept >= 360


def test_a_real_difference_is_seen() -> None:
    rng = random.Random(0)
    values = [1 + 0.5 * i / 20 + rng.gauss(0, 0.02) for i in range(20)]
    noise = roughness(range(20), values, 0)
    assert values[-1] - min(values) > band(noise, 20) * too_few(residuals_used(20))
    assert noise == pytest.approx(0.02, rel=0.6)


def test_binomial_error() -> None:
    assert binomial(0.5, 398) == pytest.approx(0.5 / math.sqrt(398))
    assert binomial(1.0, 100) > 0
