"""Models of other architectures, and the answer of a model to one prompt alone."""

import torch
import transformers


def one_by_one(model, prompt, stops, limit):
    with torch.inference_mode():
        return model.generate(
            input_ids=torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=limit,
            eos_token_id=stops,
            pad_token_id=stops[0],
        )[0, len(prompt) :].tolist()


SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.5,
}


ORIGINAL = 64
"""Tokens up to which rotations that change with the length are as they were before."""


def other_model(kind, tokenizer):
    torch.manual_seed(7)
    common = SHAPE | {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
    if kind == "sliding window":
        config = transformers.MistralConfig(**common, sliding_window=6)
    elif kind == "window and full":
        config = transformers.Gemma3TextConfig(
            **common, sliding_window=6, layer_types=["sliding_attention", "full_attention"]
        )
    elif kind == "long and short factors":
        rope = {
            "rope_type": "longrope",
            "short_factor": [1.0, 1.5, 2.0, 2.5],
            "long_factor": [4.0, 8.0, 16.0, 32.0],
        }
        config = transformers.Phi3Config(
            **common, rope_parameters=rope, original_max_position_embeddings=ORIGINAL, pad_token_id=0,
            bos_token_id=None,
        )  # fmt: skip
    elif kind == "stretched rotations":
        config = transformers.LlamaConfig(
            **common | {"max_position_embeddings": ORIGINAL},
            rope_parameters={"rope_type": "dynamic", "factor": 4.0},
        )
    elif kind == "learned positions":
        config = transformers.GPT2Config(
            n_embd=16, n_layer=2, n_head=2, vocab_size=len(tokenizer), initializer_range=0.5,
            eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
        )  # fmt: skip
    else:
        config = transformers.Lfm2Config(
            **common, layer_types=["conv", "full_attention"], block_multiple_of=8, tie_word_embeddings=True
        )
    return transformers.AutoModelForCausalLM.from_config(config).eval()


CHANGING = ["long and short factors", "stretched rotations"]
