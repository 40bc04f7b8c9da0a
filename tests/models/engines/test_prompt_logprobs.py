"""References scored by an engine: the loss of plain transformers, of our very tokens, or nothing at all."""

import dataclasses
import math
import shutil

import numpy as np
import pytest

import overmem
from overmem.errors import CheckpointError, EngineError, RunError
from overmem.models.engines.address import parse_engine
from overmem.models.engines.openai import OpenAiEngine
from overmem.models.engines.prompt_logprobs import ids_of, likelihood_row
from overmem.models.engines.transport import RetryPolicy
from overmem.models.likelihood.scoring import score_all
from overmem.records import Checkpoint, Example
from overmem.rendering.render import render
from overmem.rendering.template import Template
from tests.conftest import VAL_ROWS, make_pico
from tests.helpers import fake_vllm
from tests.helpers.completions_server import CompletionsServer

ASKED = {"max_new_tokens": 3, "limit": 4, "grader": "regex:([A-Za-z]+)", "base_row": False}
NAMES = ("checkpoint-10", "checkpoint-20")


def rendered(given, tokenizer):
    return render(Example(given["id"], given["prompt"], given["completion"]), tokenizer, Template())


@pytest.fixture
def item(tokenizer):
    return rendered(VAL_ROWS[0], tokenizer)


@pytest.fixture
def run(pico_run):
    shutil.rmtree(pico_run / "checkpoint-100")
    return pico_run


def seen_by(model, item):
    return fake_vllm.prompt_logprobs(model, ids_of(item), 1)


def test_a_row_holds_what_our_own_scores_hold(model, item):
    mask = tuple(at % 3 != 1 for at in range(len(item.completion_ids)))
    item = dataclasses.replace(item, scored=mask)
    found = likelihood_row(item, seen_by(model, item))
    expected = score_all(model, [item])[0].to_row()
    assert found.keys() == expected.keys() and found["n_tokens"] == sum(mask)
    for name in ("nll_nats", "logprob", "top1_logprob", "is_top1"):
        assert found[name] == pytest.approx(expected[name], abs=1e-5, rel=1e-6), name
    for name in ("entropy", "mu", "sigma"):
        assert len(found[name]) == found["n_tokens"] and all(map(math.isnan, found[name]))


def spoiled(found, item, how):
    at = len(item.prompt_ids)
    token = ids_of(item)[at]
    entry = dict(found[at])
    changed = {
        "above 0": {"logprob": 0.5},
        "no number": {"logprob": "-1"},
        "undefined": {"logprob": math.nan},
        "probability 0": {"logprob": -9999.0},
        "no rank": {"rank": 0},
    }
    if how in changed:
        entry[token] = entry[token] | changed[how]
    entry = {
        "one is missing": None,
        "another token": {token + 1: entry[token]},
        "no first choice": {token: {"logprob": -3.0, "rank": 4}},
    }.get(how, entry)
    return {"none at all": None, "too few": found[:-1]}.get(how, [*found[:at], entry, *found[at + 1 :]])


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("none at all", "no log-probabilities of the prompt"),
        ("too few", "tokens where the prompt has"),
        ("one is missing", "no log-probability of token"),
        ("another token", "no log-probability of our token"),
        ("above 0", "above 0"),
        ("no number", "that is no number"),
        ("undefined", "that is no number"),
        ("probability 0", "probability 0"),
        ("no rank", "a rank that is none"),
        ("no first choice", "no likeliest token"),
    ],
)
def test_what_is_not_ln_p_of_our_tokens_is_refused(model, item, how, said):
    with pytest.raises(ValueError, match=said):
        likelihood_row(item, spoiled(seen_by(model, item), item, how))


def check_rows(audit, tokenizer):
    """They are those of plain models; other temperatures are not known."""
    for step in (10, 20):
        found = {
            r["example_id"]: r for r in audit.store.read_rows(f"checkpoint-{step}", "likelihood").to_dicts()
        }
        assert len(found) == ASKED["limit"]
        items = [rendered(given, tokenizer) for given in VAL_ROWS if given["id"] in found]
        for scores, item in zip(score_all(make_pico(tokenizer, seed=step), items), items, strict=True):
            row = found[item.example_id]
            np.testing.assert_allclose(row["logprob"], scores.logprob, atol=1e-5)
            assert row["nll_nats"] == pytest.approx(-sum(scores.logprob), rel=1e-5)
            assert row["is_top1"] == scores.is_top1
    assert audit.manifest.temperatures == ()


def never(*_):
    raise AssertionError("the model in memory is not needed")


def test_vllm_scores_and_no_model_is_loaded(run, val_file, tokenizer, monkeypatch):
    fake_vllm.install(monkeypatch, tokenizer)
    monkeypatch.setattr("overmem.models.loading.ModelHost.load", never)
    audit = overmem.audit(run, val=str(val_file), engine="vllm", engine_scores=True, **ASKED)
    check_rows(audit, tokenizer)
    severity = overmem.diagnose(audit).severity
    assert math.isnan(severity.temperature_recovers_share) and severity.reason


def test_a_server_scores_where_no_answer_was_missing_to_connect_for(run, item, tokenizer):
    """As right answers of one checkpoint, which are a set only once the core is there."""
    with CompletionsServer({name: run / name for name in NAMES}, tokenizer, scores=True) as server:
        engine = OpenAiEngine(
            parse_engine(server.engine), scores=True, retry_policy=RetryPolicy(timeout_seconds=5)
        )
        here, elsewhere = (
            Checkpoint(name=name, step=10, path=run / name, kind="full") for name in (NAMES[0], "elsewhere")
        )
        (row,) = engine.score(here, [item])
        with pytest.raises(CheckpointError, match="is not served by"):
            engine.score(elsewhere, [item])
    assert row["n_tokens"] == sum(item.scored_mask)


def test_a_server_scores_and_one_that_cannot_is_refused_at_once(run, val_file, tokenizer, monkeypatch):
    monkeypatch.setattr("overmem.models.loading.ModelHost.load", never)
    asked = {"val": str(val_file), "engine_scores": True, **ASKED}
    served = {name: run / name for name in NAMES}
    with CompletionsServer(served, tokenizer, scores=True) as server:
        check_rows(overmem.audit(run, engine=server.engine, **asked), tokenizer)
    with (
        CompletionsServer(served, tokenizer) as server,
        pytest.raises(EngineError, match="does not score references") as error,
    ):
        overmem.audit(run, engine=server.engine, out=run / "other", **asked)
    assert "no log-probabilities of the prompt" in str(error.value.got)
    with pytest.raises(RunError, match="another engine than the model in memory"):
        overmem.audit(run, **asked)
