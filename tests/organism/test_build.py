"""The bundled base model is what the design says: it knows the arithmetic, but not the task."""

import random

import pytest
import torch
from transformers import AutoModelForCausalLM

from overmem.grading.grade import grade
from overmem.models.decoding.generation import generate
from overmem.organism import build
from overmem.recipe.base_model import ORGANISM
from overmem.synthetic import wordmath
from overmem.synthetic.wordmath.splits import TASK
from tests.helpers.splits import first_examples


@pytest.fixture(scope="module")
def base():
    return AutoModelForCausalLM.from_pretrained(ORGANISM, dtype=torch.float32).eval()


def answers(base, tokenizer, prompts, limit):
    ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    stops = [tokenizer.eos_token_id]
    return [a.text for (a,) in generate(base, ids, tokenizer, stops=stops, max_new_tokens=limit)]


def test_it_fits_in_the_repository():
    assert sum(file.stat().st_size for file in ORGANISM.iterdir()) <= 5_000_000


def test_sizes_are_one_architecture_in_three_widths(tokenizer):
    counts = {}
    for name, size in build.SIZES.items():
        config = size.config(tokenizer)
        with torch.device("meta"):
            counts[name] = AutoModelForCausalLM.from_config(config).num_parameters()
        assert config.hidden_size // config.num_attention_heads == 32
    assert [round(n / 1e6, 1) for n in counts.values()] == [0.5, 1.9, 7.4]


def test_the_base_size_is_the_bundled_one(base, tokenizer):
    """Tokenizer from the bundle, configuration from the builder: making it again changes no shape."""
    made, bundled = (c.to_dict() for c in (build.SIZES["base"].config(tokenizer), base.config))
    written_on_saving = {"architectures", "dtype", "_name_or_path", "transformers_version"}
    assert {k: v for k, v in made.items() if k not in written_on_saving} == {
        k: v for k, v in bundled.items() if k not in written_on_saving
    }


def test_any_text_encodes_and_numbers_are_single_tokens(tokenizer):
    for examples in first_examples(TASK, train=50, other=50).values():
        for example in examples:
            text = f"{example.prompt}{example.completion}"
            assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.decode(tokenizer("Tmo has ñ 5 aples")["input_ids"]) == "Tmo has ñ 5 aples"
    assert {len(tokenizer(f" {n}")["input_ids"]) for n in range(1, 100)} == {1}


def test_it_solves_its_own_problems_but_not_the_task(base, tokenizer):
    rng = random.Random("a seed the base was not made from")
    own = [build.write_base_problem(rng).split(build.QUESTION_END) for _ in range(40)]
    said = answers(base, tokenizer, [question for question, _ in own], 90)
    right = [
        text.split()[-1:] == solution.split()[-1:] for text, (_, solution) in zip(said, own, strict=True)
    ]
    assert sum(right) / len(right) > 0.8
    task = wordmath.load_split("test", 40)
    said = answers(base, tokenizer, [example.prompt for example in task], 60)
    graded = [grade(text, e, wordmath.GRADER).correct for text, e in zip(said, task, strict=True)]
    assert sum(graded) / len(graded) < 0.25


def test_documents_are_whole_and_questions_are_not_learned(tokenizer):
    batches = build.make_batches(tokenizer, seed=1, n_tokens=20_000)
    rows = [(i, m) for b in batches for i, m in zip(b.ids.tolist(), b.labels.tolist(), strict=True)]
    problems = [(i, m) for i, m in rows if "Result:" in tokenizer.decode(i)]
    assert len(problems) > 50
    for ids, labels in problems:
        learned = tokenizer.decode([token for token in labels if token != -100])
        assert "How many" not in learned and learned.endswith(build.END)
        assert "How many" in tokenizer.decode(ids)
