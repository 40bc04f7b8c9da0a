import copy

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from overmem.auditing.head import BLOCK, WORTH_CUTTING, cut_head


def pico(vocabulary, bias=False):
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        vocab_size=vocabulary,
    )
    model = LlamaForCausalLM(config).eval()
    if bias:
        model.lm_head = torch.nn.Linear(16, vocabulary)
    return model


@pytest.mark.parametrize("bias", [False, True])
def test_a_cut_head_gives_every_logit_of_the_whole_one(bias):
    # The last block is not full: a border that lost or doubled an output would show.
    whole = pico(WORTH_CUTTING + BLOCK // 3, bias)
    cut = copy.deepcopy(whole)
    cut_head(cut)
    ids = torch.randint(0, 1000, (3, 7))
    with torch.inference_mode():
        expected, found = whole(ids).logits, cut(ids).logits
    assert "forward" in vars(cut.lm_head)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-5)


def test_gradients_still_flow_through_a_cut_head():
    whole = pico(WORTH_CUTTING)
    cut = copy.deepcopy(whole)
    cut_head(cut)
    ids = torch.randint(0, 1000, (2, 5))
    for model in (whole, cut):
        model(ids, labels=ids).loss.backward()
    assert torch.equal(cut.lm_head.weight.grad, whole.lm_head.weight.grad)
    assert cut.lm_head.weight.grad.any()


@pytest.mark.parametrize("change", ["small", "bf16", "wrapped", "none"])
def test_other_heads_are_left_alone(change):
    # It was measured for a plain fp32 layer only; an adapter's layer has a forward of its own.
    model = pico(768 if change == "small" else WORTH_CUTTING)
    if change == "bf16":
        model.to(torch.bfloat16)
    elif change == "wrapped":
        model.lm_head = torch.nn.Sequential(model.lm_head)
    elif change == "none":
        model.get_output_embeddings = lambda: None
    cut_head(model)
    assert not any("forward" in vars(module) for module in model.modules())
