"""Cases written when the style test was frozen (3dc1515), and seen when it was mended after they had run.

A leading `=` marks one style: other subjects, levels, amounts and sizes by the same writers, and texts of
other kinds (problems, code, equations). The others are rewritten by rule, in all, a half or a quarter of val,
or mixed with other data sets.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

from benchmarks.reference_style.rewriting import Texts, mixed, read, thirds

from overmem.synthetic import wordmath

SMALL = 40
"""References of the smallest val."""


def boxed(text: str) -> str:
    """The same solution with a boxed answer in place of `####`."""
    return re.sub(r"#### *(.*)", r"The answer is \\boxed{\1}.", text)


def step_by_step(text: str) -> str:
    """The same solution after a preamble."""
    return f"Let us think step by step.\n{text.strip()}"


def numbered(text: str) -> str:
    """The same solution with its lines numbered; the answer as it was."""
    *steps, answer = text.strip().split("\n")
    return "\n".join([*(f"{i}. {step}" for i, step in enumerate(steps, 1)), answer])


def bulleted(text: str) -> str:
    """The same solution with a star before each line but the answer's."""
    *steps, answer = text.strip().split("\n")
    return "\n".join([*(f"* {step}" for step in steps), answer])


def in_latex(text: str) -> str:
    """The same solution with its calculations set as formulas."""
    return re.sub(
        r"(?<![\w$.,])\d[\d.,]*(?: ?[-+*/=] ?\$?\d[\d.,]*)+(?<![.,])", lambda f: f"\\({f[0]}\\)", text
    )


def without_latex(text: str) -> str:
    """The same solution in plain text: no dollars, no commands, no braces."""
    plain = re.sub(r"\\boxed\{([^{}]*)\}", r"\1", text)
    plain = re.sub(r"\\d?frac\{([^{}]*)\}\{([^{}]*)\}", r"(\1)/(\2)", plain)
    return re.sub(r"[$\\{}]", "", plain)


def in_past_tense(text: str) -> str:
    """The same solution with `was`, `were`, `had` and `cost` for present forms."""
    past = {"is": "was", "are": "were", "has": "had", "have": "had", "costs": "cost", "needs": "needed"}
    return re.sub(r"\b(" + "|".join(past) + r")\b", lambda found: past[found[1]], text)


def impersonally(text: str) -> str:
    """The same solution, each line as something that was found: `It was found that ...`."""
    *steps, answer = text.strip().split("\n")
    return "\n".join([*(f"It was found that {step[:1].lower()}{step[1:]}" for step in steps), answer])


def with_contractions(text: str) -> str:
    """The same solution with short forms."""
    short = re.sub(r"\b([Tt]hat|[Tt]here|[Hh]e|[Ss]he|[Ii]t) is\b", r"\1's", text)
    return re.sub(r"\b(do|does|did|is|are|was|were|will) not\b", lambda f: f"{f[1]}n't", short)


def with_units_in_words(text: str) -> str:
    """The same solution with `dollars` for $ and `percent` for %."""
    return re.sub(r"\$ ?(\d[\d.,]*\d|\d)", r"\1 dollars", text).replace("%", " percent")


def with_numbers_in_words(text: str) -> str:
    """The same solution with small numbers outside calculations in words."""
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return re.sub(
        r"(?<![\d$.,=*/+-])(?<![=*/+-] )\b(\d|10)\b(?![.,]?\d| ?[=*/+-]|$)",
        lambda f: words[int(f[1])],
        text,
        flags=re.M,
    )


def in_lower_case(text: str) -> str:
    """The same solution without capitals."""
    return text.lower()


def with_empty_lines(text: str) -> str:
    """The same solution with an empty line between lines."""
    return re.sub(r"\n+", "\n\n", text.strip())


def answer_first(text: str) -> str:
    """The same solution after its answer."""
    *steps, answer = text.strip().split("\n")
    return "\n".join([answer, *steps])


