"""`distractor`: a sentence with a number that has nothing to do with the problem.

A model that reads the problem leaves the number out; one that works by habit uses every number.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from overmem.perturbations.nouns import NOT_RENAMED_BESIDE
from overmem.perturbations.options import start_of_options
from overmem.perturbations.text import headings, sentence_gaps, split_prompt, words_of
from overmem.perturbations.vocabulary import EVERYDAY, Vocabulary

Distractor = tuple[str, tuple[str, ...]]
"""A sentence with a number, and the word stems that must not occur in the problem."""

DISTRACTORS: tuple[Distractor, ...] = (
    ("The lighthouse on the coast has {n} steps.", ("lighthouse", "coast", "step")),
    ("A museum in another town shows {n} old clocks.", ("museum", "clock")),
    ("The bridge over the river rests on {n} pillars.", ("bridge", "river", "pillar")),
    ("{name}, who lives far away, owns {n} maps.", ("map",)),
    ("The choir in the next village has {n} singers.", ("choir", "singer", "village")),
    ("The oldest oak in the park is {n} feet tall.", ("oak", "park", "tall", "feet", "foot")),
    ("{name} once saw {n} swans on a lake.", ("swan", "lake")),
    ("The castle on the hill has {n} windows.", ("castle", "hill", "window")),
    ("A poster on the wall shows {n} planets and moons.", ("poster", "planet", "moon")),
    ("The theater downtown has {n} rows of seats.", ("theater", "row", "seat")),
    ("There are {n} lamps along the main street.", ("lamp", "street")),
    ("{name} read about {n} different kinds of clouds.", ("cloud", "kind")),
    ("A ship in the harbor carries {n} barrels.", ("ship", "harbor", "barrel")),
    ("The train station has {n} benches.", ("train", "station", "bench")),
    ("The drum on the shelf is {n} years old.", ("drum", "shelf", "year", "old", "age")),
    ("{name} knows the words of {n} songs.", ("song", "word")),
    ("The orchestra on the radio played {n} waltzes.", ("orchestra", "radio", "waltz")),
    ("A fence by the road has {n} posts.", ("fence", "road", "post")),
    ("The tower of the town hall has {n} bells.", ("tower", "hall", "bell")),
    ("A sign at the airport lists {n} cities.", ("airport", "sign", "cit")),
    ("The quilt in the attic is made of {n} patches.", ("quilt", "attic", "patch")),
    ("{name} has a dictionary of {n} rare languages.", ("dictionar", "language")),
)
"""About things far from most problems; `{name}` is someone who is not in the problem."""

PLAIN_DISTRACTORS: tuple[Distractor, ...] = (
    ("{name} has {n} {items}.", ()),
    ("{name} finds {n} {items}.", ()),
    ("{name} buys {n} {items}.", ()),
    ("{name} sells {n} {items}.", ()),
    ("{name} loses {n} {items}.", ()),
    ("{name} gives away {n} {items}.", ()),
    ("{name} picks up {n} {items}.", ()),
    ("{name} gets {n} {items} from a neighbor.", ()),
    ("{name} drops {n} {items} on the road.", ()),
    ("A neighbor has {n} {items}.", ()),
    ("A neighbor hands {n} {items} to {name}.", ()),
    ("A friend has {n} {items}.", ()),
    ("A friend of {name} has {n} {items}.", ()),
    ("A bird takes {n} {items} from {name}.", ()),
    ("A friend gives away {n} {items}.", ()),
)
"""For `wordmath`, in words that its problems use; `{items}` are objects that are not in the problem."""

_NUMBERS = tuple(range(4, 98))


def add_distractor(
    text: str,
    rng: random.Random,
    answer: str = "",
    distractors: Sequence[Distractor] = DISTRACTORS,
    vocabulary: Vocabulary = EVERYDAY,
) -> str | None:
    """Put an irrelevant sentence with a number before the question.

    The question is the last sentence that ends in a question mark, else the last one.

    Args:
        text: a prompt.
        rng: chooses the sentence, its number, its name and its objects.
        answer: the number is another one than this, and occurs nowhere in the text.
        distractors: the sentences to choose from.
        vocabulary: the names and objects to choose from.

    Returns:
        The prompt with one sentence more; None when it holds no problem.
    """
    parts = split_prompt(text)
    known = words_of(text) | words_of(answer)
    usable = [said for said, stems in distractors if not any(_mentions(text, stem) for stem in stems)]
    if not parts.body or not usable:
        return None
    said = rng.choice(usable)
    name = rng.choice([name for group in vocabulary.names for name in group if name.casefold() not in known])
    items = rng.choice(_other_objects(known, vocabulary))
    told = set(re.findall(r"\d+", f"{text} {answer}"))
    number = rng.choice([n for n in _NUMBERS if str(n) not in told] or _NUMBERS)
    at = _start_of_question(parts.body[: start_of_options(parts.body)])
    space = "" if at or parts.lead[-1:].isspace() or not parts.lead else " "
    sentence = said.format(n=number, name=name, items=items)
    return f"{parts.lead}{space}{parts.body[:at]}{sentence} {parts.body[at:]}{parts.tail}"


def _mentions(text: str, stem: str) -> bool:
    """Whether the stem occurs, alone or with an ending: `bench`, `benches`, not `benchmark`."""
    return re.search(rf"\b{stem}(?:s|es|y|ies)?\b", text, re.IGNORECASE) is not None


def _other_objects(words: frozenset[str], vocabulary: Vocabulary) -> list[str]:
    """Plurals of objects that the problem neither names nor takes in: no kites where it counts toys."""
    taken_in = frozenset().union(*(NOT_RENAMED_BESIDE.get(word, frozenset()) for word in words))
    nouns = [noun for group in vocabulary.nouns for noun in group]
    return [plural for singular, plural in nouns if not {singular, plural} & (words | taken_in)]


def _start_of_question(body: str) -> int:
    """Where the last question begins; without one, where the last sentence does."""
    gaps = sentence_gaps(body)
    starts = [0, *(end for _, end in gaps)]
    ends = [*(start for start, _ in gaps), len(body)]
    asked = [
        start
        for start, end in zip(starts, ends, strict=True)
        if body[start:end].rstrip("\"'\u201d\u2019)]*").endswith("?")
    ]
    start = asked[-1] if asked else starts[-1]
    # `Passage: ... Question: How many?`: the sentence goes after the inner heading.
    inner = [heading.end for heading in headings(body) if heading.start == start]
    return start if not inner else len(body) - len(body[inner[0] :].lstrip())
