r"""Where a text says its final answer: the last answer, not the last digits.

In order: boxes, answer tags, `####`, "the answer is", mathematics or emphasis of the last sentence that
concludes something, and only then the last bare number. What a model writes after its answer ("let me
double-check, 2 steps") is no answer.
"""

from __future__ import annotations

import re

from overmem.grading.answers import last_boxed, last_boxes, last_number, plain_number
from overmem.grading.quantities import NUMBER_WORDS

MAX_TAIL_CHARS = 4000
"""Of a text without marks, so much of its end is searched."""
MAX_ALONE_CHARS = 80
"""Of a text that is nothing but its answer."""
MAX_STATED_CHARS = 300
"""Of what follows "the answer is"."""

_TAGGED = re.compile(
    r"<(?P<tag>answer|final_answer|final|solution|result)>(?P<angle>.*?)(?:</(?P=tag)>|\Z)"
    r"|\[(?P<name>ANSWER|FINAL ANSWER|FINAL_ANSWER)\](?P<square>.*?)(?:\[/(?P=name)\]|\Z)"
    r"|<\|begin_of_answer\|>(?P<bar>.*?)(?:<\|end_of_answer\|>|\Z)",
    re.S | re.I,
)
_HEADING = re.compile(
    r"(?:step|part|case|solution|answer|final|conclusion|explanation|given|verif\w*|check\w*|summary|note"
    r"|method|approach|question|problem|example|analysis|reasoning|calculat\w*|[0-9]+[.)]\s+[A-Za-z])\b.*|.*:\s*",
    re.I | re.S,
)
_ANSWER_HEADING = re.compile(r"(?:the )?(?:final )?(?:answer|result|solution)\W*", re.I)
_ANSWER_SAID = re.compile(
    r"(?:the )?(?:final )?(?:answer|result|solution)(?:\s+is)?\s*[:：]\s*(?P<rest>\S.*)", re.I
)
_STATED = re.compile(
    r"(?:\b(?:answer|result|solution)\b|答案|答え|respuesta|réponse|risposta|ответ|antwort)"
    r"(?:\s+(?:to|for|of|of this|to this|is therefore|therefore)\b[^.:\n=]{0,60}?)?"
    r"[\s*_#]*(?:(?:is|are|was|should be|would be|must be|will be|comes? (?:out )?to|equals|becomes|是|为|为：|es|est|è|ist|lautet|は)\b"
    r"(?:\s+(?:simply|just|thus|then|therefore|indeed|equal to|given by|approximately|about|exactly))?"
    r"[\s*_]*[:：]?|[:：=])[\s*_]*(?:\n\s*)?(?P<rest>[^\n]*(?:\n[ \t]*(?:\\\[|\$\$)[^\0]*?(?:\\\]|\$\$))?)",
    re.I,
)
_MATH = re.compile(
    r"\$\$(?P<a>.+?)\$\$|\\\[(?P<b>.+?)\\\]|\\\((?P<c>.+?)\\\)|(?<![\\$0-9])\$(?P<d>[^$\n]+?)(?<!\\)\$(?!\d)",
    re.S,
)
_BARE = re.compile(
    r"(?:(?<=\s)|\A)[^\s$]*\\(?:[dtc]?frac|sqrt|pi|infty|[dt]?binom)(?![A-Za-z])\s*(?:\{[^$\n]*?\}|\d)*[^\s$]*(?:\s*[-+=]\s*[^\s$A-Za-z]+)*"
)
"""LaTeX that stands in prose without dollar signs."""
_BOLD = re.compile(r"\*\*(?P<a>[^*\n]+?)\*\*|__(?P<b>[^_\n]+?)__|<b>(?P<c>[^<\n]+?)</b>")
_SENTENCE_END = re.compile(r"(?<=[^\d\s.][.!?。])\s+|(?<=\d[.!?。])\s+(?=[^\d\s])|\n+|(?<=[。！？])")
_CONCLUDES = re.compile(
    r"\b(?:so|thus|therefore|hence|total|altogether|answer|in all|finally|conclu\w*|left|result\w*|which (?:is|gives|means)"
    r"|we (?:get|have|find)|equals|gives|is|are|was|has|have|had|will|needs?|costs?|earns?|makes?|pays?|spends?)\b|[=∴⇒]|所以|因此|共",
    re.I,
)
_AFTERTHOUGHT = re.compile(
    r"\b(?:let me|let's|let us|double[- ]check\w*|check(?:ing|ed)?|verif\w+|steps?|step-by-step|i used|i hope|hope this|method|approach|"
    r"confidence|note that|note:|for example|e\.g\.|alternatively|please|feel free|took|using (?:the )?\w+ (?:rule|formula|theorem)|page|equation \(?\d|#\d)\b",
    re.I,
)
_PROSE = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{3,}(?![A-Za-z]*\})")
_MATH_WORD = re.compile(r"sqrt|frac|sin|cos|tan|log|exp|and|text|inf|infty|mod|max|min|gcd|lcm", re.I)


