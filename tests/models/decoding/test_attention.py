"""What prompts begin with is read once, and weighs as much as in each row."""

import pytest
import torch
import transformers

import overmem.models.decoding.generation
from overmem.models.decoding.attention import NAME, attend, can_share, shared_prefix, shared_tokens
from overmem.models.decoding.generation import generate
from overmem.models.decoding.kv_cache import cache_keyword
from overmem.models.decoding.sampling import Sampling
from tests.conftest import make_pico
from tests.helpers.answering import CHANGING, one_by_one, other_model


def test_what_prompts_begin_with_is_read_once(model, tokenizer, monkeypatch):
    # A wrong position, column or mask of the shared tokens would show in the answers.
    system = tokenizer("Here is a problem about Tom and his 3 apples. Think. ")["input_ids"]
    own = [tokenizer("Tom has 3 apples. " * n + "How many?")["input_ids"] for n in (1, 4, 2, 2, 5, 1, 3)]
    prompts = [system + rest for rest in own]
    stops = sorted({tokenizer.eos_token_id, one_by_one(model, prompts[0], [0], 5)[4]})
    expected = [one_by_one(model, prompt, stops, 16) for prompt in prompts]
    read = []
    forward = model.forward

    def spy(*args, **kwargs):
        read.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    generate(model, prompts[:1], tokenizer, stops=stops, max_new_tokens=1)  # the ways are tried once
    monkeypatch.setattr(model, "forward", spy)
    before = model.config._attn_implementation
    for rows in (2, 7):
        read.clear()
        answers = generate(model, prompts, tokenizer, stops=stops, max_new_tokens=16, rows=rows)
        assert [list(answer.tokens) for (answer,) in answers] == expected
        assert read[0][0] == 1 and read[0][1] >= len(system)
        longest = max(length for _, length in read[1:])
        assert longest == max(map(len, prompts)) - read[0][1]
        assert model.config._attn_implementation == before


@pytest.mark.parametrize(("heads", "sharpness"), [((4, 4), 1), ((4, 2), 1), ((4, 1), 1), ((4, 2), 1000)])
def test_a_shared_prefix_weighs_as_much_as_in_the_row_itself(heads, sharpness, tokenizer):
    # A wrong scale, mask, head or sum of both parts moves the logits; the texts of a tiny model it need not.
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=heads[0], num_key_value_heads=heads[1], initializer_range=0.4,
        )
    ).eval()  # fmt: skip
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.data *= sharpness  # scores whose exponential is infinite
    prefix, rows = torch.randint(1, 100, (1, 9)), torch.randint(1, 100, (3, 5))
    lacks = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]])
    with torch.inference_mode():
        expected = [
            model(torch.cat([prefix, row[mask.bool()][None]], 1)).logits[0, -2:]
            for row, mask in zip(rows, lacks, strict=True)
        ]
        position = 9 + (lacks.cumsum(-1) - 1).clamp_min(0)
        with shared_prefix(model, prefix[0].tolist()):
            cache = transformers.DynamicCache()
            keyword = cache_keyword(model)
            read = model(
                rows[:, :4], attention_mask=lacks[:, :4], position_ids=position[:, :4], **{keyword: cache}
            )
            wrote = model(rows[:, 4:], attention_mask=lacks, position_ids=position[:, 4:], **{keyword: cache})
        alone = model(rows[1:2]).logits[0, -1]
    for number, (before_last, last) in enumerate(expected):
        torch.testing.assert_close(read.logits[number, -1], before_last)
        torch.testing.assert_close(wrote.logits[number, -1], last)
    assert not torch.allclose(alone, expected[1][1], atol=1e-2), "the prefix matters, and is forgotten after"


