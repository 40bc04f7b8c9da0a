"""Rows of one batch: what a model is asked, and what becomes of work that does not fit its memory."""

import json
from types import SimpleNamespace

from overmem.auditing.jobs import compute_rows as work
from overmem.auditing.jobs.compute_rows import Tools, greedy
from overmem.auditing.options import AuditOptions
from overmem.auditing.problem_sets.load import load_problems
from overmem.models.decoding.generation import Generation
from overmem.models.decoding.sampling import Sampling
from overmem.models.likelihood.divergence import BasePredictions
from overmem.records import Example
from overmem.rendering.render import render
from overmem.rendering.template import Template
from tests.conftest import VAL_ROWS, make_pico
from tests.helpers.tokenizers import make_tokenizer


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_answers_are_asked_for_after_the_prompts_own_tokens(tmp_path):
    rows = [{"prompt": "12 app", "completion": "les 5", "answer": "5"}]
    tokenizer = make_tokenizer()
    options = AuditOptions(val=write_rows(tmp_path / "val.jsonl", rows))
    val = load_problems(options, tokenizer)["val"]
    seen = []

    class Engine:
        def generate(self, model, prompts, *_, **__):
            seen.extend(prompts)
            return [[Generation(text="5", tokens=(1,), finished=True, mean_logprob=0.0)] for _ in prompts]

    tools = Tools(
        engine=Engine(),
        tokenizer=tokenizer,
        stops=(),
        max_new_tokens=1,
        sampling=Sampling(samples=2, temperature=1.0),
        batch_tokens=1,
        base_predictions=BasePredictions(tmp_path),
    )
    assert greedy(None, val, [0], tools)[0][0]["correct"] == 1.0
    assert list(seen[0]) == tokenizer("12 app")["input_ids"] != list(val.rendered[0].prompt_ids)


def test_continuations_that_do_not_fit_are_written_for_fewer_at_once(tokenizer, monkeypatch):
    rendered = [
        render(Example(r["id"], r["prompt"], r["completion"]), tokenizer, Template()) for r in VAL_ROWS[:4]
    ]
    problems, tools = SimpleNamespace(rendered=rendered), SimpleNamespace(tokenizer=tokenizer)
    model, plain = make_pico(tokenizer, seed=1), work.generate
    expected = work.continue_reference(model, problems, range(4), tools)
    asked = []

    def small(*arguments, rows, **settings):
        asked.append(rows)
        if rows > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        return plain(*arguments, rows=rows, **settings)

    monkeypatch.setattr(work, "generate", small)
    assert work.continue_reference(model, problems, range(4), tools) == expected
    assert asked == [4, 2, 1]
