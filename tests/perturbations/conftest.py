"""What the tests of several rewordings share: examples of every kind of prompt."""

from __future__ import annotations

import pytest

from overmem.synthetic.wordmath.splits import TASK
from tests.helpers.prompts import CHAT, PLAIN
from tests.helpers.splits import first_examples


@pytest.fixture(scope="session")
def splits():
    """The first problems of each split."""
    return first_examples(TASK)


@pytest.fixture(scope="session")
def examples(splits):
    return [*splits["val"][:200], *PLAIN, *CHAT]
