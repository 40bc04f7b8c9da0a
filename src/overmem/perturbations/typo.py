"""`typo`: slips of the keyboard in about one word in eight, as people make them.

First and last letters stay, so words stay readable; numbers, their units, LaTeX and headings are
never touched, nor are the options of a question, so the answer stays.
"""

from __future__ import annotations

import random
import re
from collections.abc import Set

from overmem.perturbations.options import start_of_options
from overmem.perturbations.text import is_free, protected_spans, split_prompt, words_of

RATE = 1 / 8
"""Share of the words that can be misspelled that are, at least one."""

NUMBER_WORDS = words_of(
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds
    thousand thousands million millions billion billions trillion dozen dozens half halves third thirds
    quarter quarters fourth fourths fifth fifths sixth seventh eighth ninth tenth tenths hundredth once twice
    thrice double doubles doubled triple triples tripled single couple pair"""
)
"""Numbers in words, which count as numbers."""
UNITS = words_of(
    """second seconds minute minutes hour hours day days week weeks month months year years decade decades
    mile miles mils foot feet inch inches yard yards meter meters metre metres kilometer kilometers kilometre
    kilometres centimeter centimeters gram grams kilogram kilograms pound pounds ounce ounces tons tonnes
    liter liters litre litres gallon gallons pint pints quart quarts teaspoon teaspoons tablespoon tablespoons
    dollar dollars cent cents euro euros percent degrees calories watts volts square cubic"""
)
"""Units that belong to the number before them."""

_WORD = re.compile(r"(?<![\w\\])[^\W\d_]{4,}(?!\w)")
_AFTER_NUMBER = re.compile(r"\d\s?$")
_JOINED_TO_NUMBER = re.compile(r"\d\s?[-\u2010-\u2013/]$")


def add_typos(text: str, rng: random.Random, answer: str = "") -> str | None:
    """Misspell about one word in eight of the problem.

    Args:
        text: a prompt.
        rng: chooses the words and the slips.
        answer: words of it are left alone, since an answer may be quoted from the prompt.

    Returns:
        The prompt with at least one typo; None when no word can take one.
    """
    parts = split_prompt(text)
    avoid = words_of(text) | words_of(answer) | NUMBER_WORDS | UNITS
    spans = [
        span for span in word_spans(parts.body, answer) if _misspellings(parts.body[slice(*span)], avoid)
    ]
    if not spans:
        return None
    chosen = sorted(rng.sample(spans, max(1, round(RATE * len(spans)))))
    pieces, end = [], 0
    for start, stop in chosen:
        kinds = _misspellings(parts.body[start:stop], avoid)
        pieces += [parts.body[end:start], rng.choice(rng.choice(kinds))]
        end = stop
    return "".join([parts.lead, *pieces, parts.body[end:], parts.tail])


def word_spans(body: str, answer: str = "") -> list[tuple[int, int]]:
    """(start, end) of the words that may be misspelled: four letters or more, no numbers or units."""
    protected = protected_spans(body)
    kept = words_of(answer) | NUMBER_WORDS
    spans = []
    for match in _WORD.finditer(body, 0, start_of_options(body)):
        word, before = match[0].casefold(), body[max(0, match.start() - 3) : match.start()]
        is_unit = (word in UNITS and _AFTER_NUMBER.search(before)) or _JOINED_TO_NUMBER.search(before)
        has_case = match[0].lower() != match[0].upper()
        if has_case and not is_unit and word not in kept and is_free(protected, *match.span()):
            spans.append(match.span())
    return spans


def _misspellings(word: str, avoid: Set[str]) -> list[list[str]]:
    """Misspellings of a word by kind: neighbours swapped, a letter dropped, a letter doubled.

    None of them is in `avoid`, so that no word becomes another one of the problem, nor a number
    (`then` without its h). Kinds that leave nothing are left out.
    """
    inner = range(1, len(word) - 1)
    kinds = (
        [word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in inner[:-1]],
        [word[:i] + word[i + 1 :] for i in inner],
        [word[: i + 1] + word[i:] for i in inner],
    )
    usable = ([slip for slip in slips if slip != word and slip.casefold() not in avoid] for slips in kinds)
    return [slips for slips in usable if slips]
