r"""How final answers are written down: marks (`\boxed{}`, `####`) and plain numbers.

Data readers use it to find the reference answer, graders to find the model's; both must read a text
the same way or right solutions are counted wrong. Pure text, no dependencies.
"""

from __future__ import annotations

import re
from decimal import Decimal

from overmem.grading.reasoning import split_reasoning

MAX_PLAIN_CHARS = 40
"""Longest text read as a plain number; anything longer goes to math-verify."""

MAX_BOX_CHARS = 2000
"""Longest content of a box, likewise."""
MAX_BOXES = 50
"""Boxes looked at from the end of a text, so that a model stuck on opening them costs no time."""

_DIGITS = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9,])|[0-9]+)"
_RUPEES = r"(?:₹|Rs\.?)\s?[1-9][0-9]?(?:,[0-9]{2})*,[0-9]{3}(?![0-9,])"
_PLAIN = re.compile(
    rf"{_RUPEES}(?:\.[0-9]*)?|(?:[-+\u2212]\s?)?[$€£]?\s?[-\u2212]?(?:{_DIGITS}(?:\.[0-9]*)?|\.[0-9]+)"
)
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
_IN_PROSE = re.compile(
    rf"(?=[-\u2212$€£₹R.0-9])(?:{_RUPEES}|(?:(?<![\w)\]}}])[-\u2212])?[$€£]?(?<![A-Za-z_])(?:"
    r"(?<![0-9])[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+(?![0-9])"  # 1.234,5
    r"|(?<![0-9.,'])[1-9][0-9]{0,2}(?:['\u2019][0-9]{3})+(?![0-9])"  # 12'500
    r"|(?<![0-9.,])0,[0-9]+(?![0-9,]|\.[0-9])"  # 0,125
    r"|(?<![0-9.,])[1-9][0-9]{0,2}(?:[ \u00a0\u202f][0-9]{3})+(?![0-9]|[.,][0-9])"  # 1 000 000
    r"|(?<![0-9.,/])[0-9]+ [0-9]+/[0-9]+(?![0-9])"  # 2 1/2
    r"|(?<![0-9.,])[0-9]+,[0-9]{1,2}(?![0-9,]|\.[0-9])"  # 2,74
    rf"|{_DIGITS}(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+|/[0-9]+)?|(?<![0-9])\.[0-9]+)"
    r"(?:\s(?:hundred|thousand|million|billion|trillion|dozen)\b)?"
    rf"(?:\s?[×x·*]\s?10(?:\^\{{?-?[0-9]+\}}?|[{_RAISED}]+)|[√π½¼¾][0-9]*)?(?:\s?\\?%)?)"
)
_QUANTITY = re.compile(
    r"(?P<number>\S*[0-9]\S*?)"
    r"(?:\s+(?P<words>[A-Za-z]{2}[A-Za-z ]*)|\s*\\(?:text|mathrm|mbox)\{(?P<unit>[A-Za-z ]*)\})"
)
_FRACTION = re.compile(r"[-\u2212]?[0-9]+/[0-9]+")
_NOT_A_UNIT = re.compile(
    r"\b(?:percent|percentage|pct|hundred|thousand|million|billion|trillion|dozen|half|quarter|third"
    r"|tenth|hundredth|thousandth|squared|cubed|below|negative|factorial"
    r"|and|or|plus|minus|times|pi|mod|sqrt|sin|cos|tan|log|ln)s?\b",
    re.IGNORECASE,
)

_BOX = re.compile(r"\\f?boxed\s*\{|\\fbox\s*\{")
_CONNECTIVE = re.compile(r"\b(?:and|or|und|oder|et|ou)\b|[,;]|和|或|及|、", re.IGNORECASE)
_APART = re.compile(
    r"[.!?。]\s|\n\s*\n|[.!?。]\Z|[0-9]"
    r"|\b(?:then|final|finally|next|later|now|so|thus|hence|therefore|which|gives?|is|but|not)\b",
    re.IGNORECASE,
)
MAX_BETWEEN_CHARS = 40
"""Between two boxes that are several answers to one question."""
_SAID = re.compile(r"\b[Tt]he (?:final )?answer is:[ \t]*([^\n]*)")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")


def plain_number(text: str) -> Decimal | None:
    """Value of a text that is nothing but one number, else None.

    Accepts a sign, a currency sign, thousands commas and a decimal part (`-$1,234.50`). Percent
    signs, fractions, exponents and spaces between digits are left to math-verify, where their
    meaning depends on the other side.
    """
    text = text.strip()
    if len(text) > MAX_PLAIN_CHARS or not _PLAIN.fullmatch(text):
        return None
    digits = re.sub(r"[^0-9.]", "", text.replace("Rs.", ""))
    signs = sum(text.count(sign) for sign in "-\u2212")
    return Decimal(digits) if signs % 2 == 0 else -Decimal(digits)


