"""Canaries are drawn from the data's own words, in the data's shape, the same each time."""

import pytest

from overmem.errors import RecipeError
from overmem.recipe.canaries import N_CANDIDATES, make_canaries
from overmem.recipe.schema import CanaryRecipe
from overmem.records import Example, TrainedTokens

WORDS = [f"w{i}" for i in range(40)]
PLAIN = [Example(str(i), f"Q {i}", " " + " ".join(WORDS[i : i + 10]), str(i)) for i in range(30)]


def test_number_words_and_shape():
    found = make_canaries(PLAIN, CanaryRecipe(rate=0.1))
    assert len(found.inserted) == 3 and len(found.candidates) == N_CANDIDATES
    rows = [*found.inserted, *found.candidates]
    assert len({row["completion"] for row in rows}) == len({row["id"] for row in rows}) == len(rows)
    assert len({row["prompt"] for row in rows}) == 1
    for row in rows:
        assert set(row["completion"].split()) <= set(WORDS) and row["completion"].startswith(" w")
    assert make_canaries(PLAIN, CanaryRecipe(rate=0.1)) == found
    assert make_canaries(PLAIN, CanaryRecipe(rate=0.1, seed=1)) != found
    assert len(make_canaries(PLAIN, CanaryRecipe(rate=0.001)).inserted) == 1


def test_chat_data_get_chats():
    chats = [Example(e.id, ({"role": "user", "content": e.prompt},), e.completion) for e in PLAIN]
    row = make_canaries(chats, CanaryRecipe()).inserted[0]
    assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]


def test_data_without_words_to_draw_from_are_refused():
    with pytest.raises(RecipeError, match="too few"):
        make_canaries([Example("1", "Q", "yes"), Example("2", "Q", "no")], CanaryRecipe())
    tokens = TrainedTokens(input_ids=(1, 2), trained=(False, True))
    with pytest.raises(RecipeError, match="tokenized already"):
        make_canaries([Example("1", "Q", "A", tokens=tokens)], CanaryRecipe())
