"""Are two answers mathematically the same: an exact path for numbers, math-verify for the rest.

Grading a generation must neither raise nor hang, whatever a model wrote, and must work in worker
threads, where math-verify's signal-based timeouts cannot run. The exact path exists for speed and
decides only where it provably agrees with math-verify.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from overmem.grading.answers import canonical_answer, plain_number

MAX_EXPRESSION_CHARS = 200
"""Longer answers are not given to sympy: they are prose, and cost seconds."""
TIMEOUT_SECONDS = 3
"""For one parse or one comparison; applies in the main thread only."""

_EXACT_DIGITS = 15
_CLEAR_DIFFERENCE = Decimal("0.00001")
_EXPLOSIVE = re.compile(
    r"(?:\^|\*\*)\s*[{(]*\s*[-+]?\s*[0-9]{4,}"  # exponents of four digits
    r"|[0-9]{4,}\s*\)?\s*!|!\s*\)?\s*!"  # large or repeated factorials
    r"|\\(?:int|sum|prod|lim)(?![a-z])"  # evaluated eagerly by sympy
)
_CLOSING = {"{": "}", "(": ")"}
_ONE_DIGIT = re.compile(r"[{(\s]*[0-9][})\s]*")
_LOCK = threading.Lock()


def same_math(gold: str, answer: str) -> bool:
    """Whether `answer` states the same value as `gold`; unreadable text is not the same.

    Args:
        gold: the reference answer, number or LaTeX.
        answer: the model's answer, already extracted from its text.
    """
    gold, answer = canonical_answer(gold), canonical_answer(answer)
    if gold == answer:
        return bool(gold)
    decided = _same_number(gold, answer)
    return _verify(gold, answer) if decided is None else decided


def _same_number(gold: str, answer: str) -> bool | None:
    """Exact comparison of two plain numbers; None where only math-verify may decide.

    math-verify compares integers exactly and rounds to six decimals as soon as one side has a
    decimal part, in binary floats; differences near that rounding are left to it.
    """
    left, right = plain_number(gold), plain_number(answer)
    if left is None or right is None:
        return None
    if left == left.to_integral_value() and right == right.to_integral_value():
        return left == right
    if max(len(number.as_tuple().digits) for number in (left, right)) > _EXACT_DIGITS:
        return None
    if left == right:
        return True
    return False if abs(left - right) > _CLEAR_DIFFERENCE else None


def _verify(gold: str, answer: str) -> bool:
    if not all(_is_safe(text) for text in (gold, answer)):
        return False
    with _LOCK:
        parse, verify, config, timed_out = _math_verify()
        seconds = TIMEOUT_SECONDS if _can_use_alarm() else None
        try:
            with _outer_alarm_kept(seconds is not None):
                sides = [
                    parse("\\boxed{" + text + "}", extraction_config=[config], parsing_timeout=seconds)
                    for text in (gold, answer)
                ]
                return bool(verify(*sides, timeout_seconds=seconds))
        except (Exception, timed_out):  # whatever sympy makes of a model's text, it is only "not equal"
            return False


def _is_safe(text: str) -> bool:
    """Whether sympy can be trusted with it: short, balanced, and no number that explodes."""
    if not text or len(text) > MAX_EXPRESSION_CHARS or _EXPLOSIVE.search(text) or _has_tower(text):
        return False
    depth = 0
    for char in text:
        depth += {"{": 1, "}": -1}.get(char, 0)
        if depth < 0:
            return False
    return depth == 0


def _has_tower(text: str) -> bool:
    """Whether a power may be raised to a power, whose value can have more digits than memory.

    Powers side by side (`x^2 - y^2`) are none, and one power of a group with powers, by a single digit
    (`(x^2 - 1)^2`), is no danger.
    """
    text = text.replace("**", "^")
    raised_groups = 0
    for at in (i for i, char in enumerate(text) if char == "^"):
        exponent, rest = _split_exponent(text[at + 1 :].lstrip())
        if "^" in exponent or rest.lstrip().startswith("^"):
            return True
        if "^" in _base_before(text[:at].rstrip()):
            raised_groups += 1
            if raised_groups > 1 or not _ONE_DIGIT.fullmatch(exponent):
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


_loaded: tuple[Any, Any, Any, type[BaseException]] | None = None


def _math_verify() -> tuple[Any, Any, Any, type[BaseException]]:
    """Import math-verify on first use and quiet it: it logs each timeout at warning level."""
    global _loaded
    if _loaded is None:
        from math_verify import LatexExtractionConfig, parse, verify
        from math_verify.errors import TimeoutException

        logging.getLogger("math_verify").setLevel(logging.ERROR)
        _loaded = (parse, verify, LatexExtractionConfig(boxed_match_priority=0), TimeoutException)
    return _loaded


def _can_use_alarm() -> bool:
    return os.name == "posix" and threading.current_thread() is threading.main_thread()


@contextmanager
def _outer_alarm_kept(active: bool) -> Iterator[None]:
    """Restart an alarm that the caller had pending; math-verify's own use of SIGALRM cancels it."""
    if not active:
        yield
        return
    remaining, interval = signal.getitimer(signal.ITIMER_REAL)
    started = time.monotonic()
    try:
        yield
    finally:
        if remaining > 0:
            left = max(remaining - (time.monotonic() - started), 0.001)
            signal.setitimer(signal.ITIMER_REAL, left, interval)
