import pytest
import torch
import transformers

import overmem.models.generation
from overmem.errors import CheckpointError
from overmem.models.attention import NAME, attend, can_share, seeing, shared_tokens
from overmem.models.engines import hf
from overmem.models.generation import generate
from overmem.models.kv_cache import RowCache, cache_keyword, can_join
from overmem.models.positions import changing_rotations, groups
from overmem.models.sampling import Sampling
from overmem.models.stop_tokens import stop_ids
from tests.conftest import VAL_ROWS, make_pico


@pytest.fixture(scope="module")
def model(tokenizer):
    return make_pico(tokenizer, seed=5)


@pytest.fixture(scope="module")
def prompts(tokenizer):
    return [tokenizer(row["prompt"])["input_ids"] for row in VAL_ROWS]


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


def test_batched_answers_equal_generate_one_by_one(model, prompts, tokenizer):
    # A frequent token as a stop makes some answers end early, which padding then must not touch.
    stops = sorted({tokenizer.eos_token_id, one_by_one(model, prompts[0], [tokenizer.eos_token_id], 12)[5]})
    answers = [a for (a,) in generate(model, prompts, tokenizer, stops=stops, max_new_tokens=24)]
    assert len({len(a.tokens) for a in answers}) > 1
    for prompt, answer in zip(prompts, answers, strict=True):
        expected = one_by_one(model, prompt, stops, 24)
        assert answer.text == tokenizer.decode(expected, skip_special_tokens=True)
        assert list(answer.tokens) == expected
        assert answer.finished == (expected[-1] in stops)


def test_mean_logprob_is_that_of_the_tokens_written(model, prompts, tokenizer):
    stops = [tokenizer.eos_token_id]
    answer = generate(model, prompts[:3], tokenizer, stops=stops, max_new_tokens=10)[1][0]
    written = one_by_one(model, prompts[1], stops, 10)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompts[1] + written])).logits[0]
    logprobs = torch.log_softmax(logits, -1)[len(prompts[1]) - 1 : -1]
    expected = logprobs.gather(1, torch.tensor(written)[:, None]).mean().item()
    assert answer.mean_logprob == pytest.approx(expected, abs=1e-4)


def test_stops_gather_every_end(model, tokenizer):
    model.generation_config.eos_token_id = [3, 4]
    try:
        assert stop_ids(model, tokenizer, 9) == sorted({3, 4, 9, tokenizer.eos_token_id})
    finally:
        model.generation_config.eos_token_id = tokenizer.eos_token_id


def test_samples_do_not_depend_on_the_batch(model, prompts, tokenizer):
    # Random numbers tied to the batch's row, or a cache whose rows are mixed up, would differ.
    ids = [f"p{i}" for i in range(len(prompts))]
    drawn = Sampling(samples=4, temperature=0.8, seed=3)
    limits = {"stops": [tokenizer.eos_token_id], "max_new_tokens": 12}
    together = generate(model, prompts, tokenizer, sampling=drawn, example_ids=ids, **limits)
    for index in (0, 5, 11):
        alone = generate(
            model, [prompts[index]], tokenizer, sampling=drawn, example_ids=[ids[index]], **limits
        )
        assert [a.tokens for a in alone[0]] == [a.tokens for a in together[index]]
    assert len({a.tokens for a in together[0]}) > 1
    more = Sampling(samples=6, temperature=0.8, seed=3)
    again = generate(model, prompts[:1], tokenizer, sampling=more, example_ids=ids[:1], **limits)
    assert [a.tokens for a in again[0][:4]] == [a.tokens for a in together[0]]


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_the_first_token_follows_the_tempered_distribution(model, prompts, tokenizer, temperature):
    drawn = Sampling(samples=4000, temperature=temperature, seed=0)
    answers = generate(
        model, prompts[:1], tokenizer, stops=[0], max_new_tokens=1, sampling=drawn, example_ids=["a"]
    )
    counts = torch.bincount(torch.tensor([a.tokens[0] for a in answers[0]]), minlength=len(tokenizer))
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor(prompts[:1])).logits[0, -1]
    expected = (logits / temperature).softmax(-1)
    seen = expected * 4000 > 5
    chi2 = ((counts[seen] - 4000 * expected[seen]) ** 2 / (4000 * expected[seen])).sum().item()
    # Mean of a chi-square is its degrees of freedom; six standard deviations above never happens.
    assert chi2 < seen.sum() + 6 * (2 * seen.sum()) ** 0.5
    assert (counts[expected * 4000 < 0.01]).sum() < 20


