"""What is said about more problems."""

from __future__ import annotations

from dataclasses import replace

import pytest

from overmem.verdict.words.to_settle import settle_text
from tests.verdict.words.test_narrative import undetermined


@pytest.mark.parametrize(
    ("even", "likely", "chance", "said"),
    [
        (
            900,
            2100,
            0.9,
            "with about 900 problems with a chance of 50%, with about 2,100 with a chance of 80%",
        ),
        (900, None, 0.7, "a stage would be given with about 900 problems with a chance of 50%"),
        (None, None, 0.23, "even a hundred times as many problems would settle it with a chance of 23% only"),
        (None, None, None, ""),
    ],
)
def test_each_case_is_said(even, likely, chance, said):
    last = replace(
        undetermined().checkpoints[-1],
        problems_to_settle=even,
        problems_to_settle_likely=likely,
        chance_to_settle=chance,
    )
    assert settle_text(last) == said or (said and said in settle_text(last))
