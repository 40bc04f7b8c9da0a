"""Robustness variants: what each may change, what it must keep, and that chance alone decides nothing.

Covers: overmem.perturbations.languages
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from overmem.errors import DataError
from overmem.perturbations import VARIANTS, perturb, perturb_all
from overmem.perturbations.preamble import add_preamble
from overmem.records import Example
from tests.helpers.prompts import CHAT, PEOPLE, PLAIN, SYSTEM, asked, clean_of, numbers

REWORDINGS = ("preamble", "typo", "format", "distractor", "rename")
OF_WORDMATH = (*REWORDINGS, "numbers")


# --- what holds for every variant


@pytest.mark.parametrize("variant", REWORDINGS)
def test_only_the_prompt_changes(variant, examples):
    clean = clean_of(examples)
    changed = perturb_all(examples, variant, seed=0)
    # The two problems without names or objects are all that any variant may leave out.
    assert len(changed) >= len(examples) - 8 and len(changed) > 200
    for new in changed:
        old = clean[new.id]
        assert asked(new) != asked(old)
        assert replace(new, prompt=old.prompt) == old


@pytest.mark.parametrize("variant", ["preamble", "typo", "format", "rename"])
def test_every_number_stays_in_order(variant, examples):
    clean = clean_of(examples)
    for new in perturb_all(examples, variant, seed=1):
        assert numbers(asked(new)) == numbers(asked(clean[new.id]))


@pytest.mark.parametrize("variant", OF_WORDMATH)
def test_order_and_company_change_nothing(variant, examples):
    changed = perturb_all(examples, variant, seed=0)
    assert perturb_all(examples[::-1], variant, seed=0) == changed[::-1]
    assert perturb_all(changed and [examples[0]], variant, seed=0) == changed[:1]


@pytest.mark.parametrize("variant", OF_WORDMATH)
def test_another_seed_gives_another_wording_of_most(variant, examples):
    first, second = (clean_of(perturb_all(examples, variant, seed)) for seed in (0, 1))
    same = sum(first[id_].prompt == second[id_].prompt for id_ in first if id_ in second)
    assert same < 0.4 * len(first)


def test_variants_draw_apart():
    # The same stream for all would make the same examples hard in every variant.
    example = Example("x", "Tom has 3 pears. " * 3 + "How many?", "", "9")
    drawn = [random.Random(f"0/{variant}/x").random() for variant in VARIANTS]
    assert len(set(drawn)) == len(VARIANTS)
    assert perturb(example, "preamble", 0).prompt == add_preamble(
        example.prompt, random.Random("0/preamble/x")
    )


def test_the_same_in_another_process():
    # Set order and hash() change with PYTHONHASHSEED; a reworded text must not.
    code = (
        "from overmem.records import Example\n"
        "from overmem.synthetic import wordmath\n"
        "from overmem.synthetic.facts.splits import TASK as facts\n"
        "from overmem.synthetic.knights.splits import TASK as knights\n"
        "from overmem.perturbations import VARIANTS, perturb\n"
        "text = 'Emily, Anna and Jack have 3 apples, 4 plums, 5 hats and 6 coats. How many more apples?'\n"
        "rows = [*wordmath.load_split('val', 20), Example('a', text, '', '5')]\n"
        "for task in (facts, knights):\n"
        "    rows += task.draw_examples('val', task.splits['val'], 20)\n"
        "print([perturb(row, variant, 0) for variant in VARIANTS for row in rows])\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] and "Emily" not in runs[0].split("Example(id='a'")[-1]


@pytest.mark.parametrize("variant", REWORDINGS)
def test_only_the_last_user_message_changes(variant):
    messages = (*CHAT[0].prompt, {"role": "assistant", "content": "Emily says 5"})
    new = perturb(replace(CHAT[0], prompt=messages), variant, seed=0)
    assert [a == b for a, b in zip(new.prompt, messages, strict=True)] == [True, True, True, False, True]
    assert new.prompt[3]["role"] == "user"
    assert messages[3]["content"] == PEOPLE[0]  # the clean messages are not written to


def test_without_a_user_message_nothing_can_change():
    assert perturb(Example("x", (SYSTEM,), "5", "5"), "preamble", 0) is None


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("text", ["", " \n", "Question:\nAnswer:"])
def test_an_empty_problem_is_left_alone(variant, text):
    changed = perturb(Example("x", text, "5", "5"), variant, seed=0)
    assert changed is None or variant == "format"


@pytest.mark.parametrize("variant", REWORDINGS)
def test_solved_examples_before_the_problem_stay(variant):
    shots = "Question: Emily has 2 apples. How many?\nAnswer: She has 2.\n\n"
    for seed in range(20):
        prompt = f"{shots}Question: {PEOPLE[0]}\nAnswer: Let's think step by step."
        text = perturb(Example("x", prompt, "5", "5"), variant, seed).prompt
        if variant in ("preamble", "typo", "distractor"):
            assert text.startswith(f"{shots}Question: ")
        assert text.lower().endswith("\nanswer: let's think step by step.")


@pytest.mark.parametrize("variant", REWORDINGS)
def test_the_closing_heading_stays_last(variant, examples):
    for new in perturb_all(examples, variant, seed=3):
        if new.id.startswith(("val", "qa")):
            assert new.prompt.upper().endswith("\nANSWER:")
        if new.id.startswith("alpaca"):
            assert new.prompt.upper().endswith("\n### RESPONSE:\n")


def test_errors_name_the_choices():
    with pytest.raises(
        DataError, match="preamble, typo, format, distractor, rename, options, numbers, order"
    ):
        perturb(PLAIN[0], "paraphrase", 0)
    with pytest.raises(DataError, match="paraphrase"):
        perturb_all([], "paraphrase", 0)
    with pytest.raises(DataError, match=r"`numbers` cannot change any(.|\n)*procedural"):
        perturb_all(PLAIN, "numbers", 0)


def test_the_organism_is_told_nothing_it_cannot_read(splits):
    # Its tokenizer knows whole words; others fall to letters it has never seen, and accuracy to 0.
    texts = [
        e.prompt + e.completion for name in ("train", "ood_phrasing", "ood_operations") for e in splits[name]
    ]
    known = set(re.findall(r"[A-Za-z]+", " ".join(texts)))
    for variant in ("preamble", "distractor", "rename", "numbers"):
        for new in perturb_all(splits["val"][:200], variant, seed=0):
            unknown = set(re.findall(r"[A-Za-z]+", new.prompt)) - known
            assert not unknown, (variant, new.prompt)
