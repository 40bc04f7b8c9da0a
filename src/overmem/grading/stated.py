r"""Where a text says that something is its answer: tags, `####`, "the answer is".

All graders that compare an answer with a reference look here first. Pure text, no dependencies.
"""

from __future__ import annotations

import re

MAX_STATED_CHARS = 300
"""Of what follows "the answer is"."""

_TAGGED = re.compile(
    r"<(?P<tag>answer|final_answer|final|solution|result)>(?P<angle>.*?)(?:</(?P=tag)>|\Z)"
    r"|\[(?:FINAL[ _])?ANSWER(?:_START)?\](?P<square>.*?)(?:\[/(?:FINAL[ _])?ANSWER\]|\[ANSWER_END\]|\Z)"
    r"|<\|begin_of_answer\|>(?P<bar>.*?)(?:<\|end_of_answer\|>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_TAGS = ("<answer", "<final", "<solution", "<result", "answer]", "answer_start]", "<|begin_of_answer")
_STATING = ("a:", "ans", "result", "solution", "答", "respuesta", "réponse", "risposta", "ответ", "antwort")
"""Words without which a text states nothing; looking for them first costs little."""
_THE_ANSWER = r"(?:the )?(?:final )?(?:answer|result|solution)"
_HEADING = re.compile(
    r"(?:step|part|case|solution|answer|final|conclusion|explanation|given|verif\w*|check\w*|summary|note"
    r"|method|approach|question|problem|example|analysis|reasoning|calculat\w*|[0-9]+[.)]\s+[a-z])\b.*"
    r"|.*:\s*",
    re.IGNORECASE | re.DOTALL,
)
_ANSWER_HEADING = re.compile(rf"{_THE_ANSWER}\W*", re.IGNORECASE)
_ANSWER_SAID = re.compile(rf"{_THE_ANSWER}(?:\s+is)?\s*[:：]\s*(?P<rest>\S.*)", re.IGNORECASE)
_HEADING_LINE = re.compile(
    r"^[ \t]*(?:#+[ \t]*|\*\*|__)[ \t]*(?:the )?(?:final )?(answer|result|solution)"
    r"(?!\w|[ \t]+(?:is|to|of|for)\b)"
    r"[ \t]*[:：]?[ \t]*(?:\*\*|__)?[ \t]*[:：]?[ \t]*(?:\n\s*)?",
    re.IGNORECASE | re.MULTILINE,
)
_STATEMENT = re.compile(
    r"(?:\b(?:answers?|results?|solutions?|ans)\b|^[ \t]*A(?=:[ \t])|答案|答え|respuesta|réponse|risposta"
    r"|ответ|antwort)"
    r"(?:\s(?:to|for|of|therefore)\b[^.:\n=]{0,60}?)?"
    r"[\s*_#]{0,4}(?:(?:is|are|was|should be|would be|must be|will be|comes? (?:out )?to|equals|becomes"
    r"|es|est|è|ist|lautet)\b"
    r"(?:\s(?:simply|just|thus|then|therefore|indeed|equal to|given by|approximately|about|exactly)\b)?"
    r"[\s*_]{0,4}[:：]?|是|为|は|[:：=])[\s*_]{0,4}(?:\n\s{0,4})?",
    re.IGNORECASE | re.MULTILINE,
)
_NEGATED = re.compile(
    r"(?:not\s|n't|wrong|incorrect|correct\b|as follows|(?:shown|given|listed) )", re.IGNORECASE
)
_RUNS = re.compile(r"[ \t]{2,}|\n{3,}|([*_#=.-])\1{4,}")

