"""Which letter (A to J) a text settles on, for multiple choice."""

from __future__ import annotations

import re
import unicodedata

from overmem.grading.answers import last_boxed
from overmem.grading.stated import after_marker_lines, first_problem, tagged, without_runs

_WRAP = r"(?:\\boxed\{|\\text(?:bf)?\{|\\mathrm\{|\\mathbf\{|\\\(|\\\[|[(\[*$`_\"'\u2018（【「<{]|\s)*"
_LETTER_ALONE = re.compile(
    r"\s*(?:\\(?:text|textbf|mathrm|mathbf|mbox|textrm)\{\s*\(?([A-Ja-j])\)?\s*[.:]?\s*\}"
    r"|[*(\[$`（【「\"']*([A-Ja-j])[\])*$`）】」\"']*[.:。]?[*$]*)[.。]?\s*\Z"
)
_OPTION_WORD = (
    r"(?:the\s+)?(?:(?:correct|right|best)\s+)?(?:option|choice|answer|letter|statement|opción|option|opzione|alternativa"
    r"|Option|选项|選項|letra|lettre|buchstabe)"
)
_DENIED = (
    r"(?![)）\]*]*\s+(?i:(?:is|est|es|ist)\s+(?:(?!not\b)\w+\s+)?(?:wrong|incorrect|false|fausse?|incorrecte|incorrecta|falsa|falsch)"
    r"|would|could|might|serait|pourrait|sería|seria|wäre)\b)"
)
"""What is said of a letter, where it says that another one is the answer."""
_SEVERAL = r"(?!\s*(?:[、/&+]\s*[A-J]\b|,\s*[A-J]\s*(?:[.。]|\Z)))"
"""One of several letters is no answer to a question that has one."""
_LETTER = (
    r"(?:([A-HJ](?![A-Za-z0-9_]|['\u2019]\w)|I(?!\w|['\u2019]\w|\s+[a-z]))"
    r"|([a-j])(?=\s*(?:[)\].,;:*$}`]|\n|$)))"
)
_ANSWER_WORD = (
    r"(?:(?i:\banswers?\b|\bsolution\b|\brespuesta\b|\bréponse\b|\brisposta\b|\bresposta\b|\bantwort\b|\blösung\b)"
    r"|ответ|Ответ|答案|答え|正解|正确选项|정답은?)"
)
_OF_WHAT = (
    r"(?i:(?:\s+(?:to|for|of)\s+(?:this|the|your)\s+(?:\w+\s+)?(?:question|problem|one|sentence|above)(?:\s+above)?)?"
    r"(?:\s+(?:correcta|correcte|corretta|correta|richtige|exacte|therefore|here|choice|option))*)"
)
_IS = (
    r"(?i:[\s*_]*(?:\b(?:is|would\s+be|should\s+be|must\s+be|will\s+be|seems\s+to\s+be|appears\s+to\s+be|es|est|è|é|ist|lautet|sería|serait)\b"
    r"|应该是|应为|应是|是|为|為|は|는|—)"
    r"\s*(?:(?:clearly|definitely|likely|probably|most\s+likely|thus|therefore|indeed|simply|la|le|el|il|die|das|der)\s+)*)"
)
_STATED = re.compile(
    rf"(?:{_ANSWER_WORD}{_OF_WHAT}{_IS}?\s*[:：=-]?[\s*_]*(?:(?i:{_OPTION_WORD})\s*[:：]?\s*)?"
    rf"|\b(?i:option|choice|letter|opción)\b{_OF_WHAT}(?:{_IS}|\s*[:：=])\s*[:：]?\s*"
    rf"|\b(?i:final|(?:correct|right|best)\s+\w+)\s*(?::|(?i:is)\s)\s*(?:(?i:{_OPTION_WORD})\s*)?"
    rf"|\b(?i:choose|chose|pick|picked|select|selected|go\s+with|going\s+with|elijo|choisis|wähle)\s+(?:(?i:{_OPTION_WORD})\s*)?"
    r"|(?:故选|應選|应选|選擇|选择|所以选|因此选|答选|选(?!项)|選(?!項))(?:项)?\s*[:：]?\s*)"
    rf"{_WRAP}{_LETTER}{_DENIED}{_SEVERAL}"
)
_CALLED_RIGHT = re.compile(
    r"(?:[(\[（]([A-Ja-j])[)\]）](?:[^.;\n]{0,60}?)|(?<![A-Za-z0-9_'])\**([A-HJ])(?![A-Za-z0-9_'])\**(?:选项|項|项)?(?:[:.)]\s*[^.;\n]{0,60}?)?)"
    r"\s*(?i:\b(?:is|es|est|ist)\b\s+(?:the\s+|la\s+|le\s+)?(?:most\s+|only\s+)?(?:one\s+that\s+is\s+)?(?:correct|right|best|true|answer|correcta|correcte"
    r"|exacte|richtig)\b|是?正确|是?正確|是对的|符合题意)"
)
_MADE_RIGHT = re.compile(
    r"(?<=[.;,]\s)([A-J])\s+(?:does|is)\s*[.!]?\s*\Z|\bleft\s+with\s+(?:only\s+)?(?i:option\s+|choice\s+|answer\s+)?\(?([A-J])\b"
    r"|\b(?:makes?|making|leaves?|leaving)\s+(?i:option\s+|choice\s+)?\(?([A-J])\)?\s+(?:as\s+)?the\s+(?:\w+\s+)?"
    r"(?:only|better|best|correct|right|likel(?:y|iest))\b"
)
_FIRST = re.compile(r"\s*[*(\[]*(?:([A-Ja-j])[*]*[)\].:、．](?!\w)|([B-HJ])[*]*(?=\s))")
_DELIMITERS = re.compile(r"\A(?:\\[(\[]|\$\$?)\s*|\s*(?:\\[)\]]|\$\$?)\Z")
_BOLD = re.compile(
    r"\*\*\s*(?:(?:option|choice|answer)\s*:?\s*)?\(?([A-J])\)?\s*(?:[).:][^*\n]*)?\*\*", re.IGNORECASE
)
_BRACKETED = re.compile(r"[(（]([A-J])[)）]|\b(?i:option|choice|answer)\s+\(([a-j])\)")
_SO = re.compile(
    r"(?:\b(?i:so|thus|hence|therefore|but|must be|leaves?|leaving)\b[,:]?|[a-z]{3},)\s+"
    r"(?i:it(?:'s| is| must be)\s+)?(?i:only\s+)?([A-HJ])\s*[.!]?\s*\Z"
)
_OPTION_ALONE = re.compile(r"\s*(?i:the\s+)?(?i:option|choice|answer|letter)\s+\(?([A-Ja-j])\)?\s*[.!]?\s*\Z")
_LISTED = re.compile(r"(?<![\w'])([A-J])[.)]\s+[A-Za-z]")
_NAMED = re.compile(r"(?<![\w'\u2019])([B-HJ])(?![\w'\u2019])")
_A_LETTER = re.compile(r"(?<![\w'])A(?=\s*[,;/]|\s+(?:and|or|nor|is|are|was|seems|looks)\b|\s*\Z)")
"""`A` as a letter rather than as a word."""
_NEGATED = re.compile(
    r"\b(?:not|no|cannot|can't|couldn't|neither|eliminate\w*|rule out|isn't|incorrect|wrong|false"
    r"|never)\b|不",
    re.IGNORECASE,
)
_OPTION_LINE = re.compile(r"(?m)^[ \t]*(?:[(（]?([A-J])[)）.:：、])[ \t]*(\S.*?)[ \t]*$")