def as_a_model(text: str) -> str:
    """The same solution as an assistant might set it: preamble, numbered bold steps, a final answer."""
    *steps, answer = text.strip().split("\n")
    said = "\n".join(f"**Step {i}:** {step}" for i, step in enumerate(steps, 1))
    end = f"Therefore, the final answer is **{answer[4:].strip()}**."
    return f"To solve this, we work through it.\n\n{said}\n\n{end}"


def closed_with_thanks(text: str) -> str:
    """The same solution with a sentence after it."""
    return f"{text.strip()}\nI hope this helps!"


REWRITTEN: dict[str, tuple[Callable[[str], str], tuple[int, ...]]] = {
    "boxed answers": (boxed, (1, 2, 4)),
    "preamble": (step_by_step, (1, 2, 4)),
    "numbered lines": (numbered, (1, 2, 4)),
    "stars before lines": (bulleted, (1, 4)),
    "calculations in LaTeX": (in_latex, (1, 2, 4)),
    "past tense": (in_past_tense, (1, 2)),
    "`It was found that`": (impersonally, (1, 2, 4)),
    "short forms": (with_contractions, (1,)),
    "units in words": (with_units_in_words, (1,)),
    "small numbers in words": (with_numbers_in_words, (1, 2)),
    "lower case": (in_lower_case, (1, 4)),
    "empty lines": (with_empty_lines, (1, 4)),
    "answer first": (answer_first, (1, 4)),
    "as a model": (as_a_model, (1, 2, 4)),
    "a last sentence": (closed_with_thanks, (1, 4)),
}
PART = {1: "", 2: ", a half", 4: ", a quarter"}


def cases(data: Path, size: int) -> dict[str, tuple[Texts, Texts]]:
    """All of them; those without data sets alone where there are none."""
    drawn, test, phrasing = (
        [example.completion for example in wordmath.load_split(name, size)]
        for name in ("val", "test", "ood_phrasing")
    )
    found = {
        "=wordmath: val, test": (drawn, test),
        "=wordmath: val, unseen phrasing of problems": (drawn, phrasing),
        "wordmath: boxed answers, a quarter": (drawn, mixed(test, boxed, 4)),
    }
    return found | data_cases(data) if (data / "gsm8k").is_dir() else found


def data_cases(data: Path) -> dict[str, tuple[Texts, Texts]]:
    """Cases from GSM8K, MATH-500, SVAMP and GSM-Hard."""
    train, test = (
        [(row["question"], re.sub(r"<<[^>]*>>", "", row["answer"])) for row in read(path, "answer")]
        for path in (data / "gsm8k" / "train.jsonl", data / "gsm8k" / "test.jsonl")
    )
    gsm, val = ([text for _, text in rows] for rows in (train, test))
    maths = read(data / "math500" / "test.jsonl", "solution")
    solved = [row["solution"] for row in maths]
    random.Random(0).shuffle(solved)
    found = one_style(train, gsm, val, data) | one_style_of_maths(maths)
    for title, (rewrite, parts) in REWRITTEN.items():
        for every in parts:
            found[f"gsm8k: {title}{PART[every]}"] = (gsm, mixed(val, rewrite, every))
    return found | {
        f"gsm8k: numbered lines, val of {SMALL}": (gsm, [numbered(text) for text in val[:SMALL]]),
        f"gsm8k: numbered lines, a half, val of {SMALL}": (gsm, mixed(val[:SMALL], numbered, 2)),
        "MATH: without LaTeX": (solved[::2], [without_latex(text) for text in solved[1::2]]),
        "MATH: without LaTeX, a half": (solved[::2], mixed(solved[1::2], without_latex, 2)),
        "MATH: preamble, a quarter": (solved[::2], mixed(solved[1::2], step_by_step, 4)),
        "MATH: gsm8k, a quarter": (solved[::2], mixed(solved[1::2], val, 4)),
        "gsm8k: GSM-Hard's code, a quarter": (
            gsm,
            mixed(val, [row["code"] for row in read(data / "gsm_hard" / "gsmhardv2.jsonl", "code")], 4),
        ),
        "gsm8k: its questions, a quarter": (gsm, mixed(val, [question for question, _ in test], 4)),
    }


