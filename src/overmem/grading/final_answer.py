r"""Which part of a text is its final answer, for mathematics: the last answer, not the last digits.

In order: boxes, answer tags, `####`, "the answer is", a text that is nothing but an answer, mathematics or
emphasis of the last sentence that concludes something, and only then the last bare number. What a model
writes after its answer ("let me double-check, 2 steps") is no answer.
"""

from __future__ import annotations

import re

from overmem.grading.answers import last_boxed, last_boxes, last_number, plain_number
from overmem.grading.mathematics.names import is_name
from overmem.grading.mathematics.numbers import NUMBER_WORDS
from overmem.grading.mathematics.units import is_unit
from overmem.grading.spans import (
    MATH,
    content_of,
    find_spans,
    has_words,
    is_value,
    joined_spans,
    prose_words,
)
from overmem.grading.stated import after_marker_lines, first_problem, stated_pieces, tagged, without_runs

MAX_TAIL_CHARS = 4000
"""Of a text without marks, so much of its end is searched."""
MAX_ALONE_CHARS = 80
"""Of a text that is nothing but its answer."""

_SENTENCE_END = re.compile(r"(?<=[^\d\s.][.!?。])\s+|(?<=\d[.!?。])\s+(?=[^\d\s])|\n+|(?<=[。！])")
_CONCLUDES = re.compile(
    r"\b(?:so|thus|therefore|hence|total|altogether|answer|in all|finally|conclu\w*|left|result\w*"
    r"|which (?:is|gives|means)|we (?:get|have|find)|equals|gives|is|are|was|has|have|had|will|needs?|costs?"
    r"|earns?|makes?|pays?|spends?)\b|[=∴⇒]|所以|因此|共",
    re.IGNORECASE,
)
_LOOKS_BACK = re.compile(
    r"\b(?:let me|let's|let us|double[- ]check\w*|check(?:ing|ed)?|verif\w+|steps?|step-by-step|i used"
    r"|i hope|hope this|method|approach|confidence|note that|for example|alternatively|please"
    r"|feel free|took|using (?:the )?\w+ (?:rule|formula|theorem)|page|equation \(?\d|#\d)\b"
    r"|\bnote:|\be\.g\.",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"\((?=[^()]*\b(?:since|because|as|check|see|from|by|using|note|i\.e\.)\b)[^()]*\)|\((?=[^()]*[a-z]{3})[^()\d]*\)"
    r"|(?<=\d) \([-\d\s+*/=×.]+\)|,\s+having\s[^,.;$]*(?=[.;]|\Z)"
)
"""A remark, in brackets or of what went before; no part of an answer."""
_ASIDE = re.compile(r"(?<=[.!?*$\n]\s)\((?=[A-Z][a-z]+\s)[^()]*(?:\([^()]*\)[^()]*)*\)")
"""A sentence in brackets."""
_LATER_CLAUSE = re.compile(
    r"\b(?:so|thus|hence|therefore|which (?:is|gives|makes|means))\b[^$]*\d[^$]*\Z", re.IGNORECASE
)
_RESULT = re.compile(
    r"(?P<said>.*=\s*[$€£]?[-\u2212]?\d[\d.,/]*)(?![\d.,/]*\s*[-+*/^=×÷])[^=,;:→⇒]*\Z", re.DOTALL
)
"""A computation with its result, and words that go on with the sentence."""
_SAID_LAST = re.compile(r"\b(?:is|are|equals?|be|becomes|gives|at|was|get|have|find|obtain)\s+")
_IS = re.compile(
    r"\b(?:is|equals|be)(?:\s+(?:therefore|thus|then|hence|simply|just|now))?[\s:$]*(?:\\[(\[])?\s*\Z"
)
_EQUATION = re.compile(
    r"equation|line\b|plane\b|circle|curve|ellipse|parabola|hyperbola|graph|relation|formula|function|locus"
    r"|condition|form\b|constraint",
    re.IGNORECASE,
)
"""What an equation itself may be."""
_EXPLAINED = re.compile(
    r"(?P<answer>[^\n]{1,80})\n\s{0,4}[*_#]{0,4}\s{0,2}(?:explanation|reason(?:ing)?|justification|because|why|here's)\b",
    re.IGNORECASE,
)
"""An answer that stands first, and then its explanation."""
_CLAUSE_END = re.compile(
    r"(?<=[^\d\s][.!?。])\s+|(?<=\d[.!?])\s+(?=[A-Z])"
    r"|\s+(?:because|since|as|which|where|when|after|dollars? and)\b|,\s+(?:so|but)\s"
    r"|,\s+and\s+(?![^\s]*\d)|,\s+(?:or|i\.e\.|that is|meaning|namely|about)\s(?=.*[a-z]{3})"
    r"|,?\s+(?:and\s+)?not\s"
)
_PART = re.compile(
    r"\b(?:half|halves|thirds?|quarters?|fourths?|fifths?|hundred|thousand|million)\b", re.IGNORECASE
)
_NUMBER_WORD = re.compile(
    rf"(?<![\w-])(?:{'|'.join(sorted(NUMBER_WORDS, key=len, reverse=True))})(?![\w-])", re.IGNORECASE
)
_EXCLAIMED = re.compile(r"(?<=\d)!(?=[\s*]*(?:\Z|[A-Z]))")
"""After a number in prose: no factorial."""
_STEPS = re.compile(r"(?P<steps>.*[^,\s=]\s*=[^,=]*),\s*(?P<last>[A-Za-z](?:_\w+)?\s*=[^,=]*)")
"""Equations of which the last is the answer, where the ones before do not name values too."""
_EXPRESSION = re.compile(r"[(\[{^√π=<>:]|\\|\d,\s+(?:and\s+)?[-\u2212\d]|\d\s+and\s+[-\u2212\d]")


