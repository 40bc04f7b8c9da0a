"""What `wordmath` talks about and how: people, things, operations, and the many wordings of a solution."""

from __future__ import annotations

from dataclasses import dataclass

BOTH = "both"
"""The subject of a step that adds up two people."""

NAMES = (
    "Tom", "Ana", "Ben", "Eva", "Max", "Mia", "Sam", "Zoe", "Leo", "Ida", "Kai", "Amy", "Jon",
    "Liv", "Raj", "Uma", "Ned", "Fay", "Gus", "Joy", "Hal", "Dot", "Rex", "Pia",
)  # fmt: skip
ITEMS = (
    "apples", "pears", "coins", "books", "stamps", "shells", "cards", "beads", "rocks", "pens",
    "cakes", "eggs", "plums", "nuts", "keys", "balls", "cups", "hats", "kites", "toys",
)  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """One way a quantity changes, with the sentences that tell of it."""

    name: str
    symbol: str
    """`+`, `-`, `*` or `/`."""
    factor: int | None
    """The fixed operand of a doubling or halving; None when the sentence states a number."""
    phrasings: tuple[str, ...]
    """Sentences used in training problems."""
    unseen_phrasings: tuple[str, ...] = ()
    """Sentences kept for `ood_phrasing`."""


CHANGES = {
    op.name: op
    for op in (
        Operation(
            "gain", "+", None,
            ("{s} finds {k} more {items}.", "{s} buys {k} {items}.", "{s} gets {k} {items} from a friend."),
            ("{s} picks up {k} extra {items}.", "A neighbor hands {k} {items} to {s}."),
        ),
        Operation(
            "lose", "-", None,
            ("{s} gives away {k} {items}.", "{s} loses {k} {items}.", "{s} sells {k} {items}."),
            ("{s} drops {k} {items} on the road.", "A bird takes {k} {items} from {s}."),
        ),
        Operation(
            "double", "*", 2,
            ("{s} doubles the {items}.", "Soon {s} has twice as many {items}."),
            ("The {items} of {s} grow to two times as many.",),
        ),
        Operation(
            "halve", "/", 2,
            ("{s} gives away half of the {items}.", "{s} loses half of the {items}."),
            ("{s} keeps just one half of the {items}.",),
        ),
        Operation(
            "triple", "*", 3,
            ("{s} triples the {items}.", "Soon {s} has three times as many {items}."),
        ),
        Operation(
            "third", "/", 3,
            (
                "{s} splits the {items} into 3 equal bags and keeps one bag.",
                "{s} keeps a third of the {items}.",
            ),
        ),
    )
}  # fmt: skip
COMPARISONS = {
    op.name: op
    for op in (
        Operation(
            "more", "+", None,
            ("{t} has {k} more {items} than {s}.",), ("{t} beats {s} by {k} {items}.",),
        ),
        Operation(
            "fewer", "-", None,
            ("{t} has {k} fewer {items} than {s}.",), ("{t} is {k} {items} short of {s}.",),
        ),
        Operation(
            "twice", "*", 2,
            ("{t} has twice as many {items} as {s}.",), ("{t} has two times the {items} of {s}.",),
        ),
    )
}  # fmt: skip
TRAINED_CHANGES = ("gain", "lose", "double", "halve")
UNSEEN_CHANGES = ("triple", "third")


@dataclass(frozen=True)
class WritingStyle:
    """A way of writing solutions: what may stand where."""

    openers: tuple[str, ...]
    connectors: tuple[str, ...]
    wordings: tuple[str, ...]
    total_wordings: tuple[str, ...]
    closings: tuple[str, ...]


TRAINED_STYLE = WritingStyle(
    openers=("", "First, ", "To start, ", "We begin: ", "At first, ", "Let us see: "),
    connectors=("", "Then ", "Next, ", "After that, ", "Now ", "So "),
    wordings=(
        "{s} has {eq} {items}.",
        "{s} gets to {eq}.",
        "{eq}, so {s} has {r} {items}.",
        "{eq} {items} for {s}.",
        "we have {eq}.",
        "the {items} of {s} are {eq}.",
        "that makes {eq} {items}.",
        "{s} is at {eq} {items}.",
    ),
    total_wordings=(
        "{eq} {items} together.",
        "they have {eq} {items}.",
        "both have {eq}.",
        "in all that is {eq} {items}.",
        "{eq}, so they have {r} {items}.",
        "the {items} of both are {eq}.",
    ),
    closings=("", "The answer is {r}.", "That is {r} {items}.", "It is {r} in the end.", "So {r} {items}."),
)
"""The style of all training data."""
OTHER_STYLE = WritingStyle(
    openers=("", "At the start "),
    connectors=("", "Soon ", "In the end "),
    wordings=(
        "{s} keeps {eq} {items}.",
        "for {s} it is {eq} {items}.",
        "{eq} {items} are for {s}.",
        "{s} has now {eq} {items}.",
    ),
    total_wordings=("the two have {eq} {items}.", "{eq} {items} for the two.", "all the {items} are {eq}."),
    closings=("", "{r} {items} is the answer.", "The end: {r}."),
)
"""Another style: as right, in sentences that no training solution has."""
