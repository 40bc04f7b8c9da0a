"""The dialects of servers: what is asked."""

import json

import pytest

from overmem.errors import EngineError
from overmem.models.engines.dialect import DIALECTS, CompletionRequest, prompt_text, request_body

QUESTION = CompletionRequest(
    ids=(1, 2, 3),
    text="a b c",
    max_new_tokens=9,
    temperature=0.7,
    seed=5,
    stop_ids=(0, 8),
    stop_texts=("</s>", "<|im_end|>"),
)


def test_every_dialect_asks_for_the_whole_distribution_and_our_stops():
    for dialect in DIALECTS:
        body = request_body(dialect, "m", QUESTION)
        assert body["prompt"] == ([1, 2, 3] if dialect.prompts == "token ids" else "a b c")
        assert (body["model"], body["max_tokens"], body["seed"]) == ("m", 9, 5)
        settings = json.loads(body.get("generation_config", "{}")) or body
        assert settings["temperature"] == 0.7 and settings["top_p"] == 1.0
        if dialect.sampling == "extended":
            assert body["stop_token_ids"] == [0, 8] and body["top_k"] == -1 and body["min_p"] == 0.0
            assert body["repetition_penalty"] == 1.0
        if dialect.sampling == "generation_config":
            assert settings["eos_token_id"] == [0, 8] and settings["top_k"] == 0 and settings["do_sample"]
        else:
            assert body["stop"] == ["</s>", "<|im_end|>"]
        if dialect.sampling == "plain":
            # OpenAI's own API refuses any field that it does not know.
            known = {"model", "prompt", "max_tokens", "seed", "temperature", "top_p", "stop", "stream"}
            assert set(body) == known


class Characters:
    """A tokenizer of characters that puts a BOS (0) before every text, and reads `^` as one."""

    def decode(self, ids, **_):
        return "".join("^" if i == 0 else chr(i) for i in ids)

    def __call__(self, text):
        return {"input_ids": [0] + [0 if char == "^" else ord(char) for char in text]}


def test_a_prompt_becomes_a_text_that_gives_the_same_tokens():
    assert prompt_text(Characters(), [0, 97, 98]) == "ab"
    # Without a BOS in front there is no such text: the server would add one.
    with pytest.raises(EngineError, match="cannot be sent as text"):
        prompt_text(Characters(), [97, 98])
