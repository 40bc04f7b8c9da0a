"""Robustness variants: what each may change, what it must keep, and that chance alone decides nothing."""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.errors import DataError
from overmem.grading.grade import grade
from overmem.perturbations import VARIANTS, pair_variant, perturb, perturb_all
from overmem.perturbations.distractor import DISTRACTORS, PLAIN_DISTRACTORS, add_distractor
from overmem.perturbations.layout import LAYOUTS, change_layout
from overmem.perturbations.names import FEMALE, MALE
from overmem.perturbations.nouns import GROUPS, KEPT_BESIDE
from overmem.perturbations.preamble import PLAIN_PREAMBLES, PREAMBLES, add_preamble
from overmem.perturbations.rename import rename
from overmem.perturbations.text import sentence_gaps, split_prompt
from overmem.perturbations.typo import NUMBER_WORDS, UNITS, add_typos, word_spans
from overmem.perturbations.vocabulary import EVERYDAY, WORDMATH
from overmem.records import Example
from overmem.synthetic import wordmath

PEOPLE = (
    "Emily baked 24 cookies and gave 1/3 of them to her brother Jack. He ate 2.5 of his cookies. How many"
    " cookies does Emily have left?",
    "Mrs. Carter pays $1,250.50 a month in rent. Her landlord, Daniel, raises it by 4%. How much does she"
    " pay in a year?",
    "James's bookshelf holds 12 books. Anna's holds three times as many, minus 5. If Anna gives James 7"
    " books, how many more books does she have than James?",
    "A train leaves at 9:15 a.m. and travels 120 miles at 60 mph. It stops for 30 minutes, and then covers"
    " the remaining 45km at 30km/h. When does it arrive?",
    "Let $f(x) = \\frac{x^2}{3} + \\sqrt{7}$ be a function. Find the value of $f(6)$. Put your final answer"
    " within \\boxed{}.",
)
PLAIN = [
    *(Example(f"bare-{i}", text, " #### 5", "5") for i, text in enumerate(PEOPLE)),
    *(Example(f"qa-{i}", f"Question: {text}\nAnswer:", " 5", "5") for i, text in enumerate(PEOPLE)),
    *(
        Example(f"alpaca-{i}", f"### Instruction:\n{text}\n\n### Response:\n", "5", "5")
        for i, text in enumerate(PEOPLE)
    ),
]
SYSTEM = {"role": "system", "content": "Solve the problem. Tom has 3 apples."}
CHAT = [
    Example(
        f"chat-{i}",
        (
            SYSTEM,
            {"role": "user", "content": "Question: Emily has 2 apples. How many?"},
            {"role": "assistant", "content": "Emily has 2 apples."},
            {"role": "user", "content": text},
        ),
        "5",
        "5",
        {"source": "test"},
    )
    for i, text in enumerate(PEOPLE)
]
REWORDINGS = ("preamble", "typo", "format", "distractor", "rename")
OF_WORDMATH = (*REWORDINGS, "numbers")


@pytest.fixture(scope="module")
def splits():
    return {name: wordmath.load_split(name) for name in wordmath.SPLITS}


@pytest.fixture(scope="module")
def examples(splits):
    return [*splits["val"][:200], *PLAIN, *CHAT]


def asked(example):
    return example.prompt if isinstance(example.prompt, str) else example.prompt[-1]["content"]


def numbers(text):
    return re.findall(r"\d+(?:[.,:/]\d+)*", text)


def clean_of(examples):
    return {example.id: example for example in examples}


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
        "from overmem.tasks import wordmath\n"
        "from overmem.synthetic.facts.splits import TASK as facts\n"
        "from overmem.synthetic.knights.splits import TASK as knights\n"
        "from overmem.perturbations import VARIANTS, perturb\n"
        "text = 'Emily, Anna and Jack have 3 apples, 4 plums, 5 hats and 6 coats. How many more apples?'\n"
        "rows = [*wordmath.load_split('val')[:20], Example('a', text, '', '5')]\n"
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