def test_a_finished_row_leaves_the_batch_and_the_others_go_on(model, prompts, tokenizer, monkeypatch):
    widths = []
    forward = model.forward

    def spy(*args, **kwargs):
        widths.append(len(kwargs["input_ids"]))
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", spy)
    first = [one_by_one(model, p, [tokenizer.eos_token_id], 4)[1] for p in prompts]
    widths.clear()
    generate(model, prompts, tokenizer, stops=sorted(set(first[:6])), max_new_tokens=8)
    assert widths[-1] < max(widths) == len(prompts)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_rows_that_join_later_answer_as_they_would_alone(model, prompts, tokenizer, monkeypatch, rows):
    # A wrong start, position or mask of a row that takes over another's place would show, and so would
    # a cache that is moved to the front while rows of several ages are in it.
    stops = sorted({tokenizer.eos_token_id, one_by_one(model, prompts[0], [0], 5)[4]})
    monkeypatch.setattr(overmem.models.generation, "SLACK", 1.0)
    moved = []
    to_front = RowCache.move_to_front
    monkeypatch.setattr(RowCache, "move_to_front", lambda cache: (moved.append(1), to_front(cache))[1])
    answers = generate(model, prompts * 3, tokenizer, stops=stops, max_new_tokens=24, rows=rows)
    expected = [one_by_one(model, prompt, stops, 24) for prompt in prompts]
    assert moved
    assert len({len(tokens) for tokens in expected}) > 1
    assert [list(answer.tokens) for (answer,) in answers] == expected * 3


def test_samples_that_join_later_are_those_drawn_together(model, prompts, tokenizer):
    ids = [f"p{i}" for i in range(len(prompts))]
    settings = {
        "stops": [tokenizer.eos_token_id, 5, 6, 7],
        "max_new_tokens": 12,
        "sampling": Sampling(samples=3, temperature=0.9, seed=1),
        "example_ids": ids,
    }
    together = generate(model, prompts, tokenizer, **settings)
    # Four rows at once part the three samples of a prompt.
    apart = generate(model, prompts, tokenizer, rows=4, **settings)
    assert [[a.tokens for a in answers] for answers in apart] == [
        [a.tokens for a in answers] for answers in together
    ]
    assert [a.mean_logprob for answers in apart for a in answers] == pytest.approx(
        [a.mean_logprob for answers in together for a in answers], abs=1e-5
    )


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


@pytest.mark.parametrize("kind", ["sliding window", "window and full", "learned positions", "recurrent"])
def test_other_architectures_answer_as_they_do_one_by_one(kind, prompts, tokenizer):
    model = other_model(kind, tokenizer)
    assert can_join(model.config) == (kind != "recurrent")
    stops = sorted({tokenizer.eos_token_id, one_by_one(model, prompts[0], [0], 5)[4]})
    answers = generate(model, prompts, tokenizer, stops=stops, max_new_tokens=12, rows=3)
    for prompt, (answer,) in zip(prompts, answers, strict=True):
        assert list(answer.tokens) == one_by_one(model, prompt, stops, 12)


CHANGING = ["long and short factors", "stretched rotations"]


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
        (list(g.prompts), g.positions, g.alone) for g in groups(other_model(kind, tokenizer), lengths, 12)
    ]
    short = ([0], ORIGINAL, False)
    if kind == "stretched rotations":
        assert found == [short, *(([i], None, True) for i in (1, 2, 3, 4))]
    else:
        assert found == [short, ([3, 4], None, False), ([1], None, True), ([2], None, True)]
    assert [list(g.prompts) for g in groups(make_pico(tokenizer, seed=1), lengths, 12)] == [[0, 1, 2, 3, 4]]


def test_rotations_of_each_type_of_layer_are_looked_at(tokenizer):
    model = make_pico(tokenizer, seed=1)
    limits = {"rope_type": "longrope", "original_max_position_embeddings": 64}
    model.config.rope_parameters = {"sliding_attention": {"rope_type": "default"}, "full_attention": limits}
    assert changing_rotations(model) == {"longrope": 64}
    assert not can_share(model)