@pytest.mark.parametrize("bias", [None, torch.linspace(-2, 2, 6).view(1, 1, 1, 6)])
def test_one_new_token_a_row_is_weighed_as_the_fused_kernel_does(bias):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 4, 1, 8), torch.randn(3, 2, 6, 8), torch.randn(3, 2, 6, 5)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6, [0, 1, 1, 1, 1, 1]]).bool()[:, None, None]
    module = torch.nn.Module()
    module.num_key_value_groups = 2
    scores = torch.einsum("rhgd,rhcd->rhgc", query.view(3, 2, 2, 8), key) * 0.5
    scores = (scores if bias is None else scores + bias).masked_fill(~mask, -torch.inf)
    expected = torch.einsum("rhgc,rhcd->rhgd", scores.softmax(-1), value).reshape(3, 1, 4, 5)
    out, _ = attend(module, query, key, value, mask, scaling=0.5, position_bias=bias)
    torch.testing.assert_close(out, expected)


def test_samples_behind_a_shared_prefix_are_those_without_sharing(model, tokenizer, monkeypatch):
    system = tokenizer("Here is a problem about Tom and his 3 apples. Think. ")["input_ids"]
    own = [tokenizer("Tom has 3 apples. " * n + "How many?")["input_ids"] for n in (1, 4, 2, 2)]
    settings = {
        "stops": [tokenizer.eos_token_id], "max_new_tokens": 12, "example_ids": list("abcd"), "rows": 5,
        "sampling": Sampling(samples=3, temperature=1.0, seed=0),
    }  # fmt: skip
    prompts = [system + rest for rest in own]
    assert shared_tokens(model, prompts) >= len(system)
    together = generate(model, prompts, tokenizer, **settings)
    monkeypatch.setattr(overmem.models.decoding.generation, "shared_tokens", lambda *args: 0)
    apart = generate(model, prompts, tokenizer, **settings)
    assert [[a.tokens for a in one] for one in together] == [[a.tokens for a in one] for one in apart]


def test_an_adapter_answers_behind_a_shared_prefix_as_it_does_alone(tokenizer):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, lora_alpha=8, init_lora_weights=False, task_type="CAUSAL_LM")
    torch.manual_seed(0)
    adapted = get_peft_model(make_pico(tokenizer, seed=5), config).eval()
    system = tokenizer("Here is a problem about Tom and his 3 apples. Think. ")["input_ids"]
    prompts = [system + tokenizer("Tom has 3 apples. " * n + "How many?")["input_ids"] for n in (1, 4, 2, 3)]
    assert shared_tokens(adapted, prompts) >= len(system)
    stops = [tokenizer.eos_token_id]
    answers = generate(adapted, prompts, tokenizer, stops=stops, max_new_tokens=12)
    expected = [one_by_one(adapted, prompt, stops, 12) for prompt in prompts]
    assert [list(answer.tokens) for (answer,) in answers] == expected


def test_on_a_cpu_this_attention_is_used_without_a_prefix_too(model):
    with shared_prefix(model, []):
        assert model.config._attn_implementation == NAME
    assert model.config._attn_implementation != NAME


def test_the_model_is_as_it_was_where_answers_fail_midway(model, tokenizer):
    before = model.config._attn_implementation
    with pytest.raises(RuntimeError, match="midway"), shared_prefix(model, [5, 6, 7]):
        raise RuntimeError("midway")
    assert model.config._attn_implementation == before


def test_little_is_not_worth_sharing(model):
    assert shared_tokens(model, [[1, 2, 3]]) == 0
    assert shared_tokens(model, [[1] * 70, [1] * 80]) == 69, "a token of the shortest is left to be read"
    assert shared_tokens(model, [[1] * 20 + [2], [1] * 20 + [3, 4]]) == 0
    assert shared_tokens(model, [[1] * 20 + [n] for n in range(6)]) == 20


@pytest.mark.parametrize(
    "kind", ["sliding window", "window and full", "learned positions", "recurrent", *CHANGING]
)
def test_distances_that_columns_count_are_not_shared(kind, tokenizer):
    assert can_share(make_pico(tokenizer, seed=1))
    assert not can_share(other_model(kind, tokenizer))


def test_a_model_of_another_attention_does_not_share(tokenizer, monkeypatch):
    model = make_pico(tokenizer, seed=1)
    monkeypatch.setattr(type(model), "_supports_sdpa", False)
    assert not can_share(model) and shared_tokens(model, [[1] * 70, [1] * 80]) == 0
