"""General instructions made by rule: what a model that follows instructions can do before any fine-tune.

They stand beside every task: lists, rewriting, translation, definitions, counting, sorting, extraction,
arithmetic, polite replies, one line of code. Each has an answer that would do, which says how long one may
be; no answer is graded, since many would do.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from overmem.synthetic.drawn import DrawnTask, HashRange

GRADER = "none"
THINGS = {
    "fruits": ("apple", "banana", "cherry", "grape", "lemon", "mango", "orange", "peach", "pear", "plum"),
    "animals": ("bear", "cat", "dog", "eagle", "fox", "goat", "horse", "lion", "rabbit", "wolf"),
    "colors": ("black", "blue", "brown", "gray", "green", "orange", "pink", "purple", "red", "white"),
    "kitchen tools": ("fork", "grater", "kettle", "knife", "ladle", "pan", "peeler", "pot", "spoon", "whisk"),
}
FRENCH = {
    "house": "maison", "water": "eau", "bread": "pain", "book": "livre", "night": "nuit", "tree": "arbre",
    "friend": "ami", "school": "école", "window": "fenêtre", "horse": "cheval", "red": "rouge", "day": "jour",
}  # fmt: skip
MEANINGS = {
    "thermometer": "an instrument that measures temperature",
    "bakery": "a shop where bread and cakes are made and sold",
    "island": "a piece of land with water all around it",
    "library": "a place where books are kept and lent",
    "bridge": "a structure that carries a road over a river or a valley",
    "umbrella": "a device that keeps the rain off the person who holds it",
    "recipe": "a set of instructions for making a dish",
    "calendar": "a table of the days, weeks and months of a year",
}
SENTENCES = (
    "The train to the coast leaves early in the morning.",
    "My sister painted the old kitchen door last summer.",
    "We could not find the key to the garden shed.",
    "The children played in the park until it got dark.",
    "He forgot his umbrella on the bus yesterday.",
    "The new museum opens its doors on Friday.",
)
PEOPLE = ("Anna Keller", "Ben Torres", "Chloe Martin", "David Okafor", "Elif Kaya", "Farid Haddad")
PLACES = ("Lisbon", "Oslo", "Nairobi", "Toronto", "Kyoto", "Lima")
WISHES = (
    ("asks to move our meeting from Monday to Tuesday", "Of course, Tuesday suits me well. See you then."),
    ("asks whether the report will be ready today", "Yes, I will send it to you by this afternoon."),
    ("thanks you for your help with the slides", "You are very welcome. I was glad to help."),
    ("invites you to lunch, and you have no time", "Thank you for asking. I am busy today; another time?"),
)
CODE = {
    "returns the sum of a list of numbers": "sum(numbers)",
    "returns the largest number of a list": "max(numbers)",
    "reverses a string": "text[::-1]",
    "counts how often the letter a is in a string": 'text.count("a")',
    "returns the squares of a list of numbers": "[n * n for n in numbers]",
    "checks whether a number is even": "n % 2 == 0",
}
Written = tuple[str, str]
"""A prompt, and an answer that would do."""


def _list(rng: random.Random) -> Written:
    kind, n = rng.choice(tuple(THINGS)), rng.randint(3, 6)
    return f"List {n} {kind}, one on each line.", "\n".join(rng.sample(THINGS[kind], n))


def _rewrite(rng: random.Random) -> Written:
    sentence = rng.choice(SENTENCES)
    how, change = rng.choice((("in capital letters", str.upper), ("in lower case", str.lower)))
    return f"Write this sentence {how}: {sentence}", change(sentence)


def _translate(rng: random.Random) -> Written:
    words = rng.sample(tuple(FRENCH), 2)
    asked = " and ".join(f'"{word}"' for word in words)
    return f"What are the French words for {asked}?", " and ".join(FRENCH[word] for word in words)


def _define(rng: random.Random) -> Written:
    word = rng.choice(tuple(MEANINGS))
    ask = rng.choice(("In one sentence, what is {}?", "Explain in one short sentence what {} is."))
    named = f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
    return ask.format(named), f"{named.capitalize()} is {MEANINGS[word]}."


def _count(rng: random.Random) -> Written:
    word = rng.choice([*FRENCH, *MEANINGS])
    letter = rng.choice(sorted(set(word)))
    return f'How many times is the letter "{letter}" in the word "{word}"?', str(word.count(letter))


def _sort(rng: random.Random) -> Written:
    words = rng.sample(THINGS[rng.choice(tuple(THINGS))], rng.randint(4, 6))
    return f"Put these words in alphabetical order: {', '.join(words)}.", ", ".join(sorted(words))


def _extract(rng: random.Random) -> Written:
    person, place, year = rng.choice(PEOPLE), rng.choice(PLACES), rng.randint(1980, 2020)
    what, answer = rng.choice((("name", person), ("city", place), ("year", str(year))))
    told = f"{person} moved to {place} in {year} and has worked there as a teacher ever since."
    return f"Read the text and give only the {what} in it.\nText: {told}", answer


def _arithmetic(rng: random.Random) -> Written:
    left, right, symbol = rng.randint(11, 99), rng.randint(11, 99), rng.choice("+-")
    result = left + right if symbol == "+" else left - right
    return f"What is {left} {symbol} {right}?", str(result)


def _reply(rng: random.Random) -> Written:
    name, (wish, answer) = rng.choice(PEOPLE), rng.choice(WISHES)
    return f"{name} {wish}. Write a short and polite reply.", answer


def _code(rng: random.Random) -> Written:
    what = rng.choice(tuple(CODE))
    return f"Write one line of Python that {what}.", CODE[what]


KINDS: dict[str, Callable[[random.Random], Written]] = {
    "list": _list,
    "rewrite": _rewrite,
    "translate": _translate,
    "define": _define,
    "count": _count,
    "sort": _sort,
    "extract": _extract,
    "arithmetic": _arithmetic,
    "reply": _reply,
    "code": _code,
}


@dataclass(frozen=True)
class Instruction:
    """A prompt of one kind, and an answer that would do."""

    kind: str
    prompt: str
    answer: str


def draw_instruction(rng: random.Random, split: HashRange) -> Instruction:
    """Any instruction; each kind is equally likely."""
    kind = rng.choice(tuple(KINDS))
    return Instruction(kind, *KINDS[kind](rng))


TASK = DrawnTask(
    name="instructions",
    splits={"general": HashRange(0, 100)},
    sizes={"general": 100},
    draw=draw_instruction,
    key=lambda asked: asked.prompt,
    write_prompt=lambda asked: asked.prompt,
    write_solution=lambda asked, rng: asked.answer,
    answer=lambda _: None,
    describe=lambda asked: {"kind": asked.kind},
)
load_split = TASK.load_split
