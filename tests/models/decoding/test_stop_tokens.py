"""The tokens that end an answer."""

from overmem.models.decoding.stop_tokens import stop_ids


def test_stops_gather_every_end(model, tokenizer):
    model.generation_config.eos_token_id = [3, 4]
    try:
        assert stop_ids(model, tokenizer, 9) == sorted({3, 4, 9, tokenizer.eos_token_id})
    finally:
        model.generation_config.eos_token_id = tokenizer.eos_token_id