def final_answer(text: str) -> str | None:
    """What a text gives as its final answer, as it was written; None where it gives none."""
    boxes = last_boxes(text)
    if boxes:
        return _from_box(boxes)
    for find in (_from_tag, _after_marker, _stated, _alone, _concluded, _named_last):
        found = find(text)
        if found:
            return found
    return None


def _from_box(boxes: list[str]) -> str:
    if len(boxes) > 1:
        return ", ".join(boxes)
    inner = re.fullmatch(r"\\text\{([^{}]*)\}", boxes[0])
    words = inner[1] if inner else boxes[0]
    if len(_words(words)) >= 2 and (found := _stated(words)):
        return found
    return boxes[0]


def tagged(text: str) -> str | None:
    """What the last answer tag holds: `<answer>`, `[ANSWER]` and their like; None where there is none."""
    contents = [
        (match["angle"] or match["square"] or match["bar"] or "").strip() for match in _TAGGED.finditer(text)
    ]
    return next((content for content in reversed(contents) if content), None)


def after_marker_lines(text: str) -> list[str]:
    """What follows each `####` that is no heading of Markdown, the last first.

    Under the heading of an answer (`#### Answer`) it is the next line.
    """
    found = []
    for part in reversed(re.split(r"(?<!#)####(?!#)", text)[1:]):
        line, _, rest = part.lstrip(" \t").partition("\n")
        bare = line.strip().strip("*_ ")
        if _ANSWER_HEADING.fullmatch(bare):
            line = next((entry for entry in rest.split("\n") if entry.strip()), "")
        elif _HEADING.fullmatch(bare):
            stated = _ANSWER_SAID.match(bare)
            line = stated["rest"] if stated else ""
        if line.strip():
            found.append(line.strip())
    return found


def stated_pieces(text: str) -> list[str]:
    """What follows each "the answer is" up to the end of its line, in order; negations are left out."""
    said = [match["rest"][:MAX_STATED_CHARS].strip() for match in _STATED.finditer(_without_headings(text))]
    return [
        rest for rest in said if rest and not re.match(r"(?:not|n't|wrong|incorrect|correct\b)", rest, re.I)
    ]


def _from_tag(text: str) -> str | None:
    content = tagged(text)
    return None if content is None else _value_in(content)


def _after_marker(text: str) -> str | None:
    return next(filter(None, map(_value_in, after_marker_lines(text))), None)


def _stated(text: str) -> str | None:
    """What follows the last "the answer is", also on the next line under such a heading."""
    return next(filter(None, (_value_in(rest, first=True) for rest in reversed(stated_pieces(text)))), None)


def _without_headings(text: str) -> str:
    """Headings such as `### Final Answer` or `**Answer**` as `Answer:`, so that what follows is read as said."""
    return re.sub(
        r"(?m)^[ \t]*(?:#+[ \t]*|\*\*|__)[ \t]*(?:the )?(?:final )?(answer|result|solution)[ \t]*[:：]?[ \t]*(?:\*\*|__)?[ \t]*[:：]?[ \t]*(?:\n\s*)?",
        r"\1: ",
        text,
        flags=re.I,
    )


def _value_in(text: str, *, first: bool = False) -> str | None:
    """The answer in a short piece of text that holds one: its mathematics, emphasis, all of it, or its number."""
    text = re.sub(r"\s+", " ", text).strip()
    boxed = last_boxed(text)
    if boxed:
        return boxed
    text = text.rstrip("。！")
    whole = text.rstrip(".").strip("*").strip()
    if plain_number(whole) is not None:
        return whole
    spans = [span for span in _spans(text) if _is_value(span)]
    if spans:
        together = _together(text)
        return together or (spans[0] if first else spans[-1])
    sentence = re.split(
        r"(?<=[^\d\s][.!?。])\s+|(?<=\d[.!?])\s+(?=[A-Z])|\s+(?:because|since|as|which|where|when|after|dollars? and)\b|,\s+(?:because|since|as|which|where|so|but)\s|,\s+and\s+(?![^\s]*\d)",
        text,
    )[0]
    sentence = sentence.strip().rstrip(".").strip("*").strip()
    if not sentence:
        return None
    if _is_value(sentence) or (re.match(r"[-(\[{\\$]?\S*\d", sentence) and len(_words(sentence)) <= 3):
        return sentence
    if "=" in sentence and (side := sentence.rpartition("=")[2].strip()) and re.search(r"\d", side):
        return _number_in(side, first=True)
    number = _number_in(sentence, first=first)
    if number is not None:
        return number
    return sentence if len(_words(sentence)) <= 6 else None


def _number_in(text: str, *, first: bool) -> str | None:
    if not first:
        return last_number(text)
    for end in re.finditer(r"\d(?=[^\d.,/]|[.,](?!\d)|$)", text):
        return last_number(text[: _number_end(text, end.start())])
    return None