def final_answer(text: str) -> str | None:
    """What a text gives as its final answer, as it was written; None where it gives none."""
    text = first_problem(text)
    boxes = last_boxes(text)
    if boxes:
        return _from_boxes(boxes)
    for find in (_from_tag, _after_marker, _stated, _alone, _concluded, _named_last):
        found = find(text)
        if found:
            return found
    return None


def _from_boxes(boxes: list[str]) -> str:
    if len(boxes) > 1:
        return ", ".join(boxes)
    inner = re.fullmatch(r"\\text\{([^{}]*)\}", boxes[0])
    words = inner[1] if inner else boxes[0]
    return (_stated(words) if len(prose_words(words)) > 1 else None) or boxes[0]


def _from_tag(text: str) -> str | None:
    content = tagged(text)
    return None if content is None else _value_in(content)


def _after_marker(text: str) -> str | None:
    return next(filter(None, map(_value_in, after_marker_lines(text))), None)


def _stated(text: str) -> str | None:
    """What follows the last "the answer is", also on the next line under such a heading."""
    return next(filter(None, (_value_in(rest, first=True) for rest in reversed(stated_pieces(text)))), None)


def _value_in(text: str, *, first: bool = False) -> str | None:
    """The answer in a short piece of text: its mathematics or emphasis, its first clause, or its number.

    Args:
        text: what stands in a tag, after a marker or after "the answer is".
        first: of several the first counts, since what follows explains it; else the last.
    """
    text = re.sub(r"\s+", " ", text).strip().rstrip("。！")
    if boxed := last_boxed(text):
        return boxed
    whole = text.rstrip(".").strip("*").strip()
    if plain_number(whole) is not None:
        return whole
    if spans := [span for span in find_spans(text) if is_value(span)]:
        return joined_spans(text) or spans[0 if first else -1]
    text = _EXCLAIMED.sub(".", text)
    clause = _CLAUSE_END.split(_REMARK.sub(" ", text))[0].strip().rstrip(".").strip("*").strip()
    if not clause or is_value(clause):
        return clause or None
    if re.match(r"[-(\[{\\$]?\S*\d", clause) and len(prose_words(clause)) <= 3:
        return clause
    if "=" in clause and re.search(r"\d", side := clause.rpartition("=")[2].strip()):
        return _first_number(side)
    if (word := _NUMBER_WORD.match(clause)) and not _PART.search(clause):
        return word[0]
    number = _first_number(clause) if first else last_number(clause)
    return number or (clause if len(prose_words(clause)) <= 6 else None)


def _first_number(text: str) -> str | None:
    """The first number in running text, in the form that `last_number` has."""
    end = re.search(r"\d(?=[^\d.,/]|[.,](?!\d)|$)", text)
    if end is None:
        return None
    rest = re.match(r"(?:\s?\\?%|\s*/\s*\d+)", text[end.end() :])
    return last_number(text[: end.end() + (rest.end() if rest else 0)])


