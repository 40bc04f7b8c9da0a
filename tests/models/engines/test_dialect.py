"""The dialects of servers: what is asked."""

import json

from overmem.models.engines.dialect import DIALECTS, CompletionRequest, request_body

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