# --- where things are in a prompt


@pytest.mark.parametrize(
    ("prompt", "body"),
    [
        ("Question: Tom has 3. How many?\nAnswer:", "Tom has 3. How many?"),
        ("**Problem 12:** Find $x$.\n\n**Solution:**", "Find $x$."),
        ("Solve it.\n\n### Question\nWhat is 2?\n\n### Response:\n", "What is 2?"),
        ("Passage: Ben ran.\n\nQuestion: How far?\nAnswer:", "Ben ran.\n\nQuestion: How far?"),
        ("Q: 1?\nA: 1\nQ: 2?\nA:", "2?"),
        ("Which?\nA: 3\nB: 4", "Which?\nA: 3\nB: 4"),
        ("Question: Which?\nA: 3\nB: 4\nAnswer:", "Which?\nA: 3\nB: 4"),
        ("Problem: add.\nInput: 1 2\nOutput: 3", "add.\nInput: 1 2"),
        ("User: Hi there, how many?\nAssistant:", "Hi there, how many?"),
        ("The answer: is it 3?", "The answer: is it 3?"),
    ],
)
def test_the_problem_is_found(prompt, body):
    assert split_prompt(prompt).body == body


@given(st.text(alphabet="Question:Answer#* \n.?3aB$", max_size=60))
def test_the_parts_make_up_the_prompt(text):
    parts = split_prompt(text)
    assert parts.lead + parts.body + parts.tail == text
    assert parts.body == parts.body.strip()


