"""What the tests of several rewordings share: examples of every kind of prompt."""

from __future__ import annotations

import pytest

from overmem.synthetic import wordmath
from tests.helpers.prompts import CHAT, PLAIN


@pytest.fixture(scope="module")
def splits():
    return {name: wordmath.load_split(name) for name in wordmath.SPLITS}


@pytest.fixture(scope="module")
def examples(splits):
    return [*splits["val"][:200], *PLAIN, *CHAT]
