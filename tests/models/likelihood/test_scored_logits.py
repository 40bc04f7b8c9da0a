"""References are scored in a way that suits the model: figures are those of one text at a time."""

import pytest
import torch
import transformers
from benchmarks.pico_models import pico_config, randomize

from overmem.errors import CheckpointError
from overmem.models import trials
from overmem.models.likelihood import scored_logits
from overmem.models.likelihood.scored_logits import scoring_way
from overmem.models.likelihood.scoring import score_all
from overmem.rendering.render import render
from overmem.rendering.template import Template
from tests.conftest import VAL_ROWS, make_pico
from tests.models.decoding.test_ways import Foreign, build
from tests.models.likelihood.test_scoring import naive_nll

KINDS = {
    "mamba": "MambaForCausalLM",
    "rwkv": "RwkvForCausalLM",
    "recurrent_gemma": "RecurrentGemmaForCausalLM",
}


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch):
    monkeypatch.setattr(scored_logits, "_found", trials.Trials())


@pytest.fixture(scope="module")
def rendered(tokenizer):
    from overmem.records import Example

    return [render(Example(r["id"], r["prompt"], r["completion"]), tokenizer, Template()) for r in VAL_ROWS][
        :5
    ]


def nll(scores):
    return [-sum(score.logprob) for score in scores]


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_models_are_scored_right(kind, rendered, tokenizer):
    model = build(kind, KINDS[kind], tokenizer)
    expected = [naive_nll(model, item) for item in rendered]
    assert nll(score_all(model, rendered)) == pytest.approx(expected, rel=1e-5)


def test_a_model_without_a_body_gives_all_its_logits(rendered, tokenizer):
    model = make_pico(tokenizer, seed=1)
    expected = [naive_nll(model, item) for item in rendered]
    assert nll(score_all(Foreign(model).eval(), rendered)) == pytest.approx(expected, rel=1e-5)
    assert scoring_way(Foreign(model), rendered) == "all logits"


class Padded(Foreign):
    """A model that padding changes."""

    def forward(self, input_ids, attention_mask=None):
        out = super().forward(input_ids)
        if attention_mask is not None and not attention_mask.all():
            out.logits = out.logits + 1.0 * torch.randn_like(out.logits)
        return out


def test_where_padding_changes_a_model_texts_are_scored_one_by_one(rendered, tokenizer, caplog):
    model = make_pico(tokenizer, seed=1)
    expected = [naive_nll(model, item) for item in rendered]
    assert nll(score_all(Padded(model).eval(), rendered)) == pytest.approx(expected, rel=1e-5)
    assert [r.getMessage() for r in caplog.records] == [
        "Padded: padding or a single pass changes it; references are scored one by one"
    ]


def test_a_prompt_that_is_read_in_both_directions_is_scored_as_it_is_answered(rendered, tokenizer):
    """PaliGemma: by its own cache, token by token; a single pass would show it what it is to predict."""
    model = build("paligemma", "PaliGemmaForConditionalGeneration", tokenizer)
    for item, score in zip(rendered, score_all(model, rendered), strict=True):
        with torch.inference_mode():
            out = model(input_ids=torch.tensor([item.prompt_ids]), use_cache=True)
            cache = getattr(out, "cache", None) or out.past_key_values
            found = []
            for token in item.completion_ids:
                found.append(float(torch.log_softmax(out.logits[0, -1], -1)[token]))
                seen = torch.ones(1, len(item.prompt_ids) + len(found), dtype=torch.long)
                out = model(input_ids=torch.tensor([[token]]), attention_mask=seen, past_key_values=cache)
        assert score.logprob == pytest.approx(found, abs=2e-4)


def test_a_model_that_sees_what_it_is_to_predict_is_refused(rendered, tokenizer):
    config = pico_config("bert", len(tokenizer), tokenizer.eos_token_id)
    torch.manual_seed(0)
    causal = randomize(transformers.BertLMHeadModel(config)).eval()
    expected = [naive_nll(causal, item) for item in rendered]
    assert nll(score_all(causal, rendered)) == pytest.approx(expected, rel=1e-4)
    config.is_decoder = False
    model = randomize(transformers.BertLMHeadModel(config)).eval()
    with pytest.raises(
        CheckpointError, match=r"sees the tokens that it is to predict[\s\S]*got: +BertLMHead"
    ):
        score_all(model, rendered)