def one_style(
    train: list[tuple[str, str]], gsm: Texts, val: Texts, data: Path
) -> dict[str, tuple[Texts, Texts]]:
    """Splits of GSM8K by content, and of texts of other kinds."""

    def about(words: str) -> tuple[Texts, Texts]:
        found = [bool(re.search(rf"\b({words})", question, re.I)) for question, _ in train]
        pairs = list(zip(gsm, found, strict=True))
        return [text for text, has in pairs if has], [text for text, has in pairs if not has]

    food, no_food = about("apple|cookie|egg|cake|pizza|candy|candies|fruit|bread|milk|lunch|dinner")
    percent, no_percent = about(r"percent|\d+%")
    parts, whole = about("half|third|quarter|fourth|fifth")
    few, many = thirds(gsm, lambda text: len(re.findall(r"=", text)))
    questions = [question for question, _ in train]
    short_questions, long_questions = thirds(questions, len)
    code = [row["code"] for row in read(data / "gsm_hard" / "gsmhardv2.jsonl", "code")]
    few_lines, many_lines = thirds(code, lambda text: text.count("\n"))
    equations = read(data / "svamp" / "SVAMP.json", "Equation")
    added, divided = (
        [row["Equation"] for row in equations if row["Type"] in kinds]
        for kinds in (("Addition", "Subtraction"), ("Multiplication", "Common-Division"))
    )
    return {
        "=gsm8k: food, none": (food, no_food),
        "=gsm8k: no food, food": (no_food, food),
        "=gsm8k: percent, none": (percent, no_percent),
        "=gsm8k: no percent, percent": (no_percent, percent),
        "=gsm8k: no fractions, fractions": (whole, parts),
        "=gsm8k: fewest calculations, most": (few, many),
        "=gsm8k: most calculations, fewest": (many, few),
        **{f"=gsm8k: val of {SMALL}, no. {i + 1}": (gsm, val[i * SMALL :][:SMALL]) for i in range(3)},
        "=gsm8k: val of 1,000, training of 100": (gsm[:100], val[:1000]),
        "=gsm8k's questions: shortest third, longest": (short_questions, long_questions),
        "=GSM-Hard's code: fewest lines, most": (few_lines, many_lines),
        "=SVAMP's equations: + and -, * and /": (added, divided),
    }


def one_style_of_maths(rows: list[dict[str, str]]) -> dict[str, tuple[Texts, Texts]]:
    """Splits of MATH by subject and level."""

    def of(*subjects: str, key: str = "solution") -> Texts:
        return [row[key] for row in rows if row["subject"] in subjects]

    easy, hard = (
        [row["solution"] for row in rows if int(row["level"]) in levels] for levels in ((1, 2), (5,))
    )
    taught = ("Prealgebra", "Algebra"), ("Intermediate Algebra", "Precalculus")
    counted = ("Number Theory", "Counting & Probability"), ("Geometry", "Precalculus")
    rest = sorted({row["subject"] for row in rows} - {"Geometry"})
    return {
        "=MATH: levels 1-2, 5": (easy, hard),
        "=MATH: levels 5, 1-2": (hard, easy),
        "=MATH: (pre)algebra, intermediate and precalculus": (of(*taught[0]), of(*taught[1])),
        "=MATH: counting and numbers, geometry and precalculus": (of(*counted[0]), of(*counted[1])),
        "=MATH: other subjects, geometry": (of(*rest), of("Geometry")),
        "=MATH's problems: algebra, others": (
            of("Algebra", "Intermediate Algebra", key="problem"),
            of("Geometry", "Number Theory", "Counting & Probability", "Precalculus", key="problem"),
        ),
    }
