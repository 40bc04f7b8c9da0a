"""Training problems written again by rule, as a leak would bring them into val: copied, reworded, and more.

The rules were written apart from the check that they test: it knows none of these synonyms and frames.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from overmem.records import Example

SYNONYMS = {
    "buys": "purchases",
    "bought": "purchased",
    "buy": "purchase",
    "sells": "vends",
    "gets": "receives",
    "got": "received",
    "gave": "handed over",
    "gives away": "donates",
    "gives": "hands",
    "makes": "produces",
    "made": "produced",
    "needs": "requires",
    "wants": "would like",
    "has": "owns",
    "had": "owned",
    "starts": "begins",
    "started": "began",
    "finds": "discovers",
    "found": "discovered",
    "loses": "misplaces",
    "big": "large",
    "small": "little",
    "total": "overall",
    "altogether": "in all",
    "together": "jointly",
    "kids": "children",
    "money": "cash",
    "costs": "is priced at",
    "cost": "price",
    "each": "every single",
    "every": "each",
    "more": "additional",
    "left": "remaining",
    "remaining": "left over",
    "many": "numerous",
    "works": "labors",
    "eats": "consumes",
    "ate": "consumed",
    "house": "home",
    "shop": "store",
    "store": "shop",
    "friend": "pal",
    "friends": "pals",
    "week": "seven-day period",
    "minutes": "mins",
    "hours": "hrs",
    "dollars": "bucks",
    "twice as many": "double the number of",
    "doubles": "multiplies by two",
    "half of": "one half of",
    "also": "additionally",
    "but": "however",
    "if": "supposing",
    "then": "afterwards",
    "find": "determine",
    "compute": "calculate",
    "what is": "give",
    "evaluate": "work out",
    "express": "write",
    "positive": "greater than zero",
    "integer": "whole number",
    "integers": "whole numbers",
    "simplify": "reduce",
    "solve": "find the solution of",
    "equal": "the same",
    "value": "result",
    "possible": "conceivable",
    "point": "location",
    "how much": "what amount",
}
OPENINGS = ("Here is a puzzle for you. ", "Please work this out carefully. ", "Consider the following. ", "")
DIGITS = {
    str(i): w
    for i, w in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
}
_NUMBER = r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?![\w])"


def copy(example: Example, rng: random.Random) -> Example:
    """The same words in another case, with other spaces and quotes."""
    prompt = str(example.prompt)
    noisy = rng.choice(
        [
            prompt,
            prompt.upper() if "\\" not in prompt else prompt,
            prompt.replace(" ", "  ").replace("'", "\u2019"),
            prompt.replace(". ", ".\n").replace(", ", " , "),
            prompt.rstrip("?.") + " ?",
        ]
    )
    return replace(example, prompt=noisy)


def renumber(example: Example, rng: random.Random) -> Example:
    """The same words with other numbers, of as many digits."""
    seen: dict[str, str] = {}

    def other(match: re.Match[str]) -> str:
        old = match.group(0)
        if old not in seen:
            new = old
            while new == old:
                new = re.sub(r"\d", lambda _: str(rng.randint(1, 9)), old)
            seen[old] = new
        return seen[old]

    words = {word: digit for digit, word in DIGITS.items()}

    def written(match: re.Match[str]) -> str:
        if match.group(0) not in words or match.group(0) == "one":
            return match.group(0)
        return DIGITS[str(rng.choice([d for d in range(2, 10) if DIGITS[str(d)] != match.group(0)]))]

    prompt = re.sub(r"\b[a-z]+\b", written, re.sub(_NUMBER, other, str(example.prompt)))
    if prompt == example.prompt:
        prompt = re.sub(r"\d", lambda m: str((int(m.group(0)) + rng.randint(1, 8)) % 10), prompt)
    completion = re.sub(_NUMBER, other, example.completion)
    answer = None if example.answer is None else f"{example.answer}{rng.randint(1, 9)}"
    return replace(example, prompt=prompt, completion=completion, answer=answer)


def reword(example: Example, rng: random.Random) -> Example:
    """Synonyms, an opening, small numbers in words, and the question asked first now and then."""
    prompt = str(example.prompt)
    for old, new in sorted(SYNONYMS.items(), key=lambda item: -len(item[0])):
        if rng.random() < 0.7:
            prompt = re.sub(rf"(?<!\\)\b{old}\b", new, prompt)
    prompt = re.sub(r"(?<![\w.,$\\{}^+*/=-])\d(?= [a-z])", lambda m: DIGITS[m.group(0)], prompt)
    sentences = re.split(r"(?<=[.?!])\s+", prompt)
    if len(sentences) > 2 and rng.random() < 0.3 and "\\" not in prompt:
        sentences = [sentences[-1], *sentences[:-1]]
    return replace(
        example, prompt=rng.choice(OPENINGS) + " ".join(sentences), completion=_other_solution(example)
    )


def translate(example: Example, rng: random.Random) -> Example:
    """Every word that is no name in another language, made by rule; numbers and formulas stay."""
    return replace(example, prompt=_foreign(str(example.prompt)), completion=_foreign(example.completion))


def _other_solution(example: Example) -> str:
    """The reference with other words around its figures."""
    return "Let us see. " + re.sub(
        r"\b(?:so|then|first|next)\b", "thus", example.completion, flags=re.IGNORECASE
    )


def _foreign(text: str) -> str:
    return re.sub(r"(?<![\\\w])[a-z]{2,}\b|(?<=[.?!:]\s)[A-Z][a-z]+\b|^[A-Z][a-z]+\b", _foreign_word, text)


def _foreign_word(match: re.Match[str]) -> str:
    word = match.group(0)
    seed = zlib.crc32(word.lower().encode())
    parts = "bdfgklmnprstvz", "aeiou"
    syllables = [
        f"{parts[0][(seed >> 4 * i) % 14]}{parts[1][(seed >> (3 * i + 1)) % 5]}" for i in range(2 + seed % 3)
    ]
    made = "".join(syllables)
    return made.capitalize() if word[0].isupper() else made


RULES: dict[str, Callable[[Example, random.Random], Example]] = {
    "copy": copy,
    "renumber": renumber,
    "reword": reword,
    "translate": translate,
}
EXPECTED = {
    "copy": ("copy",),
    "renumber": ("renumbered",),
    "reword": ("reworded", "copy"),
    "translate": ("reworded", "copy"),
}
"""Kinds that count as found."""


def plant(train: Sequence[Example], each: int, seed: int) -> list[tuple[str, Example, Example]]:
    """Rule, written again, original."""
    rng = random.Random(seed)
    chosen = rng.sample(range(len(train)), each * len(RULES))
    return [
        (rule, RULES[rule](train[i], rng), train[i])
        for at, rule in enumerate(RULES)
        for i in chosen[at * each : (at + 1) * each]
    ]