@pytest.mark.parametrize("kind", ["gpt2", "opt"])
def test_rows_may_use_every_learned_position_and_are_fed_none_beyond(kind, prompts, tokenizer, monkeypatch):
    shape = {"vocab_size": len(tokenizer), "eos_token_id": None, "bos_token_id": None, "pad_token_id": 0}
    torch.manual_seed(0)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            n_embd=16, n_layer=1, n_head=2, n_positions=40, initializer_range=0.5, **shape
        )
    else:
        config = transformers.OPTConfig(
            hidden_size=16, ffn_dim=32, num_hidden_layers=1, num_attention_heads=2, word_embed_proj_dim=16,
            max_position_embeddings=40, init_std=0.5, **shape,
        )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    text = [token for prompt in prompts for token in prompt]
    longest, others = text[:30], [text[n : n + 20] for n in range(40)]
    alone = [one_by_one(model, prompt, [0], 10) for prompt in (longest, *others)]
    # Three that stop soon give their places to three that do not, beside the longest, which ends the table:
    # done, it is no more than a quarter of all, and goes on being fed.
    stop, soon, late = next(
        (token, soon[:3], late[:3])
        for token in sorted(set().union(*alone) - set(alone[0]))
        if len(soon := [i for i in range(1, 41) if token in alone[i][:3]]) >= 3
        and len(late := [i for i in range(1, 41) if token not in alone[i]]) >= 3
    )
    monkeypatch.setattr(overmem.models.generation, "LEAVE_SHARE", 1 / 2)
    asked = [longest, *(others[i - 1] for i in (*soon, *late))]
    answers = generate(model, asked, tokenizer, stops=[stop], max_new_tokens=10, rows=4)
    assert [list(answers[n][0].tokens) for n in (0, 4, 5, 6)] == [alone[i] for i in (0, *late)]
    # Recall asks for more than there is room for, and compares what there was room for.
    longer = generate(model, asked[:1], tokenizer, stops=(), max_new_tokens=32)[0][0].tokens
    assert list(longer[:10]) == alone[0] and len(longer) == 32


def test_a_recurrent_model_samples_too(prompts, tokenizer):
    model = other_model("recurrent", tokenizer)
    settings = {"stops": [tokenizer.eos_token_id], "max_new_tokens": 6}
    drawn = Sampling(samples=3, temperature=1.0, seed=0)
    answers = generate(
        model, prompts[:4], tokenizer, sampling=drawn, example_ids=list("abcd"), rows=6, **settings
    )
    alone = generate(model, prompts[2:3], tokenizer, sampling=drawn, example_ids=["c"], **settings)
    assert [a.tokens for a in answers[2]] == [a.tokens for a in alone[0]]


def test_where_memory_runs_out_fewer_are_written_at_once_and_none_is_lost(
    model, prompts, tokenizer, monkeypatch
):
    asked = []

    def small_device(*args, rows, **kwargs):
        asked.append(rows)
        if rows > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return generate(*args, rows=rows, **kwargs)

    monkeypatch.setattr(hf, "generate", small_device)
    settings = {"stops": [tokenizer.eos_token_id], "max_new_tokens": 8}
    own = max(map(len, prompts)) - shared_tokens(model, prompts)
    engine = hf.HfEngine(batch_tokens=8 * (own + 8))
    answers = engine.generate(model, prompts, tokenizer, **settings)
    assert asked == [8, 4, 2]
    expected = generate(model, prompts, tokenizer, **settings)
    assert [a[0].tokens for a in answers] == [a[0].tokens for a in expected]
    engine.generate(model, prompts, tokenizer, **settings)
    assert asked[3:] == [2], "what did not fit once is not tried again"
    monkeypatch.setattr(hf, "generate", lambda *args, **kwargs: small_device(rows=3))
    with pytest.raises(CheckpointError, match="memory does not hold one problem"):
        engine.generate(model, prompts, tokenizer, **settings)


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
        with seeing(model, prefix[0].tolist()):
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
    monkeypatch.setattr(overmem.models.generation, "shared_tokens", lambda *args: 0)
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
    with seeing(model, []):
        assert model.config._attn_implementation == NAME
    assert model.config._attn_implementation != NAME


def test_the_model_is_as_it_was_where_answers_fail_midway(model, tokenizer):
    before = model.config._attn_implementation
    with pytest.raises(RuntimeError, match="midway"), seeing(model, [5, 6, 7]):
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
