r"""`options`: the same options under other letters, with the answer's letter following.

A model that knows the answer finds it wherever it stands; one that remembers the letter does not. For
any multiple-choice problem whose options stand one a line, as `(A) ...`, `A) ...`, `A. ...` or `A: ...`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from overmem.grading.letters import extract_choice, single_letter
from overmem.records import Example

LETTERS = "ABCDEFGHIJ"

_OPTION = re.compile(r"(?m)^[ \t]*(?:\((?P<inner>[A-J])\)|(?P<bare>[A-J])[).:])[ \t]+(?P<text>\S.*?)[ \t]*$")
_REFERS_TO_OPTIONS = re.compile(
    r"(?i:\b(?:above|below|foregoing|preceding)\b)|\([A-J]\)|\b(?i:options?|choices?)\s+[A-J]\b"
    r"|\b[A-J]\s*(?:,|/|&|and\b|or\b|nor\b)\s*[A-J]\b"
)
"""An option that speaks of other options by place or letter, such as `all of the above` or `A and C`."""
_SAID = re.compile(
    r"\((?P<bracket>[A-J])\)"
    r"|(?:\#{4}[ \t]*|\\boxed\{\s*|\\text\{\s*)\(?(?P<marked>[A-J])\b(?!['\u2019])"
    r"|\b[Aa]nswer(?:[ \t]+is|[ \t]*:)[ \t*]*(?P<answer>[A-J])(?![\w'\u2019]|[ \t]+[a-z])"
    r"|\b(?i:option|choice)[ \t]+(?P<option>[A-J])\b"
    r"|\A\s*[*(\[]*(?P<first>[A-J])(?=[\])*]*[.:)]|\s*\Z)"
)
"""Where a solution names an option by its letter."""


@dataclass(frozen=True)
class _Option:
    letter: str
    start: int
    """Where its text is in the prompt."""
    end: int
    text: str


def shuffle_options(example: Example, text: str, rng: random.Random) -> tuple[str, Example] | None:
    """Give the options of a problem other letters, so that the right one has another letter too.

    Args:
        example: its answer is a letter.
        text: the prompt, or the message of it that holds the problem; its last block of options counts.
        rng: chooses the order.

    Returns:
        The text in its new order, and the example with the letters of answer and completion changed to
        fit; None when the text has no such options, the answer is none of their letters, an option speaks
        of others (`all of the above`), or the completion's letter cannot be followed.
    """
    options, gold = find_options(text), single_letter(example.answer or "")
    letters = [option.letter for option in options]
    if gold not in letters or any(_REFERS_TO_OPTIONS.search(option.text) for option in options):
        return None
    order = list(letters)  # order[i]: the old letter of what now stands at letter i
    while order[letters.index(gold)] == gold:
        rng.shuffle(order)
    new_letter = dict(zip(order, letters, strict=True))
    completion = _SAID.sub(lambda match: _follow(match, new_letter), example.completion)
    if extract_choice(example.completion) == gold and extract_choice(completion) != new_letter[gold]:
        return None
    answer = (
        (example.answer or "").replace(gold, new_letter[gold]).replace(gold.lower(), new_letter[gold].lower())
    )
    old = {option.letter: option.text for option in options}
    for option, letter in reversed(list(zip(options, order, strict=True))):
        text = text[: option.start] + old[letter] + text[option.end :]
    return text, replace(example, completion=completion, answer=answer, row=None)


def find_options(text: str) -> list[_Option]:
    """The last run of lines lettered A, B, C and so on without a gap; empty when there are not two."""
    runs: list[list[_Option]] = []
    end = -1
    for match in _OPTION.finditer(text):
        letter = match["inner"] or match["bare"]
        option = _Option(letter, match.start("text"), match.end("text"), match["text"])
        follows = bool(runs) and text[end : match.start()] == "\n" and letter == LETTERS[len(runs[-1]) :][:1]
        if follows:
            runs[-1].append(option)
        elif letter == "A":
            runs.append([option])
        end = match.end()
    return runs[-1] if runs and len(runs[-1]) > 1 else []


def start_of_options(text: str) -> int:
    """Where the first line of the options begins; the end of the text when it has none."""
    options = find_options(text)
    return text.rfind("\n", 0, options[0].start) + 1 if options else len(text)


def options_in_question(text: str) -> bool:
    """Whether each option is a number or stands in the question too, so that other words keep the answer."""
    question = text[: start_of_options(text)]
    return all(
        option.text.strip() in question or not re.search(r"[^\W\d_]{2}", option.text)
        for option in find_options(text)
    )


def _follow(match: re.Match[str], new_letter: Mapping[str, str]) -> str:
    """What was matched with its letter, which stands in one of the groups, as the options have it now."""
    group = str(match.lastgroup)
    start, end = (at - match.start() for at in match.span(group))
    return match[0][:start] + new_letter.get(match[group], match[group]) + match[0][end:]