_NEXT_PROBLEM = re.compile(
    r"^[ \t]*(?:\*\*|#+[ \t]*)?(?:(?:next |new )?(?:question|problem|exercise|input|instruction)|Q|human|user"
    r"|问题|题目|pregunta)\s?[:：]",
    re.IGNORECASE | re.MULTILINE,
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_ANSWER_ALONE = re.compile(
    r"\W*(?:[A-J]|yes|no|true|false|\d[\d.,/]*)(?:\W*|[.:)] [^\n]{1,80})", re.IGNORECASE
)
"""A text that is a letter, a number or yes or no, which a choice's words may follow."""


def first_problem(text: str) -> str:
    """A text without the next problem that a model goes on to pose itself, as base models do, and its answer.

    It is cut at a paragraph that begins with `Question:` or the like, where an answer stands before; a text
    that begins with one divides its own problem into several. A last line that breaks off in repeating the
    lines before is left out.
    """
    start = 0
    for asked in _NEXT_PROBLEM.finditer(text) if _BLANK_LINE.search(text) else ():
        before = text[start : asked.start()].rstrip()
        end = start + len(before)
        if not before.strip():
            break
        if text.count("\n", end, asked.start()) > 1 and _has_answer(before.strip()):
            return text[:end]
        start = asked.start()
    *_, third, second, last = ("", "", *text.rstrip().split("\n"))
    if third == second and len(last) < len(second) and second.startswith(last):
        return text.rstrip()[: -len(last) or None].rstrip()
    return text


def _has_answer(text: str) -> bool:
    alone = _ANSWER_ALONE.fullmatch(text) or re.match(r"\(?[A-J][).]?[ \t]*\n", text)
    return alone is not None or "boxed{" in text or bool(after_marker_lines(text) or stated_pieces(text))


def without_runs(text: str) -> str:
    """A text with no long runs of blanks, line breaks or marks, which cost patterns time and mean nothing."""
    return _RUNS.sub(lambda run: "\n\n" if run[0][0] == "\n" else " " if not run[1] else run[1] * 4, text)


def tagged(text: str) -> str | None:
    """What the last answer tag holds: `<answer>`, `[ANSWER]` and their like; None where there is none."""
    lower = text.lower()
    if not any(mark in lower for mark in _TAGS):
        return None
    found = [(tag["angle"] or tag["square"] or tag["bar"] or "").strip() for tag in _TAGGED.finditer(text)]
    return next((content for content in reversed(found) if content), None)


def after_marker_lines(text: str) -> list[str]:
    """What follows each `####` that is no heading of Markdown, the last first.

    Under the heading of an answer (`#### Answer`) it is the next line.
    """
    found: list[str] = []
    if "####" not in text:
        return found
    for part in reversed(re.split(r"(?<!#)####(?!#)", text)[1:]):
        line, _, rest = part.lstrip(" \t").partition("\n")
        bare = line.strip().strip("*_ ")
        if _ANSWER_HEADING.fullmatch(bare):
            line = next((entry for entry in rest.split("\n") if entry.strip()), "")
        elif _HEADING.fullmatch(bare):
            said = _ANSWER_SAID.match(bare)
            line = said["rest"] if said else ""
        if line.strip():
            found.append(line.strip())
    return found


def stated_pieces(text: str) -> list[str]:
    """What follows each "the answer is" up to the end of its line, in order; negations are left out.

    Headings such as `### Final Answer` or `**Answer**` say the same of what stands under them.
    """
    lower = text.lower()
    if not any(word in lower for word in _STATING):
        return []
    text = _HEADING_LINE.sub(r"\1: ", without_runs(text))
    heads = list(_STATEMENT.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    said = [_line(text[head.end() : end]) for head, end in zip(heads, ends, strict=False)]
    return [rest for rest in said if rest and not _NEGATED.match(rest)]


def _line(text: str) -> str:
    """A line, with the display mathematics that it is followed by."""
    line, _, rest = text.partition("\n")
    for left, right in (("\\[", "\\]"), ("$$", "$$")):
        if line.strip() == left or (not line.strip() and rest.lstrip().startswith(left)):
            body, closed, _ = (line + rest).partition(left)[2].partition(right)
            return f"{left}{body}{right}"[:MAX_STATED_CHARS] if closed else ""
    return line[:MAX_STATED_CHARS].strip()
