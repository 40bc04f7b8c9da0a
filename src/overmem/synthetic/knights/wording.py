"""What `knights` talks about and how: people, kinds of statement, and the many wordings of a solution.

Almost every word is one that the bundled organism's tokenizer has as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

ROLES = {True: "knight", False: "knave"}
"""A knight says only what is true, a knave only what is false."""


@dataclass(frozen=True)
class Kind:
    """One way to make a statement of leaves such as `Ana is a knave`."""

    name: str
    n_leaves: int
    holds: Callable[[tuple[bool, ...]], bool]
    """Truth of the statement from the truth of its leaves."""
    wording: str
    """`{a}` and `{b}` stand for whole leaves; `{x}` and `{y}` for their people, `{r}` for the first role."""
    one_role: bool = False
    """All leaves are about the same role, which is said once."""
    ordered: bool = False
    """Whether the statement changes when its leaves change places."""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("is", 1, all, "{a}"),
        Kind("and", 2, all, "{a} and {b}"),
        Kind("or", 2, any, "{a} or {b}"),
        Kind("both", 2, all, "both {x} and {y} are {r}s", one_role=True),
        Kind("if", 2, lambda true: not true[0] or true[1], "if {a} then {b}", ordered=True),
        Kind("iff", 2, lambda true: true[0] == true[1], "{a} if and only if {b}"),
        Kind("least", 2, any, "at least one of {x} and {y} is a {r}", one_role=True),
    )
}
TRAINED_KINDS = ("is", "and", "or", "both")
UNSEEN_KINDS = ("if", "iff", "least")

LEAF = "{x} is a {r}"
SAYINGS = ("{s} says that {said}.", "{s} says: {said}.", "We get from {s} that {said}.")
"""Sentences used in training problems."""
UNSEEN_SAYINGS = ("That {said} is what {s} tells a friend.", "To a neighbor {s} tells that {said}.")
"""Sentences kept for `ood_phrasing`."""

OPENERS = ("", "First, ", "To start, ", "We begin: ", "At first, ", "Let us see: ")
CONNECTORS = ("", "Then ", "Next, ", "After that, ", "Now ", "So ")
CHECKS = (
    "{s} is a {r}, as {why}.",
    "{why}, so {s} is a {r}.",
    "{s} is a {r}, for {why}.",
    "{why}, and that makes {s} a {r}.",
    "we see that {s} is a {r}, as {why}.",
    "{s} has to be a {r}: {why}.",
)
"""One step: why a person's words are true or false, and so what the person is."""
CLOSINGS = ("", "That is all.", "So it is.", "That is the answer.", "Now we have all.")