def _number_end(text: str, start: int) -> int:
    """Where the number ends that begins before a digit, its percent sign or fraction included."""
    rest = re.match(r"\d(?:\s?\\?%|\s*/\s*\d+)?", text[start:])
    return start + (rest.end() if rest else 1)


def _together(text: str) -> str | None:
    """All of several pieces of mathematics that only `and`, `or` and commas part: `$1$ and $-3$`."""
    found = list(_MATH.finditer(text))
    if len(found) < 2:
        return None
    between = [text[a.end() : b.start()] for a, b in zip(found, found[1:], strict=False)]
    if all(re.fullmatch(r"\s*(?:,|;|,?\s*(?:and|or))\s*", piece) for piece in between):
        return ", ".join(_content(match) for match in found)
    return None


def _alone(text: str) -> str | None:
    """All of a text that is nothing but an answer: one short line without prose, not plain arithmetic."""
    text = text.strip()
    if (
        not text
        or "\n" in text
        or len(text) > MAX_ALONE_CHARS
        or re.fullmatch(r"[-\d\s.,+*/=a-z]+ [-+*/=] \S+", text)
    ):
        return None
    bare = re.sub(r"\\[A-Za-z]+|\b(?:and|or|sqrt|pi|sin|cos|tan|log|ln|inf|infinity)\b", " ", text)
    return text if _is_value(text) and not re.search(r"[^\W\d_]{2}|[\u4e00-\u9fff]", bare) else None


def _named_last(text: str) -> str | None:
    """The last mathematics that is but a name, `$E$`, or the last number in words."""
    spans = [_content(match) for match in _MATH.finditer(text)]
    if spans and len(spans[-1]) <= MAX_ALONE_CHARS and not _words(spans[-1]):
        return spans[-1]
    words = [
        word for word in re.findall(r"[A-Za-z]+", text[-MAX_TAIL_CHARS:]) if word.lower() in NUMBER_WORDS
    ]
    return words[-1] if words else None


def _concluded(text: str) -> str | None:
    """The answer of the last sentence that has one: mathematics, emphasis, or the last bare number.

    A sentence with a bare number counts before mathematics that stands earlier only where it concludes, and
    sentences that look back (checks, steps) count last.
    """
    tail = text[-MAX_TAIL_CHARS:]
    sentences = [sentence for sentence in _sentences(tail) if sentence.strip()]
    numbered: str | None = None
    for sentence in reversed(sentences):
        aside = _AFTERTHOUGHT.search(sentence) is not None
        spans = [] if aside and len(sentences) > 1 else [span for span in _spans(sentence) if _is_value(span)]
        if spans:
            return _together(sentence) or spans[-1]
        number = last_number(sentence)
        if number is not None and numbered is None and not aside:
            numbered = number
            if _CONCLUDES.search(sentence) or not _has_math(tail):
                return number
    return numbered if numbered is not None else last_number(tail)


def _has_math(text: str) -> bool:
    return any(_is_value(span) for span in _spans(text))


def _sentences(text: str) -> list[str]:
    """Sentences and lines, display mathematics kept in one piece."""
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"\x00{len(kept) - 1}\x00"

    held = _MATH.sub(lambda match: keep(match) if _is_value(_content(match)) else match[0], text)
    pieces = _SENTENCE_END.split(held)
    return [re.sub(r"\x00(\d+)\x00", lambda match: kept[int(match[1])], piece) for piece in pieces]


def _spans(text: str) -> list[str]:
    """Mathematics and emphasis in a text, in order."""
    found = [(match.start(), _content(match)) for match in _MATH.finditer(text)]
    inside = [(match.start(), match.end()) for match in _MATH.finditer(text)]
    for match in _BARE.finditer(text):
        if not any(start <= match.start() < end for start, end in inside):
            found.append((match.start(), match[0].strip().rstrip(".,;")))
    for match in _BOLD.finditer(text):
        if not any(start <= match.start() < end for start, end in inside):
            content = _content(match).strip().rstrip(".")
            if re.search(r"\d", content) and not content.endswith(":"):
                number = content if _is_value(content) else last_number(content)
                found.append((match.start(), number or ""))
    return [content for _, content in sorted(found)]


def _content(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None).strip()


def _is_value(text: str) -> bool:
    r"""Whether a piece of mathematics may be an answer: not prose between two dollar signs, not a bare name."""
    if not text or len(text) > MAX_STATED_CHARS:
        return False
    if [
        word
        for word in _words(re.sub(r"\\(?:text|mbox|mathrm)\{[^{}]*\}", "", text))
        if not _MATH_WORD.fullmatch(word)
    ]:
        return False
    return re.search(r"\d|\\(?:frac|sqrt|pi|infty|text|emptyset|mathbb)|[+\-^=]", text) is not None


def _words(text: str) -> list[str]:
    return _PROSE.findall(text)
