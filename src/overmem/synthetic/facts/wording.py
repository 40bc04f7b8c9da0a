"""How `facts` asks and explains: the wordings of questions and solutions.

Almost every word is one that the bundled organism's tokenizer has as a whole.
"""

from __future__ import annotations

OWNING = ("{s} has a {x}.", "{s} finds a {x}.", "{s} gets a {x} from a friend.")
"""Sentences used in training problems."""
UNSEEN_OWNING = ("A neighbor hands a {x} to {s}.", "{s} takes a {x} up the road.")
"""Sentences kept for `ood_phrasing`."""

ASKING = {
    "does": ("Who has one that {asked}?", "Who of them has what {asked}?"),
    "is": ("Who has one that is a {asked}?", "Who of them has a {asked}?"),
    "akin": ("Who has one of the kind of a {asked}?", "Who of them has the kind that a {asked} is?"),
}
"""Questions by relation; of these only `does` is used in training problems."""
UNSEEN_ASKING = {
    "does": ("We see one that {asked}. Who has it?", "To see what {asked}, to who of them do we get?"),
}
"""Questions kept for `ood_phrasing`."""

OPENERS = ("", "First, ", "To start, ", "We begin: ", "At first, ", "Let us see: ")
CONNECTORS = ("", "Then ", "Next, ", "After that, ", "Now ", "So ")
HOLDING = (
    "{s} has a {x}",
    "the one of {s} is a {x}",
    "it is {s} that has a {x}",
    "that {x} is of {s}",
)
FRAMES = ("{fact}.", "we have that {fact}.", "we see that {fact}.", "it is just that {fact}.")
CLOSINGS = ("", "The answer is {s}.", "That is {s}.", "It is {s} in the end.", "So {s} it is.")
