"""Random models of some ten thousand parameters of any class of transformers: defaults, with every size cut.

    python -m benchmarks.pico_models gemma4        # the configuration that a kind is cut to

Sizes are known by their names in configurations. What a kind needs beside the common cut is in `EXTRA`.
"""

from __future__ import annotations

import argparse
import re
from typing import Any

import torch
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

LAYERS = 4
"""Some kinds alternate layers in fours."""
SIZES: tuple[tuple[str, int], ...] = (
    (r".*vocab_size.*|n_vocab", 0),
    (r"num_hidden_layers|n_layers?|num_layers|decoder_layers|encoder_layers|depth|num_blocks|layers", LAYERS),
    (
        r".*num_key_value_heads|num_kv_heads|num_query_groups|num_attention_groups|.*num_global_key_value_heads",
        2,
    ),
    (r"mamba_n_heads|mamba_num_heads|n_mamba_heads", 8),
    (r"mamba_d_ssm", 64),
    (r".*num_key_heads|.*num_value_heads", 4),
    (r"num_attention_heads|n_heads?|.*num_heads|.*attention_heads|num_head", 4),
    (
        r"(attention_|global_|swa_|linear_key_|linear_value_)?head_dim|qk_nope_head_dim|v_head_dim|.*mamba_d_head"
        r"|.*mamba_head_dim|.*value_head_dim|.*key_head_dim",
        8,
    ),
    (r"qk_rope_head_dim|rotary_dim", 8),
    (r".*head_dim", 16),
    (r"qk_head_dim", 16),
    (r"q_lora_rank|o_lora_rank", 16),
    (r"kv_lora_rank", 8),
    (
        r".*moe_intermediate_size|expert_ffn_hidden_size|.*expert_intermediate_size|shared_.*intermediate_size"
        r"|.*expert_dim",
        16,
    ),
    (
        r".*intermediate_size|ffn_dim|.*ffn_dim|d_ff|n_inner|.*mlp_dim|ffn_hidden_size|block_ff_dim|dim_ff"
        r"|block_dim",
        64,
    ),
    (
        r".*hidden_size|n_embd|d_model|.*embed_dim|dim|hidden_dim|.*word_embed_proj_dim|embedding_size"
        r"|projection_dim|lru_width|.*_dim_model|n_embed|embed_size|width|emb_dim|.*hidden_dim|embedding_dim",
        32,
    ),
    (r"num_experts|num_local_experts|n_routed_experts|moe_num_experts|.*num_experts|num_experts_total", 4),
    (r"n_group|topk_group|n_shared_experts|num_shared_experts|first_k_dense_replace|zero_expert_num", 1),
    (r"num_experts_per_tok.*|moe_topk|moe_k|top_k_experts|moe_top_k|router_top_k|num_selected_experts", 2),
    (r"image_size", 32),
    (r"patch_size", 8),
    (r"sliding_window|attention_window_size|local_attention|window_size|attention_chunk_size", 16),
    (r"max_position_embeddings|n_positions|max_sequence_length|n_ctx|max_seq_len", 512),
    (r"mamba_d_state|ssm_state_size|state_size|mamba_state_dim|d_state", 8),
    (r"n_groups|mamba_n_groups|num_groups|ngroups|mamba_ngroups", 1),
    (r"mamba_dt_rank|time_step_rank|dt_rank", 4),
    (r"mamba_chunk_size|chunk_size", 8),
    (r"index_topk", 64),
    (r"index_n_heads|index_head_dim", 8),
    (r"num_kv_shared_layers|num_nextn_predict_layers|num_mtp_layers|num_logits_to_keep", 0),
    (r"num_query_tokens|num_queries|mm_tokens_per_image|image_seq_length|resampler_n_latents", 4),
)
"""Names, as patterns, and what they are cut to; 0 is the vocabulary for those of the first line."""
WIDE = {str(LAYERS - 1): {"head_dim": 16}}
"""Gemma 4: the heads of the full attention are larger than those of the windows."""
SECTIONS = {
    **{kind: [2, 1, 1] for kind in ("qwen2_vl", "qwen2_5_vl", "qwen2_5_omni_thinker", "paddleocr_vl")},
    **{kind: [2, 1, 1] for kind in ("glm46v", "glm4v", "glm_ocr", "glmga")},
    "glm4v_moe": [1, 1, 0],
}
"""Sections of rotations in time, height and width, where a kind does not derive them from its heads."""
EXTRA: dict[str, dict[str, Any]] = {
    "gemma4_text": {"per_layer_config": WIDE},
    "gemma4_unified_text": {"per_layer_config": WIDE},
    "gemma4": {"text_config": {"per_layer_config": WIDE}},
    "gemma4_unified": {"text_config": {"per_layer_config": WIDE}},
    "diffusion_gemma": {"text_config": {"per_layer_config": WIDE}},
    "gemma4_assistant": {"text_config": {"hidden_size_per_layer_input": 0, "per_layer_config": WIDE}},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "dory": {"n_input_layers": 1, "n_recurrent_layers": 2, "n_output_layers": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "zamba2": {
        "layer_types": ["mamba", "hybrid"] * 2,
        "mamba_headdim": 8,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "chunk_size": 8,
    },
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv", "full_attention"], "num_dense_layers": 1},
    "reformer": {"axial_pos_embds": False},
    "bamba": {"attn_layer_indices": [1, 3]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 2},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "chameleon": {"vocabulary_map": {"<image>": 5}},
    "emu3": {"vocabulary_map": {"<image>": 5}},
    "xmod": {"default_language": "en_XX"},
    "cohere_compass_text": {"rope_parameters": ...},
    "dots3_note": {"per_layer_config": ...},
    "dots3_note_text": {"per_layer_config": ...},
    "nemotron": {"num_key_value_heads": 2},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "hunyuan_vl": {"text_config": {"head_dim": 8}},
    "ministral": {"head_dim": 8},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dbrx": {"attn_config": {"rope_theta": 10000.0, "clip_qkv": 8.0}},
    "xlnet": {"d_head": 8},
    "xlstm": {"hidden_size": 64, "embedding_dim": 64, "num_heads": 4},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "kimi_linear": {"num_hidden_layers": 8},
    "bailing_hybrid": {"num_hidden_layers": 8},
}
"""What a kind needs beside."""


def pico_config(kind: str, vocabulary: int, eos: int) -> Any:
    """The smallest configuration of a kind that the common cut makes.

    Args:
        kind: `model_type`.
        vocabulary: number of tokens.
        eos: the token that ends a text.

    Raises:
        Exception: whatever the class raises where the cut does not suit it.
    """
    whole = CONFIG_MAPPING[kind]()
    extra = EXTRA.get(kind, {})
    given = _merged(_cut(whole.to_dict(), vocabulary), extra)
    given.pop("model_type", None)
    config = type(whole)(**given)
    if getattr(config, "is_decoder", None) is False:
        config.is_decoder = True
    if kind in SECTIONS:
        config.get_text_config().rope_parameters["mrope_section"] = SECTIONS[kind]
    for part in _parts(config):
        for name, value in (("eos_token_id", eos), ("bos_token_id", 1), ("pad_token_id", 0)):
            if hasattr(part, name):
                setattr(part, name, value)
    config.dtype = torch.float32
    return config


def randomize(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Weights so large that every part of the model matters to its answers."""
    generator = torch.Generator().manual_seed(seed)
    seen: set[int] = set()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if id(weight) in seen or re.search(r"A_log|dt_|\bD$|time_|norm|router|bias$|_init|scalar", name):
                continue
            seen.add(id(weight))
            if weight.dim() >= 2 and weight.is_floating_point():
                spread = 0.5 if re.search(r"embed|wte|lm_head", name) else 1.2 * weight.shape[-1] ** -0.5
                weight.normal_(0, spread, generator=generator)
    return model


def _cut(found: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    heads = next((found[k] for k in ("num_attention_heads", "n_head") if found.get(k)), None)
    layers = next((found[k] for k in ("num_hidden_layers", "n_layer", "num_layers") if found.get(k)), None)
    out: dict[str, Any] = {}
    for name, value in found.items():
        if name == "per_layer_config" or (
            isinstance(value, list) and layers and (len(value) == layers or name == "layer_types")
        ):
            continue  # One a layer: made anew for so many layers.
        if isinstance(value, dict) and name.endswith("config"):
            out[name] = _cut(value, vocabulary)
        elif isinstance(value, dict) and "mrope_section" in value:
            out[name] = {**value, "mrope_section": [2, 1, 1]}
        elif name == "num_key_value_heads" and value == heads:
            out[name] = 4
        elif isinstance(value, int) and not isinstance(value, bool):
            out[name] = _size(name, value, vocabulary)
        else:
            out[name] = value
    return out


def _size(name: str, value: int, vocabulary: int) -> int:
    for at, (pattern, size) in enumerate(SIZES):
        if re.fullmatch(pattern, name):
            return vocabulary if at == 0 else min(size, value) if value > 0 else value
    if re.search(r"token_id|token_index", name):
        return vocabulary - 1 - sum(map(ord, name)) % 60 if value >= vocabulary else value
    return value


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    out = dict(one)
    for name, value in other.items():
        if value is ...:
            out.pop(name, None)
        elif isinstance(value, dict) and isinstance(out.get(name), dict):
            out[name] = _merged(out[name], value)
        else:
            out[name] = value
    return out


def _parts(config: Any) -> list[Any]:
    found = [config]
    for name in getattr(type(config), "sub_configs", {}):
        part = getattr(config, name, None)
        if part is not None and not isinstance(part, dict):
            found += _parts(part)
    return found


def main() -> None:
    """Print a configuration."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind")
    print(pico_config(parser.parse_args().kind, 256, 2))


if __name__ == "__main__":
    main()