def extract_choice(text: str) -> str | None:
    """The letter (A to J) a text settles on, upper case.

    In order: the marked answer (a box, a tag, `####`), the last "answer is B" in one of several languages or
    "B is correct", an emphasised letter, a text or last line that is or starts with the letter (`B`, `(B)`,
    `B. Paris`), the last letter in brackets. A bare letter inside prose is not an answer, since `A` and `I`
    are words.
    """
    text = without_runs(first_problem(text))
    for marked in (last_boxed(text), tagged(text), *after_marker_lines(text)):
        if marked is not None and (found := _letter_of_piece(marked)):
            return found
    if said := _stated_letter(text):
        return said
    if (alone := single_letter(text)) or (alone := _first_letter(text)):
        return alone
    if bold := _BOLD.findall(text):
        return str(bold[-1]).upper()
    first_line, last_line = text.strip().partition("\n")[0], text.strip().rpartition("\n")[2]
    last_sentence = re.split(r"[.!?]\s+", last_line)[-1]
    for piece in (last_line, last_sentence, first_line):
        if found := single_letter(piece) or (_first_letter(piece) if piece is last_line else None):
            return found
    if so := _SO.search(text) or _OPTION_ALONE.fullmatch(text):
        return so[1].upper()
    bracketed = [first or second.upper() for first, second in _BRACKETED.findall(text)]
    return bracketed[-1] if bracketed else _only_letter(text)


def _only_letter(text: str) -> str | None:
    """The one letter that a text names at all, where it rules none out."""
    if _NEGATED.search(text):
        return None
    listed, named = set(_LISTED.findall(text)), set(_NAMED.findall(text))
    if listed:
        return listed.pop() if len(listed) == 1 else None
    return named.pop() if len(named) == 1 and not _A_LETTER.search(text) else None


def single_letter(text: str) -> str | None:
    """The letter of a text that is nothing else (`B`, `(b)`, `B.`), upper case."""
    letter = _LETTER_ALONE.fullmatch(_DELIMITERS.sub("", text.strip()))
    return None if letter is None else (letter[1] or letter[2]).upper()


def letter_of_option(text: str, prompt: str) -> str | None:
    """The letter of the one option of a prompt whose words an answer gives in place of its letter.

    Args:
        text: the final answer, short.
        prompt: with its options one a line, such as `(A) Paris`.
    """
    said = _plain(text)
    found = {letter for letter, option in _OPTION_LINE.findall(prompt) if _plain(option) == said}
    return found.pop() if said and len(found) == 1 else None


def _letter_of_piece(text: str) -> str | None:
    """The letter of a marked answer: all of it, its beginning, or what it says."""
    text = text.strip()
    inner = re.fullmatch(r"\\(?:text|textbf|mathrm|mathbf|mbox)\{([^{}]*)\}(.*)", text, re.DOTALL)
    plain = (inner[1] + inner[2]).strip() if inner else text
    return single_letter(text) or single_letter(plain) or _first_letter(plain) or _stated_letter(plain)


def _first_letter(text: str) -> str | None:
    first = _FIRST.match(text)
    return (first[1] or first[2]).upper() if first else None


def _stated_letter(text: str) -> str | None:
    """The letter of the last statement that one is the answer; a negated one states nothing."""
    found: list[tuple[int, str]] = []
    for said in _STATED.finditer(text):
        if not _NEGATED.search(said[0]):
            found.append((said.start(), (said[1] or said[2]).upper()))
    for said in _CALLED_RIGHT.finditer(text):
        if not _NEGATED.search(said[0]):
            found.append((said.start(), (said[1] or said[2]).upper()))
    found += [(said.start(), said[1] or said[2] or said[3]) for said in _MADE_RIGHT.finditer(text)]
    return max(found)[1] if found else None


def _plain(text: str) -> str:
    return re.sub(r"[^\w]+", " ", unicodedata.normalize("NFKC", text)).strip().casefold()
