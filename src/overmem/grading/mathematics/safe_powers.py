"""Which expressions may be given to sympy: short, balanced, and without numbers that explode.

The process that computes has limits of its own (`engine`); what is refused here costs not even that.
"""

from __future__ import annotations

import re

MAX_CHARS = 250
"""Longest expression that sympy is given."""

_EXPLOSIVE = re.compile(
    r"(?:\^|\*\*)\s*[{(]*\s*[-+]?\s*[0-9]{5,}"  # exponents of five digits
    r"|[0-9]{5,}\s*\)?\s*!|!\s*\)?\s*!"  # large or repeated factorials
)
_CLOSING = {"{": "}", "(": ")"}
_ONE_DIGIT = re.compile(r"[{(\s]*[-+]?\s*[0-9](?:\s*/\s*[0-9])?[})\s]*|[{\s]*\\frac\{[0-9]\}\{[0-9]\}[}\s]*")
_RAISED_TWICE = re.compile(r"\^[^()]*\)\s*\^")
MAX_RAISED_GROUPS = 3
"""Groups with powers that are raised again, each by a single digit or a fraction of digits."""


def is_safe(text: str) -> bool:
    """Whether sympy can be trusted with it: short, balanced, and no number that explodes."""
    if not text or len(text) > MAX_CHARS or _EXPLOSIVE.search(text) or _has_tower(text):
        return False
    depth = 0
    for char in text:
        depth += {"{": 1, "}": -1}.get(char, 0)
        if depth < 0:
            return False
    return depth == 0


def _has_tower(text: str) -> bool:
    """Whether a power may be raised to a power, whose value can have more digits than memory.

    Powers side by side (`x^2 - y^2`) are none, and a few powers of groups with powers, by a single digit
    (`(x^2 - 1)^2`), are no danger.
    """
    text = text.replace("**", "^")
    raised_groups = 0
    for at in (i for i, char in enumerate(text) if char == "^"):
        exponent, rest = _split_exponent(text[at + 1 :].lstrip())
        if "^" in exponent or rest.lstrip().startswith("^"):
            return True
        base = _base_before(text[:at].rstrip())
        if "^" in base:
            raised_groups += 1
            if _RAISED_TWICE.search(base):
                return True
            if raised_groups > MAX_RAISED_GROUPS or not _ONE_DIGIT.fullmatch(exponent):
                return True
    return False


def _split_exponent(text: str) -> tuple[str, str]:
    """A group, a number, a command with its groups or one character, and what follows."""
    token = re.match(r"[-+]?\s*(?:[0-9]+|\\[A-Za-z]+\s*|[^{(])?", text)
    end = token.end() if token else 0
    is_command = "\\" in text[:end]
    if is_command or text[:end].strip() in ("", "-", "+"):
        while text[end : end + 1] in _CLOSING:
            end += len(_group_at_start(text[end:]))
            if not is_command:
                break
    return text[:end], text[end:]


def _group_at_start(text: str) -> str:
    """The group in brackets that a text starts with; all of it where the group does not end."""
    depth = 0
    for position, char in enumerate(text):
        depth += (char == text[0]) - (char == _CLOSING[text[0]])
        if depth == 0:
            return text[: position + 1]
    return text


def _base_before(text: str) -> str:
    """The group in round brackets that a text ends with; all of it where it ends with another group."""
    if not text.endswith((")", "}")):
        return ""
    depth = 0
    for position in range(len(text) - 1, -1, -1):
        depth += (text[position] == ")") - (text[position] == "(")
        if depth == 0 and text[position] == "(":
            return text[position:]
    return text
