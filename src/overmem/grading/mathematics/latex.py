r"""One spelling for mathematics: LaTeX, Unicode and what people type, so that equal answers look alike.

Only the form changes, never the value: `\dfrac12`, `½` and `\frac{1}{2}` become one text. Pure text, no
dependencies.
"""

from __future__ import annotations

import re

_COMMANDS = {
    "π": "pi", "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "θ": "theta", "λ": "lambda", "μ": "mu",
    "φ": "phi", "ω": "omega", "σ": "sigma", "ρ": "rho", "τ": "tau", "ε": "epsilon", "ξ": "xi", "ψ": "psi",
    "∞": "infty", "≤": "le", "⩽": "le", "≥": "ge", "⩾": "ge", "≠": "ne", "≈": "approx", "∈": "in", "∪": "cup",
    "∩": "cap", "∅": "emptyset", "±": "pm", "∓": "mp", "∠": "angle", "△": "triangle", "Δ": "Delta",
    "∑": "sum", "∏": "prod", "∫": "int",
}  # fmt: skip
_FRACTIONS = {
    "½": (1, 2), "¼": (1, 4), "¾": (3, 4), "⅓": (1, 3), "⅔": (2, 3), "⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5),
    "⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8), "⅞": (7, 8),
}  # fmt: skip
_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2013\u2014\uff0d\ufe63\u2010\u2011", "-"),
        **dict.fromkeys("×✕", " \\times "),
        **dict.fromkeys("·⋅∙•", " \\cdot "),
        **dict.fromkeys("\u00a0\u2009\u202f\u2002\u2003\u200a\u3000\u2005\u2008", " "),
        **dict.fromkeys("\u200b\u200c\u2060\ufeff", ""),
        **dict.fromkeys("÷∕⁄", "/"),
        **dict.fromkeys("°º", "^\\circ "),
        **dict.fromkeys("′’‘", "'"),
        **dict.fromkeys("“”", '"'),
        **dict(zip("，（）：；．＋＝＜＞％［］｛｝／＊", ",():;.+=<>%[]{}/*", strict=True)),
        **{character: f"\\{name} " for character, name in _COMMANDS.items()},
        **{character: f"\\frac{{{top}}}{{{bottom}}}" for character, (top, bottom) in _FRACTIONS.items()},
        "ℝ": "\\mathbb{R}",
        "ℤ": "\\mathbb{Z}",
    }
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp"

