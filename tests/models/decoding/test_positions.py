"""Rotations that follow the length of a text: which prompts are written together."""

import pytest

from overmem.models.decoding.attention import can_share
from overmem.models.decoding.generation import generate
from overmem.models.decoding.positions import changing_rotations, group_prompts
from overmem.models.decoding.sampling import Sampling
from tests.conftest import make_pico
from tests.helpers.answering import CHANGING, ORIGINAL, one_by_one, other_model


@pytest.mark.parametrize("kind", CHANGING)
def test_rotations_that_follow_the_longest_row_do_so_for_that_row_only(kind, prompts, tokenizer):
    # Short, growing past the limit while written, and long ones: in one pass the longest decides for all.
    model = other_model(kind, tokenizer)
    text = [token for prompt in prompts for token in prompt]
    asked = [
        text[start : start + n] for start, n in enumerate((20, 150, 56, 41, 60, 110, 64, 52, 63, 48, 149))
    ]
    settings = {"stops": sorted({tokenizer.eos_token_id, 7, 8}), "max_new_tokens": 12}
    # Each in a model that has read nothing yet.
    expected = [
        list(generate(other_model(kind, tokenizer), [prompt], tokenizer, **settings)[0][0].tokens)
        for prompt in asked
    ]
    for prompt, tokens in zip(asked, expected, strict=True):
        # While a text grows past the limit, Phi-3's own `generate` reads it again; this is not done here.
        if kind == "stretched rotations" or not ORIGINAL - 12 < len(prompt) <= ORIGINAL:
            assert tokens == one_by_one(other_model(kind, tokenizer), prompt, settings["stops"], 12)
    for rows in (None, 3):
        answers = generate(model, asked, tokenizer, rows=rows, **settings)
        assert [list(answer.tokens) for (answer,) in answers] == expected
    names = [f"p{i}" for i in range(len(asked))]
    drawn = Sampling(samples=3, temperature=1.0, seed=0)
    together = generate(model, asked, tokenizer, sampling=drawn, example_ids=names, **settings)
    for name, prompt, answers in zip(names, asked, together, strict=True):
        alone = generate(model, [prompt], tokenizer, sampling=drawn, example_ids=[name], rows=1, **settings)
        assert [a.tokens for a in alone[0]] == [a.tokens for a in answers]


@pytest.mark.parametrize("kind", CHANGING)
def test_prompts_are_written_together_where_rotations_are_the_same(kind, tokenizer):
    lengths = [52, 53, 64, 65, 100]
    found = [
        (list(g.prompts), g.positions, g.alone)
        for g in group_prompts(other_model(kind, tokenizer), lengths, 12)
    ]
    short = ([0], ORIGINAL, False)
    if kind == "stretched rotations":
        assert found == [short, *(([i], None, True) for i in (1, 2, 3, 4))]
    else:
        assert found == [short, ([3, 4], None, False), ([1], None, True), ([2], None, True)]
    assert [list(g.prompts) for g in group_prompts(make_pico(tokenizer, seed=1), lengths, 12)] == [
        [0, 1, 2, 3, 4]
    ]


def test_rotations_of_each_type_of_layer_are_looked_at(tokenizer):
    model = make_pico(tokenizer, seed=1)
    limits = {"rope_type": "longrope", "original_max_position_embeddings": 64}
    model.config.rope_parameters = {"sliding_attention": {"rope_type": "default"}, "full_attention": limits}
    assert changing_rotations(model) == {"longrope": 64}
    assert not can_share(model)