def test_sentences_end_where_people_end_them():
    text = (
        'Mr. J. Smith left at 9 a.m. with $5.50. "Why?" he asked. It is Tom\'s. He had 3.5. See $a. B$ now!'
        " 7 ran.\n\nEnd"
    )
    ends = [start for start, _ in sentence_gaps(text)]
    cut = [text[a:b].strip() for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    assert cut == [
        "Mr. J. Smith left at 9 a.m. with $5.50.",
        '"Why?" he asked.',
        "It is Tom's.",
        "He had 3.5.",
        "See $a. B$ now!",
        "7 ran.",
        "End",
    ]


# --- preamble


def test_preambles_are_neutral():
    assert len(set(PREAMBLES)) >= 24 and len(set(PLAIN_PREAMBLES)) >= 24
    for said in (*PREAMBLES, *PLAIN_PREAMBLES):
        words = re.findall(r"\w+", said)
        assert said[0].isupper() and said.endswith(".")
        assert not any(character.isdigit() for character in said)
        assert not NUMBER_WORDS & {word.lower() for word in words}
        assert not set(words) & {*FEMALE, *MALE}
        assert not {"answer", "solve", "write", "give", "step"} & {word.lower() for word in words}


def test_a_preamble_goes_between_heading_and_problem():
    for seed in range(30):
        for example in PLAIN:
            parts = split_prompt(example.prompt)
            text = perturb(example, "preamble", seed).prompt
            said = text.removeprefix(parts.lead).removesuffix(parts.body + parts.tail)
            assert text == parts.lead + said + parts.body + parts.tail
            sentences = re.findall(r"[^.]+\.", said.strip())
            assert len(sentences) in (1, 2) and {s.strip() for s in sentences} <= set(PREAMBLES)
    assert add_preamble("Question:Tom ran.", random.Random(0)).startswith("Question: ")


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


# --- typo


def slips_between(old, new):
    """(old word, new word) that differ; a typo never joins or splits words."""
    before, after = (re.findall(r"\S+", text) for text in (old, new))
    return [(a, b) for a, b in zip(before, after, strict=True) if a != b]


def is_one_slip(old, new):
    """One inner letter dropped or doubled, or two inner neighbours swapped; written apart from the code."""
    inner = range(1, len(old) - 1)
    dropped = {old[:i] + old[i + 1 :] for i in inner}
    doubled = {old[:i] + 2 * old[i] + old[i + 1 :] for i in inner}
    swapped = {old[:i] + old[i + 1] + old[i] + old[i + 2 :] for i in inner if i + 1 in inner}
    return new in dropped | doubled | swapped


LONG = " ".join(PEOPLE) + " The children counted every marble carefully before dinner and wrote it down."


@given(st.integers(0, 10_000), st.sampled_from([*PEOPLE, LONG, "Question: What is it?\nAnswer:"]))
@settings(max_examples=200, deadline=None)
def test_typos_are_single_slips_in_one_word_of_eight(seed, text):
    new = add_typos(text, random.Random(seed))
    slips = slips_between(text, new)
    n = len(word_spans(split_prompt(text).body))
    assert max(1, n // 8) <= len(slips) <= n / 8 + 1
    for old, slipped in slips:
        a, b = (re.sub(r"^\W+|\W+$|'s\W*$", "", word) for word in (old, slipped))
        assert len(a) >= 4 and a[0] == b[0] and a[-1] == b[-1]
        assert is_one_slip(a, b) or is_one_slip(a.split("-")[-1], b.split("-")[-1])
        assert b.lower() not in NUMBER_WORDS | UNITS


def test_typos_spare_numbers_units_latex_headings_and_the_answer():
    text = (
        "Question: Robert walks 30 minutes, 45km and twelve-hundred steps in a 30-minute session on"
        " https://example.org/walking with `counter_value` and $speed + distance$ by \\textbf{formula}"
        " <think> x </think> Wednesday.\nAnswer:"
    )
    touched = set()
    for seed in range(300):
        slips = slips_between(text, add_typos(text, random.Random(seed), answer="Wednesday"))
        touched |= {old for old, _ in slips}
    assert touched == {"Robert", "walks", "steps", "session", "with"}


def test_a_typo_never_makes_a_number_or_another_word_of_the_problem():
    made = {add_typos("Then Mara saw Maria.", random.Random(seed)) for seed in range(200)}
    words = {word.lower() for text in made for word in re.findall(r"\w+", text)}
    assert "ten" not in words  # then without its h
    assert not any("Mara saw Mara" in text for text in made)  # Maria without its i
    assert add_typos("17 + 25 is?", random.Random(0)) is None
    assert add_typos("苹果有多少个呢", random.Random(0)) is None


# --- format


def squeezed(text):
    return re.sub(r"\s+", "", text)


@given(st.text(max_size=80), st.integers(0, 1000))
@settings(deadline=None)
def test_a_layout_differs_and_keeps_the_text(text, seed):
    new = change_layout(text, random.Random(seed))
    if not text.strip():
        assert new is None
    else:
        assert new != text
        assert squeezed(new).lower() == squeezed(text).lower()


def test_layouts_change_headings_and_whitespace_only(examples):
    for seed in range(5):
        for new in perturb_all(examples, "format", seed):
            old = clean_of(examples)[new.id]
            bare = [
                re.sub(r"(?im)^\s*(?:### )?(?:question|answer|instruction|response)\s*:", "", asked(example))
                for example in (new, old)
            ]
            assert squeezed(bare[0]) == squeezed(bare[1])


def test_every_layout_is_used():
    prompt = f"Question: {PEOPLE[2]}\nAnswer:"
    made = {change_layout(prompt, random.Random(seed)) for seed in range(300)}
    for layout in LAYOUTS:
        assert layout(prompt, random.Random(0)) != prompt
    assert {text[:9] for text in made} >= {"QUESTION:", "question:", "Question:", "Question "}
    assert any(text.startswith("\n") for text in made)
    assert any(".  " in text for text in made) and any(".\n" in text for text in made)


def test_a_layout_survives_templates_that_strip():
    # Chat templates strip a message's ends: a change there alone would measure nothing.
    for seed in range(50):
        for example in CHAT:
            assert asked(perturb(example, "format", seed)).strip() != asked(example)
        assert change_layout("What is 2 + 2?", random.Random(seed)).strip() != "What is 2 + 2?"


def test_layouts_leave_code_tables_and_latex_alone():
    kept = (
        "```python\nx = 1.  # One. Two\nif x:\n    print(x)\n```",
        "| Name. | Apples bought on the first day of the week. | On the last. |\n| Tom | 3 | 4 |",
        "$a. B + \\text{One. Two. Three, and then some more words to make it long}$",
    )
    text = "Look at this code. " + "\n".join(kept) + "\nHow many apples does it print in the end? Say it."
    for seed in range(100):
        new = change_layout(text, random.Random(seed))
        assert all(part in new for part in kept)


# --- distractor


def test_a_distractor_is_one_sentence_before_the_question():
    said = {text: re.compile(re.escape(text).replace(r"\{n\}", r"(\d+)").replace(r"\{name\}", r"(\w+)"))
            for text, _ in DISTRACTORS}  # fmt: skip
    for seed in range(60):
        for example in [*PLAIN, *CHAT]:
            old, new = asked(example), asked(perturb(example, "distractor", seed))
            (found,) = [match for pattern in said.values() if (match := pattern.search(new))]
            rest = new[found.end() + 1 :]
            assert new[: found.start()] + rest == old
            question = split_prompt(rest).body if "boxed" in old else split_prompt(rest).body.rstrip()
            assert question.count("?") == old.count("?") and len(sentence_gaps(question)) == 0
            (number,) = re.findall(r"\d+", found[0])
            assert number not in re.findall(r"\d+", old) and number != example.answer
            assert not set(re.findall(r"\w+", found[0])) & {*FEMALE, *MALE} & set(re.findall(r"\w+", old))


def test_a_distractor_is_about_nothing_in_the_problem():
    text = "The train station got 4 more benches. Its lamps shine on the street. How many benches are there?"
    for seed in range(300):
        said = add_distractor(text, random.Random(seed)).replace(text[-29:], "").replace(text[:67], "")
        assert not re.search(r"bench|station|lamp|street", said)
    toys = "Question: Ned has 7 toys. Ned doubles the toys. How many toys does Ned have now?\nAnswer:"
    for seed in range(300):
        added = add_distractor(toys, random.Random(seed), "14", PLAIN_DISTRACTORS, WORDMATH)
        assert not re.search(r"\b(kites|balls|14|Ned has 7 toys\..*Ned (?:has|finds|buys))\b", added)


def test_a_distractor_stays_within_an_inner_heading():
    text = "Passage: Ben ran 3 miles.\n\nQuestion: How far did Ben run?\nAnswer:"
    new = add_distractor(text, random.Random(0))
    assert new.startswith("Passage: Ben ran 3 miles.\n\nQuestion: ")
    assert new.endswith(". How far did Ben run?\nAnswer:")


def test_there_are_enough_distractors():
    assert len({text for text, _ in DISTRACTORS}) >= 15 and len({text for text, _ in PLAIN_DISTRACTORS}) >= 15
    assert all("{n}" in text for text, _ in (*DISTRACTORS, *PLAIN_DISTRACTORS))


# --- rename


def renamed(text, seed=0, answer="", vocabulary=EVERYDAY):
    return rename(text, random.Random(seed), answer, vocabulary)


def test_the_lists_are_sound():
    assert len(FEMALE) >= 60 and len(MALE) >= 60
    assert len({*FEMALE, *MALE}) == len(FEMALE) + len(MALE)  # nobody is in both, nobody twice
    assert set(wordmath.NAMES) <= {*FEMALE, *MALE}
    nouns = [noun for group in GROUPS for noun in group]
    words = [word for noun in nouns for word in noun]
    assert len(nouns) >= 40 and len(set(words)) == len(words)
    assert set(wordmath.ITEMS) <= {plural for _, plural in nouns}
    assert set(KEPT_BESIDE) <= {plural for _, plural in nouns}
    assert all(len(group) >= 4 for group in GROUPS)
    assert not {name.lower() for name in (*FEMALE, *MALE)} & set(words)
    assert sum(map(len, WORDMATH.names)) == len(wordmath.NAMES)
    assert {plural for _, plural in WORDMATH.nouns[0]} == set(wordmath.ITEMS)


@given(st.integers(0, 100_000))
@settings(max_examples=100, deadline=None)
def test_names_are_swapped_consistently_as_whole_words(seed):
    text = (
        "Ana studies Anatomy in Indiana. Tom's aunt, ANA, calls Ana and Tom: (Tom!) Tomorrow Tommy-Tom eats."
    )
    new = renamed(text, seed)
    pattern = (
        r"(?P<a>\w+) studies Anatomy in Indiana\. (?P<t>\w+)'s aunt, (?P<up>\w+), calls (?P=a) and (?P=t):"
        r" \((?P=t)!\) Tomorrow (?P<tommy>\w+)-(?P=t) eats\."
    )
    found = re.fullmatch(pattern, new)
    assert found, new
    assert found["up"] == found["a"].upper()
    assert found["a"] in FEMALE and {found["t"], found["tommy"]} < set(MALE)
    assert not {found["a"], found["t"], found["tommy"]} & {"Ana", "Tom", "Tommy"}
    assert len({found["a"], found["t"], found["tommy"]}) == 3


@given(st.integers(0, 100_000))
@settings(max_examples=100, deadline=None)
def test_objects_are_swapped_within_their_kind(seed):
    text = "Apples! An apple and 3 apples cost more than a plum; APPLES and pineapples do not. A red apple's?"
    new = renamed(text, seed)
    pattern = (
        r"(?P<Up>\w+)! (?P<art>An?) (?P<one>\w+) and 3 (?P<many>\w+) cost more than (?P<art2>an?)"
        r" (?P<plum>\w+); (?P<UP>\w+) and pineapples do not\. A red (?P=one)'s\?"
    )
    found = re.fullmatch(pattern, new)
    assert found, new
    fruit = dict(GROUPS[0])
    assert found["many"] == fruit[found["one"]] and found["plum"] in fruit
    assert found["Up"] == found["many"].capitalize() and found["UP"] == found["many"].upper()
    assert not {found["one"], found["plum"]} & {"apple", "plum"} and found["one"] != found["plum"]
    assert found["art"] == ("An" if found["one"][0] in "aeiou" else "A")
    assert found["art2"] == ("an" if found["plum"][0] in "aeiou" else "a")


def test_nobody_new_is_someone_who_is_there():
    present = FEMALE[:-1]
    new = renamed("She is " + " and ".join(present) + ".")
    assert len(set(re.findall(r"\b[A-Z]\w+", new)) & {*FEMALE}) == len(FEMALE) - 1  # one free name for all


@pytest.mark.parametrize(
    "text",
    [
        "She needs 2 cups of flour.",  # a measure
        "There are 3 dimes and 4 quarters: how many coins?",  # a word for other things
        "She bought 2 novels. How many books?".replace("novels", "textbooks"),
        "A deck of 52 has how many cards?",  # carries a number
        "Find $|A \\cup B|$ in all.",  # a LaTeX command
        "The dot and the joy of max and sam.",  # names are capitalised
        "Bennet, Tomas, apple_count and eggplants.",  # whole words
    ],
)
def test_what_is_not_a_plain_object_or_name_stays(text):
    assert renamed(text) in (None, text)


def test_possessives():
    for seed in range(50):
        new = renamed("James' sister has Emily's hat, and 'Tom' too.", seed)
        found = re.fullmatch(r"(\w+)('s|') sister has (\w+)'s (\w+), and '(\w+)' too\.", new)
        assert found, new
        assert found[2] == ("'" if found[1].endswith("s") else "'s")


def test_the_words_of_an_answer_stay():
    # Renaming whom the answer names would make a right solution wrong.
    for seed in range(50):
        new = renamed("Tom has 3 pens, Ben 4. Who has more, Tom or Ben?", seed, answer="Ben")
        assert new.endswith("or Ben?") and not re.search(r"\bTom\b", new)
    choice = Example("x", "Tom has 3 pens, Ben 4. Who has more pens?\nA. Tom\nB. Ben\nAnswer:", " B", "B")
    new = perturb(choice, "rename", 0)
    assert not re.search(r"\b(Tom|Ben)\b", new.prompt) and new.answer == "B"


def test_renamed_organism_problems_have_the_same_answer(splits):
    for name, examples in splits.items():
        for new in perturb_all(examples[:100], "rename", seed=0):
            assert solve(new.prompt) == int(new.answer), name


# --- numbers


def test_the_splits_are_those_that_the_docs_rest_on(splits):
    # Figures in the docs and the bundled model rest on these very texts.
    pinned = {
        "train": "9eab6f7dc04868d693df08212e6b98f55e9fd971c970b66691c1936583aab4e4",
        "val": "8f39324a84e899f4aa0869ba882abdc914d0a5f913472a9be328ef882cd2af90",
    }
    for name, digest in pinned.items():
        joined = "\x00".join(f"{example.prompt}\x01{example.completion}" for example in splits[name][:4000])
        assert hashlib.sha256(joined.encode()).hexdigest() == digest


S, S2, S3, T, T2 = (rf"(?P<{name}>\w+)" for name in ("s", "s2", "s3", "t", "t2"))
K, K2 = (rf"(?P<{name}>\d+)" for name in ("k", "k2"))
# What each sentence makes of n (what its person has), m (what the other has) and its number k.
TOLD = (
    (rf"{S} has {K} \w+\.", lambda n, m, k: k),
    (rf"{S} (?:finds|buys|gets|picks up) {K} |A neighbor hands {K2} \w+ to {S2}", lambda n, m, k: n + k),
    (rf"{S} (?:gives away|loses|sells|drops) {K} |A bird takes {K2} \w+ from {S2}", lambda n, m, k: n - k),
    (rf"{S} doubles |Soon {S2} has twice |The \w+ of {S3} grow to two times ", lambda n, m, k: 2 * n),
    (rf"{S} (?:gives away|loses) half |{S2} keeps just one half ", lambda n, m, k: n / 2),
    (rf"{S} triples |Soon {S2} has three times ", lambda n, m, k: 3 * n),
    (rf"{S} splits the \w+ into 3 equal bags|{S2} keeps a third ", lambda n, m, k: n / 3),
    (rf"{S} has {K} more \w+ than {T}|{S2} beats {T2} by {K2} ", lambda n, m, k: m + k),
    (rf"{S} has {K} fewer \w+ than {T}|{S2} is {K2} \w+ short of {T2}", lambda n, m, k: m - k),
    (rf"{S} has twice as many \w+ as {T}|{S2} has two times the \w+ of {T2}", lambda n, m, k: 2 * m),
)


def solve(prompt):
    """Read a wordmath question as a person would, sentence by sentence; shares no code with its maker."""
    *story, question = re.findall(r"[^.?]+[.?]", prompt.removeprefix("Question: ").removesuffix("\nAnswer:"))
    amounts = {}
    for sentence in map(str.strip, story):
        ((match, act),) = [(m, act) for pattern, act in TOLD if (m := re.match(pattern, sentence))]
        found = {name[0]: text for name, text in match.groupdict().items() if text}
        k = int(found.get("k", 0))
        amounts[found["s"]] = act(amounts.get(found["s"]), amounts.get(found.get("t")), k)
    one = re.search(r"does (\w+) have now", question)
    return amounts[one[1]] if one else sum(amounts.values())


def without_numbers(text):
    return re.sub(r"\d+", "#", text)


@pytest.mark.parametrize("split", list(wordmath.SPLITS))
def test_new_numbers_have_a_new_right_answer_in_the_same_words(split, splits):
    training = {example.prompt for example in splits["train"]}
    found = 0
    for old in splits[split][:200]:
        assert solve(old.prompt) == int(old.answer)  # the parser itself
        new = perturb(old, "numbers", seed=0)
        if new is None:
            continue
        found += 1
        assert (new.id, new.meta) == (old.id, old.meta)
        assert without_numbers(new.prompt) == without_numbers(old.prompt)
        assert without_numbers(new.completion) == without_numbers(old.completion)
        assert new.prompt not in training and new.answer != old.answer
        assert solve(new.prompt) == int(new.answer)
        lines = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", new.completion)
        assert len(lines) == old.meta["n_steps"]
        assert all(eval(f"{a} {symbol} {b} == {c}") for a, symbol, b, c in lines)
        assert new.completion.endswith(f"\n#### {new.answer}") and lines[-1][3] == new.answer
    assert found >= 198


def test_numbers_need_a_problem_as_it_was_drawn(splits):
    old = splits["val"][0]
    for changed in (
        replace(old, prompt=old.prompt.replace("Max", "Tom")),  # not what its draw gives
        replace(old, meta={}),
        replace(old, meta={"draw": "second card"}),  # a user's field of the same name
        replace(old, prompt=({"role": "user", "content": old.prompt},)),
    ):
        assert perturb(changed, "numbers", 0) is None
        assert perturb(changed, "preamble", 0).prompt != changed.prompt


# --- options

ARC = """Which is a gas?
(A) water ice
(B) oxygen
(C) a rock
(D) wood
"""


def lettered(text):
    return dict(re.findall(r"(?m)^\(?([A-J])[).:] (.+)$", text))


@pytest.mark.parametrize("mark", ["(A) ", "A) ", "A. ", "A: "])
@pytest.mark.parametrize(
    ("answer", "completion"),
    [
        ("B", "Answer: (B)"),
        ("(B)", "Ice is solid.\nThe answer is B."),
        ("b", "(A) is frozen water and (C) is solid, so it is (B).\n#### B"),
        ("B", "B"),
        ("B", "B. oxygen"),
        ("B", "Option D burns. \\boxed{B}"),
    ],
)
def test_the_letter_follows_its_option(mark, answer, completion):
    prompt = (
        "Question: "
        + ARC.replace("(", mark[0] if mark[0] == "(" else "").replace(") ", mark[-2:])
        + "Answer:"
    )
    old = Example("x", prompt, completion, answer)
    orders = set()
    for seed in range(40):
        new = perturb(old, "options", seed)
        before, after = lettered(old.prompt), lettered(new.prompt)
        letter = new.answer.strip("()").upper()
        assert after[letter] == "oxygen" and letter != "B"
        assert sorted(after.values()) == sorted(before.values()) and list(after) == list("ABCD")
        assert new.answer == answer.replace("B", letter).replace("b", letter.lower())
        assert grade("choice", new.completion, new).correct
        # Every letter of the completion still names the text that it named.
        named = [re.findall(r"\b[A-D]\b(?!ns)", e.completion) for e in (old, new)]
        assert [before[x] for x in named[0]] == [after[x] for x in named[1]]
        orders.add(tuple(after.values()))
        assert new.prompt.startswith("Question: Which is a gas?\n") and new.prompt.endswith("\nAnswer:")
    assert len(orders) > 10


def test_only_the_last_options_are_shuffled():
    shot = f"Question: {ARC.replace('gas', 'solid')}Answer: (C)\n\nQuestion: {ARC}Answer:"
    new = perturb(Example("x", shot, "Answer: (B)", "B"), "options", 0)
    assert new.prompt.startswith(shot[: shot.index("Question: Which is a gas")])
    chat = Example("x", (SYSTEM, {"role": "user", "content": ARC}), "Answer: (B)", "B")
    new = perturb(chat, "options", 0)
    assert new.prompt[0] == SYSTEM and lettered(new.prompt[1]["content"])[new.answer] == "oxygen"


@pytest.mark.parametrize(
    ("text", "answer", "completion"),
    [
        (ARC, None, "Answer: (B)"),
        (ARC, "E", "Answer: (E)"),  # no such option
        (ARC, "oxygen", "oxygen"),
        (ARC.replace("wood", "all of the above"), "B", "Answer: (B)"),
        (ARC.replace("wood", "Both A and B"), "B", "Answer: (B)"),
        (ARC.replace("(A) water ice\n", ""), "B", "Answer: (B)"),  # letters that do not start at A
        ("Which? (A) this (B) that", "B", "Answer: (B)"),  # on one line
        ("A: 3\nThen more.\nB: 4", "B", "Answer: (B)"),  # not one block
        (ARC, "B", "the final answer, B, is clear: answer\tB"),  # a letter that cannot be followed
    ],
)
def test_what_cannot_be_shuffled_is_left_alone(text, answer, completion):
    assert all(perturb(Example("x", text, completion, answer), "options", seed) is None for seed in range(9))


# --- a user's own variant


def rows(*ids, **fields):
    return [Example(id_, f"clean {id_}", f"solution {id_}", f"answer {id_}", **fields) for id_ in ids]


def test_pairs_come_in_clean_order_with_the_clean_answer():
    own = [
        Example("c", "new c", "", None),
        Example("a", "new a", "own solution", None),
        Example("b", "new b", "", "own answer"),
    ]
    assert pair_variant("mine", rows("a", "b", "c", "d"), own) == (
        Example("a", "new a", "own solution", "answer a"),
        Example("b", "new b", "", "own answer"),
        Example("c", "new c", "solution c", "answer c"),
    )


def test_rows_that_cannot_be_paired_are_an_error():
    own = rows("v", "a", "w", "x", "y")
    with pytest.raises(
        DataError, match=r"`mine`(.|\n)*4 of 5 ids: v, w, x, \.\.\.\n(.|\n)*such as a, b"
    ) as e:
        pair_variant("mine", rows("a", "b"), own)
    assert "y" not in e.value.got
    with pytest.raises(DataError, match=r"variant `mine` has ids(.|\n)*1 ids: a"):
        pair_variant("mine", rows("a", "b"), rows("a", "b", "a"))
    with pytest.raises(DataError, match=r"clean examples(.|\n)*1 ids: b"):
        pair_variant("mine", rows("a", "b", "b"), rows("a"))
    with pytest.raises(DataError, match="no rows"):
        pair_variant("mine", rows("a"), [])


QUIZ = "Question: Which of these is a citrus fruit?\n(A) apple\n(B) lemon\n(C) banana\nAnswer:"


def test_options_that_are_known_and_not_told_are_not_renamed():
    assert all(perturb(Example(str(i), QUIZ, " (B)", "B"), "rename", i) is None for i in range(20))
    numbers = QUIZ.replace("Which of these is a citrus fruit?", "Tom has 3 apples, Ben 4. How many?")
    numbers = re.sub("apple$|lemon$|banana$", "7", numbers, flags=re.MULTILINE)
    new = perturb(Example("x", numbers, " (B)", "B"), "rename", 0)
    assert "apples" not in new.prompt and new.prompt.count("7") == 3


def test_options_are_not_misspelled():
    speller = "Which word is spelled without mistakes?\n(A) recieve\n(B) receive\n(C) receeve"
    for seed in range(20):
        new = perturb(Example("x", speller, " (B)", "B"), "typo", seed).prompt
        assert new.split("\n")[1:] == speller.split("\n")[1:] and new != speller


@pytest.mark.parametrize(
    "asked",
    [
        "Name the question that it answers.\n(A) Do balls roll sooner?\n(B) Do balls roll on sand?",
        "The best explanation is that\n(A) The plant was watered.\n(B) The soil was dry.\n(C) It was small.",
    ],
)
def test_a_distractor_never_falls_between_options(asked):
    for seed in range(20):
        new = perturb(Example("x", asked, " (B)", "B"), "distractor", seed).prompt
        assert new.split("\n")[1:] == asked.split("\n")[1:] and new != asked
