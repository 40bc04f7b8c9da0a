r"""Where things are in a prompt: its headings, the problem, the sentences, and what must not be touched.

Prompts come as `Question: ...\nAnswer:`, as `### Instruction: ... ### Response:`, with solved examples
before the problem, or as bare text in a chat. The variants share one reading of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ASKING = (
    "question", "problem", "exercise", "task", "puzzle", "riddle", "instruction", "instructions", "prompt",
    "input", "context", "passage", "story", "user", "human", "q",
)  # fmt: skip
"""Headings that a problem follows."""
ANSWERING = (
    "answer", "final answer", "solution", "response", "output", "assistant", "result", "explanation", "ai",
    "a",
)  # fmt: skip
"""Headings that a solution follows."""
MAX_CUE_CHARS = 60
"""Characters that may follow a closing heading, as in `Answer: Let's think step by step.`"""

_WORDS = "|".join(sorted((*ASKING, *ANSWERING), key=len, reverse=True))
_HEADING = re.compile(
    rf"^[ \t]*(?:\#{{1,6}}[ \t]*)?(?:\*\*|__)?(?P<word>{_WORDS})(?:[ \t]+\d+)?[ \t]*"
    r"(?:(?:\*\*|__):|:(?:\*\*|__)?)"
    rf"|^[ \t]*\#{{1,6}}[ \t]*(?P<bare>{_WORDS})(?=[ \t]*$)",
    re.IGNORECASE | re.MULTILINE,
)
_PROTECTED = re.compile(
    r"""
    ```.*?```  |  `[^`\n]+`                          # code
    | ^(?:\||\t|[ ]{4})[^\n]*                        # a table's row, indented code
    | \$\$.+?\$\$  |  \\\(.+?\\\)  |  \\\[.+?\\\]    # displayed and inline LaTeX
    | \\begin\{(?P<env>\w+\*?)\}.*?\\end\{(?P=env)\}
    | (?<![\\\w])\$(?=[^\s$])[^$\n]*(?<=[^\s\\])\$(?![\d$])  # $x$, but not the dollars of $5 and $10
    | \\[A-Za-z]+(?:\{[^{}]*\})*                     # a bare LaTeX command
    | https?://\S+  |  \S+@\S+\.\S+
    | </?[A-Za-z][^<>\n]*>                           # a tag
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_SENTENCE_END = re.compile(
    r"""[.!?]+["'\u201d\u2019)\]*]*(?P<gap>\s+)(?=["'\u201c\u2018(\[*$\\]*[A-Z0-9])"""
    r"|(?<=\S)(?P<paragraph>[ \t]*\n\s*\n\s*)(?=\S)"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?i:mr|mrs|ms|dr|st|jr|sr|prof|vs|no|oz|lbs?|ft|in|min|hr|approx|e\.g|i\.e|[ap]\.m|u\.s)"
    r"|(?<!\w)[A-Z]|(?:^|\n)[ \t]*\d+)\.$"
)


@dataclass(frozen=True)
class Heading:
    """`Question:` and the like at the start of a line; offsets are in characters."""

    start: int
    end: int
    """Just after the colon and its markup; whitespace that follows is not part of it."""
    word_start: int
    word_end: int
    asks: bool
    """Whether a problem follows, rather than a solution."""


@dataclass(frozen=True)
class Parts:
    """A prompt taken apart; `lead + body + tail` is the prompt."""

    lead: str
    """All before the problem, with its heading and the space after it."""
    body: str
    """The problem, without whitespace at its ends; may be empty."""
    tail: str
    """The closing heading, such as `Answer:`, with the whitespace around it."""


def headings(text: str) -> list[Heading]:
    """All headings of a prompt, in order."""
    found = []
    for match in _HEADING.finditer(text):
        group = "word" if match["word"] is not None else "bare"
        asks = match[group].lower() in ASKING
        found.append(Heading(match.start(), match.end(), match.start(group), match.end(group), asks))
    return found


def split_prompt(text: str) -> Parts:
    """Find the problem that is to be solved.

    It starts after the first asking heading that no solution follows, so that solved examples before
    it count as the lead; without headings it is the whole text.
    """
    found = headings(text)
    end = _start_of_tail(text, found)
    inner = [heading for heading in found if heading.end <= end]
    solved = max((heading.start for heading in inner if not heading.asks), default=-1)
    asking = [heading for heading in inner if heading.asks]
    open_ones = [heading for heading in asking if heading.start > solved] or asking
    start = open_ones[0].end if open_ones else 0
    start += len(text[start:end]) - len(text[start:end].lstrip())
    return Parts(text[:start], text[start:end], text[end:])


def _start_of_tail(text: str, found: list[Heading]) -> int:
    if found and not found[-1].asks:
        before, cue = text[: found[-1].start].rstrip(), text[found[-1].end :].strip()
        if before and "\n" not in cue and len(cue) <= MAX_CUE_CHARS:
            return len(before)
    return len(text.rstrip())


def protected_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of what no variant may alter: LaTeX, code, tables, tags, addresses, headings."""
    spans = [match.span() for match in _PROTECTED.finditer(text)]
    return sorted([*spans, *((heading.start, heading.end) for heading in headings(text))])


def is_free(spans: list[tuple[int, int]], start: int, end: int) -> bool:
    """Whether [start, end) touches none of the spans."""
    return all(end <= low or start >= high for low, high in spans)


def sentence_gaps(text: str) -> list[tuple[int, int]]:
    """(start, end) of the whitespace between sentences; abbreviations and LaTeX end none."""
    spans = protected_spans(text)
    gaps = []
    for match in _SENTENCE_END.finditer(text):
        start, end = match.span("gap" if match["gap"] is not None else "paragraph")
        abbreviated = match["gap"] is not None and _ABBREVIATION.search(text[max(0, start - 12) : start])
        if not abbreviated and is_free(spans, start, end):
            gaps.append((start, end))
    return gaps


def words_of(text: str) -> frozenset[str]:
    """The different words of a text, case folded; numbers are words too."""
    return frozenset(re.findall(r"\w+", text.casefold()))
