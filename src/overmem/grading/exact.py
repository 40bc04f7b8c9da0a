"""The grader `exact`: is the final answer the same text, but for how it is dressed.

Case, Unicode form, surrounding punctuation and emphasis are no part of an answer; words, digits and accents
are.
"""

from __future__ import annotations

import re
import unicodedata

from overmem.grading.answers import last_boxed
from overmem.grading.stated import after_marker_lines, first_problem, stated_pieces, tagged

MAX_SHORT_WORDS = 8
"""References up to so many words are looked for behind "the answer is"; longer ones are whole texts."""

_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\{([^{}]*)\}")
_EDGES = " \t\n\r.,;:!?*_`'\"$()[]{}<>“”‘’«»。，！？：；（）「」"
_YES_OR_NO = {"yes": True, "true": True, "no": False, "false": False}


def normal_text(text: str) -> str:
    r"""One form of a text: NFKC, case folded, spaces single, without `\text{}` and edge punctuation."""
    text = _WRAPPED.sub(r"\1", unicodedata.normalize("NFKC", text)).replace("\\ ", " ").replace("\\%", "%")
    text = text.translate(str.maketrans("\u2019\u2018\u2212\u2013\u2010\u2011", "''----"))
    text = re.sub(r"\s+", " ", text).strip(_EDGES).casefold()
    return re.sub(r"^(?:a|an|the) (?=\w)", "", text)


def find_exact(text: str, gold: str) -> str | None:
    """The answer of a text to be compared with a reference as text; None where there is none.

    In order: a box, a tag, `####`; for short references "the answer is", a leading yes or no where the
    reference is one of them, the last emphasised words where they are the reference; else all of the text.
    """
    text = first_problem(text)
    marked = [last_boxed(text), tagged(text), *after_marker_lines(text)]
    for piece in marked:
        if piece is not None:
            return piece.strip() or None
    wanted = normal_text(gold)
    whole = text.strip()
    if not whole or normal_text(whole) == wanted:
        return whole or None
    if len(wanted.split()) <= MAX_SHORT_WORDS:
        if (stated := _stated(text, wanted)) is not None:
            return stated
        if wanted in _YES_OR_NO and (said := _leading_yes_or_no(text)) is not None:
            return said
        if wanted in ("true", "false") and (called := _called_true_or_false(text)) is not None:
            return called
        last_line = whole.rpartition("\n")[2]
        emphasised = re.findall(r"\*\*([^*\n]+)\*\*", text)
        label = re.sub(r"^[\s*#-]*\w+[ \t]*[:：]", "", last_line)
        for piece in (last_line, label, *emphasised[-1:]):
            if normal_text(piece) == wanted:
                return str(piece).strip()
    return whole


def same_text(gold: str, answer: str) -> bool:
    """Whether two texts are the same in their normal form; texts of punctuation alone have to be equal."""
    left, right = normal_text(gold), normal_text(answer)
    return left == right if left or right else gold.strip() == answer.strip() != ""


def _stated(text: str, wanted: str) -> str | None:
    """What the last "the answer is" says: its clause, or so many words of it as the reference has."""
    pieces = stated_pieces(text)
    if not pieces:
        return None
    piece = pieces[-1].strip()
    if normal_text(piece).startswith(wanted):
        rest = normal_text(piece)[len(wanted) :]
        ends = not rest or re.match(
            r"\s*[.,;:!?)\n*—–]|\s+(?:because|since|as|so|which|and that)\b|\s-\s", rest
        )
        if ends:
            return (
                piece[: len(piece) - len(rest)] if rest and len(normal_text(piece)) == len(piece) else wanted
            )
    return re.split(r"(?<=\w)[.;!?](?:\s|$)|\n", piece)[0].strip() or None


def _called_true_or_false(text: str) -> str | None:
    """What a text calls true or false at last: `The statement is not true.` is `false`."""
    called = re.findall(r"\b(?:is|are)\s+(not\s+)?(true|false)\b", text, re.IGNORECASE)
    if not called:
        return None
    denied, word = called[-1]
    return str(word) if not denied else "false" if word.lower() == "true" else "true"


def _leading_yes_or_no(text: str) -> str | None:
    first = re.match(r"[\s*_\"'(]*(yes|no|true|false)\b(?!\s+(?:one|matter|doubt|way))", text, re.IGNORECASE)
    return first[1] if first else None