def _alone(text: str) -> str | None:
    """All of a text that is nothing but an answer: one short line without prose, no plain arithmetic."""
    text = text.strip()
    explained = _EXPLAINED.match(text)
    text = explained["answer"].strip() if explained else text
    if not text or "\n" in text or len(text) > MAX_ALONE_CHARS:
        return None
    steps = _STEPS.fullmatch(text)
    if steps and not all(is_name(part.partition("=")[0].strip()) for part in steps["steps"].split(",")):
        text = steps["last"]
    arithmetic = re.fullmatch(r"[-\d\s.,+*=]+ [-+*=] \S+", text)
    return text if not arithmetic and is_value(text) and not has_words(text) else None


def _concluded(text: str) -> str | None:
    """The answer of the last sentence that has one: mathematics, emphasis, or the last bare number.

    A sentence with a bare number counts before mathematics that stands earlier only where it concludes, and
    sentences that look back (checks, steps) count last.
    """
    tail = without_runs(text[-MAX_TAIL_CHARS:])
    said = _ASIDE.sub(" ", tail) if "(" in tail else tail
    tail = said if last_number(said) else tail
    sentences = [sentence for sentence in _sentences(tail) if sentence.strip()]
    has_math = any(is_value(span) for span in find_spans(tail))
    number: str | None = None
    for sentence in reversed(sentences):
        if _LOOKS_BACK.search(sentence) and len(sentences) > 1:
            continue
        said = _REMARK.sub(" ", sentence)
        sentence = said if last_number(said) else sentence
        if spans := [span for span in find_spans(sentence) if is_value(span)]:
            later = _LATER_CLAUSE.search(sentence[sentence.rfind(spans[-1]) + len(spans[-1]) :])
            added = last_number(later[0]) if later else None
            return added or joined_spans(sentence) or _result(sentence, spans[-1])
        result = _RESULT.search(sentence)
        said = result["said"] if result else sentence
        if found := _expression_at_the_end(said) or _with_unit(last_number(said), sentence):
            number = number or found
            if _CONCLUDES.search(sentence) or not has_math:
                return number
    return number or last_number(tail)


def _result(sentence: str, span: str) -> str:
    """The last side of an equation that a sentence calls what is asked: `The largest is $x + 1 = 25$`."""
    before, value = sentence[: sentence.rfind(span)], span.rpartition("=")[2].strip()
    called = _IS.search(before) and not _EQUATION.search(before)
    return value if called and re.search(r"\d", value) and not re.search(r"[A-Za-z]", value) else span


def _with_unit(number: str | None, sentence: str) -> str | None:
    """A number with the unit that follows it, where that is a known one."""
    if number is None:
        return None
    after = re.match(r"\s?([A-Za-z]{2,12})\b", sentence[sentence.rfind(number) + len(number) :])
    known = after is not None and after[1] != "in" and is_unit(after[1])
    return f"{number} {after[1]}" if after is not None and known else number


def _expression_at_the_end(sentence: str) -> str | None:
    """An expression that a sentence ends with, written without dollar signs: "The point is (2, 3)"."""
    heads = list(_SAID_LAST.finditer(sentence))
    said = sentence[heads[-1].end() :].strip().rstrip(".!").strip() if heads else ""
    return said if _EXPRESSION.search(said) and is_value(said) and not has_words(said) else None


def _named_last(text: str) -> str | None:
    """The last mathematics that is but a name, `$E$`, or the last number in words."""
    spans = [content_of(match) for match in MATH.finditer(text)]
    if spans and len(spans[-1]) <= MAX_ALONE_CHARS and not prose_words(spans[-1]):
        return spans[-1]
    words = _NUMBER_WORD.findall(text[-MAX_TAIL_CHARS:])
    return words[-1] if words else None


def _sentences(text: str) -> list[str]:
    """Sentences and lines, display mathematics kept in one piece."""
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        if not is_value(content_of(match)):
            return match[0]
        kept.append(match[0])
        return f"\x00{len(kept) - 1}\x00"

    pieces = _SENTENCE_END.split(MATH.sub(keep, text.replace("\x00", "")))
    return [re.sub("\x00(\\d+)\x00", lambda place: kept[int(place[1])], piece) for piece in pieces]
