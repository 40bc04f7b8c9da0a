"""The program that runs math-verify, in a process of its own, which nothing that a model wrote can hang.

Reads one pair of answers a line as JSON, writes 1 or 0. Started by `engine`.
"""

from __future__ import annotations

import json
import logging
import random
import signal
import sys
from typing import Any

CPU_SECONDS = 3
"""Of computing, for one comparison; what a busy machine keeps waiting is not punished."""
MEMORY_BYTES = 3 * 2**30
"""Of address space."""
_AGREE, _AGREE_EXACTLY, _DIFFER = 1e-9, 1e-25, 1e-5
"""Relative differences: up to which values agree, where decimals were written and where none were, and from
which they differ. Between them math-verify decides."""
_POINTS = 6
"""Values of the variables that are tried."""


class _OutOfTimeError(BaseException):
    """Passes every `except Exception` of the libraries."""


def main() -> None:
    """Answer comparisons until there are no more."""
    logging.disable(logging.CRITICAL)
    _limit()
    from math_verify import LatexExtractionConfig, parse, verify

    config = LatexExtractionConfig(boxed_match_priority=0)

    def same(gold: str, answer: str) -> bool:
        sides = [
            parse("\\boxed{" + text + "}", extraction_config=[config], parsing_timeout=None)
            for text in (gold, answer)
        ]
        if not all(sides):
            return False
        decided = agree(sides[0][0], sides[1][0])
        return bool(verify(*sides, timeout_seconds=None)) if decided is None else decided

    print("ready", flush=True)
    for line in sys.stdin:
        gold, answer = json.loads(line)
        try:
            if hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            right = same(gold, answer)
        except (Exception, _OutOfTimeError):  # whatever sympy makes of a model's text, it is only "not equal"
            right = False
        finally:
            if hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_PROF, 0)
        print(int(right), flush=True)


def _limit() -> None:
    """Stop after some seconds of computing, and let no number fill the memory, where the system can."""
    if not hasattr(signal, "SIGPROF"):
        return
    import resource

    def stop(*_: object) -> None:
        raise _OutOfTimeError

    signal.signal(signal.SIGPROF, stop)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.set_int_max_str_digits(0)


def agree(gold: Any, answer: Any) -> bool | None:
    """Whether two parsed answers have the same value wherever both are defined; None where it cannot be said.

    Expressions are compared by their values at random points, relative to their size, which tells small
    numbers apart that are the same to six decimals; equations by whether their sides differ by a constant
    factor.

    Args:
        gold: what math-verify made of the reference, a sympy object or a text.
        answer: what it made of the answer.
    """
    from sympy import Eq, Expr, I

    if isinstance(gold, Eq) and isinstance(answer, Eq):
        return _same_equation(gold, answer)
    if not isinstance(gold, Expr) or not isinstance(answer, Expr):
        return None
    decided = _agree_at_points(gold, answer)
    imaginary = [symbol for symbol in gold.free_symbols | answer.free_symbols if str(symbol) == "i"]
    if decided is not True and imaginary:
        units = dict.fromkeys(imaginary, I)
        decided = _agree_at_points(gold.subs(units), answer.subs(units))
    return decided


def _agree_at_points(gold: Any, answer: Any) -> bool | None:
    from sympy import Float

    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    pairs = [_values((gold, answer), symbols, place) for place in range(_POINTS if symbols else 1)]
    known = [pair for pair in pairs if pair is not None]
    if not known or (symbols and len(known) < _POINTS // 2):
        return None
    differences = [_relative(*pair) for pair in known]
    decimal = gold.has(Float) or answer.has(Float)
    if max(differences) <= (_AGREE if decimal else _AGREE_EXACTLY):
        return symbols != [] or decimal or _same_integers(gold, answer)
    return False if max(differences) > _DIFFER or not decimal else None


def _same_integers(gold: Any, answer: Any) -> bool:
    """Whether numbers that agree to 40 digits are the same in all of them, where they are whole."""
    exact = [expression.doit() for expression in (gold, answer)]
    return bool(exact[0] == exact[1]) if all(value.is_Integer for value in exact) else True


def _values(expressions: tuple[Any, ...], symbols: list[Any], place: int) -> tuple[Any, ...] | None:
    """Values at one random point, None where one is no number there; the last two points are negative."""
    from sympy import Rational

    rng, sign = random.Random(place), 1 if place < _POINTS - 2 else -1
    point = {symbol: sign * Rational(rng.randint(1, 300), rng.choice((97, 89, 101))) for symbol in symbols}
    found = []
    for expression in expressions:
        value = expression.subs(point).evalf(40)
        if not value.is_number or not value.is_finite:
            return None
        found.append(value)
    if sign < 0 and symbols and any(value.as_real_imag()[1] != 0 for value in found):
        return None
    return tuple(found)


def _relative(left: Any, right: Any) -> float:
    size = max(abs(left), abs(right))
    return 0.0 if size == 0 else float(abs(left - right) / size)


def _same_equation(gold: Any, answer: Any) -> bool | None:
    sides = [equation.lhs - equation.rhs for equation in (gold, answer)]
    symbols = sorted(sides[0].free_symbols | sides[1].free_symbols, key=str)
    if sides[0].free_symbols != sides[1].free_symbols or not symbols:
        return None
    ratios = []
    for place in range(_POINTS):
        pair = _values(tuple(sides), symbols, place)
        if pair is not None and pair[0] != 0 and pair[1] != 0:
            ratios.append(pair[1] / pair[0])
    if len(ratios) < _POINTS // 2:
        return None
    return True if all(_relative(ratio, ratios[0]) <= _AGREE for ratio in ratios) else None