_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (
            r"(?<!\\)\\\\(?=(?:frac|sqrt|text|pi|boxed|cdot|times|left|right|cup|infty|in|le|ge|pm|dfrac)(?![a-z]))",
            r"\\",
        ),  # a backslash that was escaped once too often
        (r"(?<=[0-9]),\s*\\!\s*(?=[0-9])", ","),
        (r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits)(?![A-Za-z])\.?", ""),
        (r"\\(?:hspace|vspace|phantom|label|tag)\*?\{[^{}]*\}", " "),
        (
            r"(?<!\\)\\[!,;:> ]|~|\\(?:q?quad|enspace|thinspace|space|nonumber|hfill)(?![A-Za-z])",
            " ",
        ),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\[dt]binom(?![A-Za-z])", r"\\binom"),
        (
            r"\\(?:textbf|textit|textnormal|textrm|textsf|texttt|mbox|hbox|mathrm|mathbf|mathit|mathsf"
            r"|boldsymbol|bm|bold|emph|operatorname|rm|bf)\*?\s*(?=\{)",
            r"\\text",
        ),
        (r"\\frac\{\s*\\text\{([^{}]*)\}\s*\}\{\s*\\text\{([^{}]*)\}(\^\{?\d\}?)?\s*\}", r"\\text{\1/\2\3}"),
        (r"\{\s*\\(?:rm|bf|it|mathrm)\s+([^{}]*)\}", r"\\text{\1}"),
        (r"\\text\{\s*(and|or|und|oder)\s*\}", r" \1 "),
        (r"\\text\{\s*([a-zA-Z])\s*\}", r" \1 "),
        (r"\\text\{([-+0-9.,/ $%]*)\}", r"\1"),
        (rf"\\text\{{({_FUNCTIONS})\}}", r"\\\1 "),
        (r"\\text\{\s*\}", ""),
        (r"\\(?:leqslant|leqq|leq)(?![A-Za-z])|<=|=<", r"\\le "),
        (r"\\(?:geqslant|geqq|geq)(?![A-Za-z])|>=", r"\\ge "),
        (r"\\neq(?![A-Za-z])|\\not\s*=|!=", r"\\ne "),
        (r"\\lt(?![A-Za-z])|\\textless(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])|\\textgreater(?![A-Za-z])", ">"),
        (r"\\(?:lbrace|rbrace)(?![A-Za-z])", lambda match: "\\{" if match[0] == "\\lbrace" else "\\}"),
        (r"\\(?:lbrack|rbrack)(?![A-Za-z])", lambda match: "[" if match[0] == "\\lbrack" else "]"),
        (r"\\(?:lparen|rparen)(?![A-Za-z])", lambda match: "(" if match[0] == "\\lparen" else ")"),
        (r"\\langle(?![A-Za-z])", "("),
        (r"\\rangle(?![A-Za-z])", ")"),
        (r"(?<=[0-9}\s])\\Omega\s*$", r" \\text{ohm}"),
        (r"\\(?:lvert|rvert|vert|mid)(?![A-Za-z])", "|"),
        (r"\^\s*\{?\s*\\(?:circ|degree)\s*\}?|\\(?:degree|textdegree)(?![A-Za-z])", r"^\\circ "),
        (r"\\\{\s*\\\}", r"\\emptyset "),
        (r"\\bigcup(?![A-Za-z])", r"\\cup "),
        (r"(?<=[)\]}])\s*U\s*(?=[(\[\\])", r" \\cup "),
        (r"\\(?:varnothing|phi)(?=\s*$)", r"\\emptyset "),
        (r"\\(?:R|Reals|real)(?![A-Za-z])|\\mathbf\{R\}|\\Bbb\{?R\}?", r"\\mathbb{R}"),
        (r"\\(?:ast|star)(?![A-Za-z])|(?<!\*)\*(?!\*)", r" \\cdot "),
        (r"\*\*", "^"),
        (r"\\(?:div)(?![A-Za-z])", "/"),
        (r"\\(?:cdot|times)(?![A-Za-z])", r" \\cdot "),
        (r"\{,\}", ","),
        (r"\\([%$#&_])", r"\1"),
        (r"\\(?:ldots|cdots|dotsc|dotsb|dots)(?![A-Za-z])|\u2026|\.\.\.", r"\\ldots "),
        (r"\\mathrm\{?([ei])\}?", r"\1"),
        (rf"(?<![\\A-Za-z])({_FUNCTIONS})(?=\s*[\^_({{0-9\\]|\s+[a-zA-Z]\b)", r"\\\1 "),
        (r"(?<![\\A-Za-z])(?:infinity|infty|inf|oo)(?![A-Za-z])", r"\\infty "),
        (r"(?<![\\A-Za-z])pi(?![A-Za-z])", r"\\pi "),
        (r"\\infin(?![A-Za-z])", r"\\infty "),
    )
)


def spell(text: str) -> str:
    r"""One spelling of an answer: brackets of one kind, one name a command, braces where LaTeX lets them out.

    Args:
        text: an answer as it was written: LaTeX, Unicode, or typed.
    """
    text = _without_dollars(unwrap(text))
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+", lambda match: "^{" + match[0].translate(_RAISED) + "}", text)
    text = re.sub("[₀₁₂₃₄₅₆₇₈₉]+", lambda match: "_{" + match[0].translate(_LOWERED) + "}", text)
    text = re.sub(r"(?<=[0-9])\s*([½¼¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])", r"\1", text).translate(_CHARACTERS)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = _roots(_fractions(text))
    text = re.sub(r"([\^_])\s*\{\s*([0-9a-zA-Z]|\\[A-Za-z]+)\s*\}", r"\1\2 ", text)
    text = re.sub(r"[ \t\r\n]+", " ", text).strip().removeprefix("=").strip()
    return _joined_digits(unwrap(text))


def _without_dollars(text: str) -> str:
    """Without the dollar signs around parts of an answer, as in `$125$ miles`; one alone is money."""
    dollars = re.findall(r"(?<!\\)\$", text)
    return re.sub(r"(?<!\\)\$", " ", text).strip() if dollars and len(dollars) % 2 == 0 else text


