"""Find the program in what a model wrote: in fences, in tags, or between sentences.

Text is only read here, never parsed: what it holds is not to be trusted outside the sandbox.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Set
from dataclasses import dataclass

_FENCE = re.compile(
    r"^(?P<indent>[ \t]*)(?:[-*+>][ \t]+)?(?P<marks>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)$"
    r"|(?<=\S)[ \t]+(?P<inline>`{3,})(?P<language>[Pp]y(?:thon)?3?)[ \t]*$",
    re.MULTILINE,
)
"""A line that opens or closes a block; one that opens may follow a sentence, if it names the language."""
_LANGUAGE = re.compile(r"\{?\s*\.?([\w+#.-]*)")
_PYTHON = re.compile(r"(?:py(?:thon)?(?:3(?:\.\d+)?)?|ipython|pycon)?", re.IGNORECASE)
"""Names of the language after a fence."""
_WRAPPED = re.compile(
    r"\[BEGIN\](?P<begin>.*?)(?:\[DONE\]|\[END\]|\Z)|\[(?P<name>PYTHON|CODE|ANSWER)\](?P<square>.*?)(?:\[/(?P=name)\]|\Z)"
    r"|<(?P<tag>answer|code|python|solution)(?:[ \t][^<>\n]*)?>(?P<angle>.*?)(?:</(?P=tag)>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_ENDED = re.compile(r"^[ \t]*\[(?:DONE|END|/PYTHON|/CODE|/ANSWER)\]", re.MULTILINE)
"""The end of code that the prompt began."""
_CODE = re.compile(r"^(?:[ \t]+\S|@\w|(?:async def|class|def|from|import)\b)", re.MULTILINE)
"""A line of code rather than prose: indented, or beginning as a definition or an import does."""
_BEGINS_CODE = re.compile(
    r"[ \t]|@\w|#|\"\"\"|'''"
    r"|(?:async|class|def|from\s+[\w.]+\s+import|import|return|if|for|while|with|try|pass|raise|assert|print)\b(?![^\n]*[a-z]:?$)"
    r"|(?:async def|class|def|import|from)\s+[\w.]+|return\b"
    r"|[A-Za-z_][\w.]*(?:\[[^\]\n]*\])?\s*(?:[-+*/]?=|\()|[A-Za-z_]\w*\s*:\s*\w+\s*="
)
_FIRST_CODE = re.compile(
    r"^(?:@\w|(?:async def|class|def)\s+\w|import\s+[\w.]+|from\s+[\w.]+\s+import\b"
    r"|[A-Za-z_]\w*\s*=\s*lambda\b)",
    re.MULTILINE,
)
_DEFINED = re.compile(
    r"^(?:async def|def|class)[ \t]+(\w+)|^([A-Za-z_]\w*)[ \t]*(?::[^=\n]+)?=(?!=)|^import[ \t]+(\w+)"
    r"|^(?:from|import)\b[^\n]*\b(\w+)[ \t]*$",
    re.MULTILINE,
)
_IMPORTED = re.compile(r"^from[ \t]+[\w.]+[ \t]+import[ \t]+\(?([^\n()]+)", re.MULTILINE)
_FUNCTION = re.compile(
    r"^(?:async def|def|class)[ \t]+(\w+)|^([A-Za-z_]\w*)[ \t]*=[ \t]*lambda\b", re.MULTILINE
)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
"""Code within a sentence."""
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class _Block:
    code: str
    marked: bool
    """The fence names Python."""


def find_code(text: str, names: Set[str] = frozenset()) -> str:
    """The code in an answer: of the fenced blocks marked as Python, else of the unmarked ones, else all.

    Of several blocks those that define what the tests call count, the last of each, with the blocks that
    define what these use in turn; without one the last block counts. A block that is never closed ends with
    the text, as when an answer is cut short; a lone fence after code closes what the prompt opened. Tags such
    as `[PYTHON]` and `<answer>` mark code too, and sentences before code without a fence are left out.

    Args:
        text: what the model wrote, without its reasoning.
        names: of what the tests call.
    """
    text = _unwrapped(text.replace("\r\n", "\n"), names)
    blocks, whole = _fenced_blocks(text)
    if whole is not None:
        return whole
    found = [block.code for block in blocks if block.marked] or [block.code for block in blocks]
    return _needed(found, names) if found else _without_prose(text)


def _unwrapped(text: str, names: Set[str]) -> str:
    """What tags hold, the last that defines what is called; all of the text where they hold nothing."""
    ended = _ENDED.search(text)
    if ended is not None and not _WRAPPED.search(text[: ended.start()]):
        return text[: ended.start()]
    held = [
        match["begin"] or match["square"] or match["angle"] or ""
        for match in _WRAPPED.finditer(text)
        if not text[: match.start()].count("```") % 2
    ]
    filled = [content.strip("\n") for content in held if content.strip()]
    filled = [content for content in filled if _functions(content) & names] or filled
    return (
        filled[-1]
        if filled and (_CODE.search(filled[-1]) or "```" in filled[-1] or "=" in filled[-1])
        else text
    )


def _fenced_blocks(text: str) -> tuple[list[_Block], str | None]:
    """(blocks that may be Python, the code before a lone fence that closes what the prompt opened)."""
    blocks: list[_Block] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif _marks(fence).startswith(_marks(opened)) and not _info(fence) and not _is_inside(fence, opened):
            _keep(blocks, opened, text[opened.end() + 1 : fence.start()])
            opened = None
    if opened is not None:
        before, after = text[: opened.start()], text[opened.end() + 1 :]
        alone = not _info(opened) and not _FENCE.search(before)
        if alone and before.strip() and (_CODE.search(before) or not after.strip()):
            return [], _without_prose(before)
        _keep(blocks, opened, after.partition("```")[0])
    return blocks, None


def _is_inside(fence: re.Match[str], opened: re.Match[str]) -> bool:
    """Whether a fence stands so far right that it is code, as in a docstring (CommonMark: four blanks)."""
    return len(fence["indent"] or "") >= len(opened["indent"] or "") + 4


def _marks(fence: re.Match[str]) -> str:
    return fence["marks"] or fence["inline"] or ""


def _info(fence: re.Match[str]) -> str:
    return (fence["language"] or fence["info"] or "").strip()


def _keep(blocks: list[_Block], opened: re.Match[str], code: str) -> None:
    language = _LANGUAGE.match(_info(opened))
    name = language[1] if language else ""
    if _PYTHON.fullmatch(name):
        code = textwrap.dedent(code) if opened["indent"] else code
        blocks.append(_Block(_without_prompts(code), bool(name)))


def _without_prompts(code: str) -> str:
    """What was typed in a session of the interpreter, whose lines begin with `>>>`; other code as it is."""
    if not code.lstrip().startswith(">>> "):
        return code
    return "\n".join(line[4:] for line in code.split("\n") if re.match(r">>> |\.\.\. ", line))


def _needed(blocks: list[str], names: Set[str]) -> str:
    """The blocks that define what is called, and those that define what these use, in their order."""
    defines = [_defined(block) for block in blocks]
    functions = [_functions(block) for block in blocks]
    chosen = {
        max(place for place, found in enumerate(functions) if name in found)
        for name in names
        if any(name in found for found in functions)
    }
    if not chosen:
        return blocks[-1]
    pending = list(chosen)
    while pending:
        block = pending.pop()
        missing = set(_NAME.findall(blocks[block])) - set().union(*(defines[place] for place in chosen))
        for name in missing:
            others = [
                place for place, found in enumerate(defines) if name in found and not functions[place] & names
            ]
            if others and others[-1] not in chosen:
                chosen.add(others[-1])
                pending.append(others[-1])
    return "\n".join(blocks[place] for place in sorted(chosen))


def _defined(code: str) -> set[str]:
    """Names that code defines at its top level, imported ones included."""
    imported = {name.strip().split(" ")[-1] for names in _IMPORTED.findall(code) for name in names.split(",")}
    return {name for names in _DEFINED.findall(code) for name in names if name} | imported


def _functions(code: str) -> set[str]:
    return {name for names in _FUNCTION.findall(code) for name in names if name}


def _without_prose(text: str) -> str:
    """Code without the sentences before it, where a text begins with prose and code begins a later line."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    if _BEGINS_CODE.match(first):
        return text
    if code := _FIRST_CODE.search(text):
        return text[code.start() :]
    spans = [span for span in _SPAN.findall(text) if _FIRST_CODE.match(span)]
    return spans[-1] if spans else text