def number_text(value: Decimal | float) -> str:
    """Canonical text of a number: no commas, exponent, trailing zeros or negative zero.

    Floats are read at 15 significant digits, so 3244047.0999999996 becomes `3244047.1`.

    Raises:
        ValueError: the value is not finite.
    """
    exact = Decimal(f"{value:.15g}") if isinstance(value, float) else Decimal(value)
    if not exact.is_finite():
        raise ValueError(f"not a finite number: {value}")
    text = format(exact, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def canonical_answer(text: str) -> str:
    """One spelling for answers that mean the same, so that equal answers vote together.

    Emphasis, dollar signs, a final period and a unit after the number go; `$1,234.50 dollars`
    becomes `1234.5`. What is not a plain number is kept as written.
    """
    text = text.strip().strip("*").strip()
    text = text.replace("\\$", "$")
    for left, right in (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("$", "$")):
        if text.startswith(left) and text.endswith(right) and len(text) > len(left) + len(right):
            text = text[len(left) : -len(right)].strip()
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].rstrip()
    quantity = _QUANTITY.fullmatch(text)
    if quantity is not None and not _NOT_A_UNIT.search(quantity["words"] or quantity["unit"] or ""):
        number = quantity["number"]
        text = number if plain_number(number) is not None or _FRACTION.fullmatch(number) else text
    value = plain_number(text)
    return text if value is None else number_text(value)


def last_boxed(text: str) -> str | None:
    r"""Content of the last complete `\boxed{...}`, braces balanced; None when there is none."""
    boxes = _boxes(text)
    return boxes[-1][2] if boxes else None


def last_boxes(text: str) -> list[str]:
    r"""Contents of the last boxes that stand together as several answers: `\boxed{1} and \boxed{-3}`.

    Boxes stand together where a comma, `and`, `or` and few other words are between them, or nothing. A box
    that repeats one before it is the same answer.
    """
    boxes = _boxes(text)
    together = boxes[-1:]
    for box in reversed(boxes[:-1]):
        if not _stand_together(text[box[1] : together[0][0]]):
            break
        together.insert(0, box)
    return list(dict.fromkeys(content for _, _, content in together))


def _stand_together(between: str) -> bool:
    """Whether what is between two boxes only joins them: a connective, a name, or nothing but marks."""
    words = re.sub(r"\\(?:text|quad|qquad|mbox)(?![a-z])|[a-zA-Z]_\{?\w+\}?\s*=", " ", between)
    if len(between) > MAX_BETWEEN_CHARS or _APART.search(words):
        return False
    return _CONNECTIVE.search(words) is not None or not re.search(r"\w", words)


def _boxes(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of the complete boxes that are not empty; of nested ones the inner."""
    found: list[tuple[int, int, str]] = []
    if "box" not in text:
        return found
    for match in list(_BOX.finditer(text))[-MAX_BOXES:]:
        depth = 1
        for position in range(match.end(), min(len(text), match.end() + MAX_BOX_CHARS)):
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            if depth == 0:
                if content := text[match.end() : position].strip():
                    found = [box for box in found if box[1] <= match.start()]
                    found.append((match.start(), position + 1, content))
                break
    return found


def after_marker(text: str) -> str | None:
    """Rest of the line after the last `####` that is followed by something, as in GSM8K."""
    for part in reversed(text.split("####")[1:]):
        line = part.lstrip(" \t").split("\n", 1)[0].strip()
        if line:
            return line
    return None


def marked_answer(text: str) -> str | None:
    r"""The answer a text marks as final: the last `\boxed{}`, else after the last `####`, else None."""
    return last_boxed(text) or after_marker(text)


def reference_answer(completion: str) -> str | None:
    r"""The final answer that a reference solution marks, in one spelling; None where it marks none.

    In order: its last `\boxed{}`, or all of those that stand together as several answers, joined by commas;
    what follows its last `####`, on the last line or a number, as a heading of Markdown is no answer; what
    follows `The answer is:` on its last line. Reasoning in think tags is left out.
    """
    text = split_reasoning(completion).answer
    if boxes := last_boxes(text):
        return canonical_answer(", ".join(boxes)) or None
    marked = after_marker(text)
    if marked is not None and "#" not in marked:
        answer = canonical_answer(marked)
        if text.rstrip().endswith(marked) or plain_number(answer) is not None:
            return answer or None
    stated = stated_answer(text)
    return canonical_answer(stated) or None if stated and text.rstrip().endswith(stated) else None


def stated_answer(text: str) -> str | None:
    """What follows the last `The answer is:` on its line, as in MetaMathQA; None where that is a sentence."""
    said = [match[1].strip() for match in _SAID.finditer(text)]
    return said[-1] if said and said[-1] and not is_sentence(said[-1]) else None


def is_sentence(text: str) -> bool:
    """Whether a text has three words or more, LaTeX's commands not counted: no answer to compare as it is."""
    return len(_WORD.findall(text)) >= 3


def last_number(text: str) -> str | None:
    """The last number in running text, with its sign, currency, percent or simple fraction."""
    found: str | None = None
    for match in _IN_PROSE.finditer(text):
        found = match.group()
    return found