def unwrap(text: str) -> str:
    r"""Without what only surrounds an answer: dollar signs, `\boxed{}`, emphasis, quotes, a final period."""
    before = None
    while text != before:
        before = text
        text = text.strip().strip("`").strip()
        for left, right in _WRAPPERS:
            inner = text[len(left) : len(text) - len(right)]
            whole = text.startswith(left) and text.endswith(right) and len(text) > len(left) + len(right)
            if whole and left not in inner and right not in inner:
                text = inner.strip()
        for command in (
            "\\boxed",
            "\\fbox",
            "\\text",
            "\\textbf",
            "\\mathbf",
            "\\mathrm",
            "\\textrm",
            "\\mbox",
        ):
            if text.startswith(command + "{") and group_end(text, len(command)) == len(text):
                text = text[len(command) + 1 : -1].strip()
        if text.endswith((".", ",", ";", "。", ":")) and not text.endswith(".."):
            text = text[:-1].rstrip()
        if text.endswith("\\"):
            text = text[:-1].rstrip()
    return text


_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("__", "__"), ('"', '"'))


def group_end(text: str, start: int) -> int:
    """Where the group in braces that begins at `start` ends, behind its brace; -1 where it never does."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
    return -1


def squeeze(text: str) -> str:
    """A spelled text without its spaces, to compare texts as they are.

    Kept are those that end a command and that of a mixed number: `3 1/4` is not `31/4`.
    """
    text = re.sub(r"(\\[A-Za-z]+) +(?=[A-Za-z])", "\\1\x00", text)
    text = re.sub(r"(?<=[0-9]) +(?=[0-9]+/[0-9])", "\x00", text)
    text = text.replace(" ", "").replace("\\cdot\x00", "\\cdot").replace("\x00", " ")
    return re.sub(r"\\cdot(?=[A-Za-z\\(])", "", text)


def _fractions(text: str) -> str:
    r"""Braces around both parts of every `\frac`, which LaTeX lets out for single characters."""
    parts = re.split(r"\\frac(?![A-Za-z])", text)
    for place in range(len(parts) - 1, 0, -1):
        rest = parts[place]
        top, rest = _argument(rest)
        bottom, rest = _argument(rest)
        parts[place] = f"{{{top}}}{{{bottom}}}{rest}" if top and bottom else parts[place]
        parts[place - 1 : place + 1] = [parts[place - 1] + "\\frac" + parts[place]]
    return parts[0]


def _roots(text: str) -> str:
    r"""Braces around what stands under every `\sqrt`, typed roots included."""
    text = re.sub(r"(?<![\\A-Za-z])sqrt(?![A-Za-z])|√", r"\\sqrt", text)
    text = re.sub(r"(?:∛|(?<![\\A-Za-z])cbrt(?![A-Za-z]))", r"\\sqrt[3]", text)
    parts = re.split(r"\\sqrt(?![A-Za-z])", text)
    for place in range(len(parts) - 1, 0, -1):
        rest = parts[place].lstrip()
        index = re.match(r"\[[^\[\]]*\]\s*", rest)
        rest = rest[index.end() :] if index else rest
        if rest.startswith("(") and (end := _bracket_end(rest)) > 0:
            body, rest = rest[1 : end - 1], rest[end:]
        else:
            number = re.match(r"[0-9]+(?:\.[0-9]+)?", rest) if "√" in text or index is None else None
            if number and len(number[0]) > 1 and not rest.startswith("{"):
                body, rest = number[0], rest[number.end() :]
            else:
                body, rest = _argument(rest)
        order = index[0].strip() if index else ""
        parts[place - 1 : place + 1] = [f"{parts[place - 1]}\\sqrt{order}{{{body}}}{rest}"]
    return parts[0]


def _argument(text: str) -> tuple[str, str]:
    """The argument of a command, and what follows: a group in braces, a command or one character."""
    text = text.lstrip()
    if text.startswith("{"):
        end = group_end(text, 0)
        return (text[1 : end - 1].strip(), text[end:]) if end > 0 else ("", text)
    command = re.match(r"\\[A-Za-z]+(?:\s*\{[^{}]*\})*", text)
    size = command.end() if command else 1
    return text[:size], text[size:]


def _bracket_end(text: str) -> int:
    depth = 0
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return position + 1
    return -1


def _joined_digits(text: str) -> str:
    """Digits in groups of three that spaces part, joined: `1 000 000`."""
    return re.sub(
        r"(?<![0-9.,])[0-9]{1,3}(?: [0-9]{3})+(?![0-9]| [0-9])", lambda match: match[0].replace(" ", ""), text
    )
