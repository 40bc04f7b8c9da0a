"""One pico model and its prompts, for tests that change neither."""

import pytest

from tests.conftest import VAL_ROWS, make_pico


@pytest.fixture(scope="module")
def model(tokenizer):
    return make_pico(tokenizer, seed=5)


@pytest.fixture(scope="module")
def prompts(tokenizer):
    return [tokenizer(row["prompt"])["input_ids"] for row in VAL_ROWS]
