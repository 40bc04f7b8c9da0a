"""Long texts in pieces: the loss of plain transformers, whatever a head does, in bounded memory."""

from dataclasses import dataclass

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model

from overmem.models import batches, trials
from overmem.models.likelihood import scored_logits
from overmem.models.likelihood.lm_head import read_hidden_states
from overmem.models.likelihood.scored_logits import scoring_way
from overmem.models.likelihood.scoring import score_all, score_batch
from tests.conftest import make_pico
from tests.helpers.allocations import peak_allocated_bytes
from tests.models.decoding.test_ways import Foreign, build
from tests.models.likelihood.test_scoring import naive_nll

KINDS = {
    "phi": ("PhiForCausalLM", "in pieces"),
    "gemma2": ("Gemma2ForCausalLM", "in pieces"),
    "gemma3_text": ("Gemma3ForCausalLM", "in pieces"),
    "cohere": ("CohereForCausalLM", "in pieces"),
    "granite": ("GraniteForCausalLM", "in pieces"),
    "opt": ("OPTForCausalLM", "in pieces"),
    "bloom": ("BloomForCausalLM", "in pieces"),
    "mamba": ("MambaForCausalLM", "padded"),
    "recurrent_gemma": ("RecurrentGemmaForCausalLM", "padded"),
}
"""A bias, soft caps with windows, windows, two scales, learned positions, distances as biases; two states."""


@dataclass(frozen=True)
class Text:
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]

    @property
    def input_ids(self):
        return (*self.prompt_ids, *self.completion_ids)

    @property
    def scored_mask(self):
        return [True] * len(self.completion_ids)

    def __len__(self):
        return len(self.input_ids)


def texts(vocabulary, *lengths):
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randint(4, vocabulary, (n,), generator=generator).tolist() for n in lengths]
    return [Text(tuple(ids[:5]), tuple(ids[5:])) for ids in drawn]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(scored_logits, "_found", trials.Trials())
    monkeypatch.setitem(batches.CACHED_TOKENS, "cpu", 32)
    monkeypatch.setattr(batches, "WIDE_LOGITS", 10_000)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_in_pieces_has_the_loss_of_plain_transformers(kind, tokenizer):
    name, way = KINDS[kind]
    model = build(kind, name, tokenizer)
    asked = texts(len(tokenizer), 90, 77, 33)
    expected = [naive_nll(model, item) for item in asked]
    assert [-sum(s.logprob) for s in score_all(model, asked)] == pytest.approx(expected, rel=1e-5)
    # Of several lengths at once, some of which end before the last piece.
    assert [-sum(s.logprob) for s in score_batch(model, asked)] == pytest.approx(expected, rel=1e-5)
    assert scoring_way(model, asked) == way


def test_what_follows_the_longest_text_of_a_pass_is_read_at_once(tokenizer):
    """Phi-3's rotations: a first piece would be read as a short text; no trial on few tokens sees it."""
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [9.0] * 4}
    model = make_pico(tokenizer, seed=1, rope_parameters={**rope, "original_max_position_embeddings": 40})
    asked = texts(len(tokenizer), 90, 40, 41, 33)
    expected = [naive_nll(model, item) for item in asked]
    assert [-sum(s.logprob) for s in score_all(model, asked)] == pytest.approx(expected, rel=1e-5)
    assert scoring_way(model, asked) == "padded"
    # Nor does a long one make short ones long that it is padded together with.
    assert [-sum(s.logprob) for s in score_batch(model, asked)] == pytest.approx(expected, rel=1e-5)


def test_an_adapter_on_body_and_head_counts(tokenizer):
    torch.manual_seed(3)
    config = LoraConfig(
        r=2, init_lora_weights=False, target_modules=["q_proj", "lm_head"], task_type="CAUSAL_LM"
    )
    model = get_peft_model(make_pico(tokenizer, seed=1, tie_word_embeddings=False), config).eval()
    asked = texts(len(tokenizer), 90)
    (found,), (expected,) = score_all(model, asked), [naive_nll(model, item) for item in asked]
    assert -sum(found.logprob) == pytest.approx(expected, rel=1e-5)
    with model.disable_adapter():
        assert abs(naive_nll(model, asked[0]) - expected) > 0.1
    assert scoring_way(model, asked) == "in pieces"


def test_memory_does_not_follow_the_length_times_the_vocabulary(tokenizer, monkeypatch):
    monkeypatch.setattr(batches, "WIDE_LOGITS", 50_000)
    monkeypatch.setitem(batches.CACHED_LOGITS, "cpu", 50_000)
    monkeypatch.setitem(batches.CACHED_TOKENS, "cpu", 512)
    model = make_pico(tokenizer, seed=1, vocab_size=5000, max_position_embeddings=1024)
    short, long = texts(5000, 50, 500)
    score_all(model, [short])
    peaks = [peak_allocated_bytes(lambda item=item: score_all(model, [item])) for item in (short, long)]
    all_logits = 500 * 5000 * 4
    assert peaks[1] - peaks[0] < all_logits / 20
    assert peaks[1] < all_logits / 5
    plain = peak_allocated_bytes(lambda: score_all(Foreign(model).eval(), [long]))
    assert plain > all_logits, "what is counted"


def test_a_model_is_as_it_was(tokenizer):
    model = make_pico(tokenizer, seed=1)
    ids = torch.tensor([texts(len(tokenizer), 12)[0].input_ids])
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        hidden = read_hidden_states(model, ids)
        assert torch.allclose(hidden.logits(3, 7), before[:, 3:7], atol=1e-5)
        assert torch.equal(model(input_ids=ids).logits, before)
    assert "forward" not in vars(model.model) and not model.model._forward_hooks
    assert isinstance(model, transformers.LlamaForCausalLM)
