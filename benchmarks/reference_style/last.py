"""Cases written when the style test had been mended (e063324), and seen when it was mended after that.

A leading `=` marks one style. The others are rewritten by rule, in all or a part of val, or mixed with other
data sets.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

from benchmarks.reference_style.rewriting import Texts, mixed, on_one_line, read, thirds

from overmem.synthetic import wordmath

SMALL = 40
"""References of the smallest val."""


def answer_named(text: str) -> str:
    """The same solution with `Answer:` for `####`."""
    return text.replace("####", "Answer:")


def without_answer_line(text: str) -> str:
    """The same solution without its last line."""
    return "\n".join(text.strip().split("\n")[:-1])


def ended_with_semicolons(text: str) -> str:
    """The same solution with a semicolon at the end of each line but the answer's."""
    *steps, answer = text.strip().split("\n")
    return "\n".join([*(f"{step.rstrip(' .')};" for step in steps), answer])


def with_bold_results(text: str) -> str:
    """The same solution with bold numbers after equals signs."""
    return re.sub(r"= ?\$?(\d[\d,.]*\d|\d)", r"= **\1**", text)


def thought(text: str) -> str:
    """The same solution in tags of thinking, and its answer after them."""
    *steps, answer = text.strip().split("\n")
    return "\n".join(["<think>", *steps, "</think>", answer])


def without_spaces(text: str) -> str:
    """The same solution without spaces around operators."""
    return re.sub(r" ?([-+*/=]) ?(?=[\d$(])", r"\1", text)


def with_marks(text: str) -> str:
    """The same solution with a check mark after each line."""
    return "\n".join(f"{line} \u2705" for line in text.strip().split("\n"))


def with_arrows(text: str) -> str:
    """The same solution with `=>` for equals signs."""
    return re.sub(r"(?<![=<>])=(?!=)", "=>", text)


def sure(text: str) -> str:
    """The same solution after an assistant's first words."""
    return f"Sure! Here is the solution:\n{text.strip()}"


def each_line_so(text: str) -> str:
    """The same solution with `So,` before each line but the answer's."""
    *steps, answer = text.strip().split("\n")
    return "\n".join([*(f"So, {step[:1].lower()}{step[1:]}" for step in steps), answer])


def with_french_numbers(text: str) -> str:
    """The same solution with a space after the thousands and a decimal comma."""
    return re.sub(r"(?<=\d)\.(?=\d)", ",", re.sub(r"(?<=\d),(?=\d{3})", " ", text))


def thus_for_so(text: str) -> str:
    """The same solution with `thus` for `so`."""
    return re.sub(r"\b([Ss])o\b", lambda found: "Thus" if found[1] == "S" else "thus", text)


def in_round_brackets(text: str) -> str:
    r"""The same solution of MATH with `\(x\)` for `$x$`."""
    return re.sub(r"\$([^$]+)\$", r"\\(\1\\)", text)


def bold_not_boxed(text: str) -> str:
    r"""The same solution of MATH with a bold answer for a boxed one."""
    return re.sub(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}", r"\\textbf{\1}", text)


REWRITTEN: dict[str, tuple[Callable[[str], str], tuple[int, ...]]] = {
    "`Answer:` for `####`": (answer_named, (1, 2)),
    "no answer's line": (without_answer_line, (1, 2)),
    "semicolons at ends": (ended_with_semicolons, (1, 4)),
    "bold results": (with_bold_results, (1, 4)),
    "tags of thinking": (thought, (2, 4)),
    "no spaces at operators": (without_spaces, (1, 2)),
    "check marks": (with_marks, (4,)),
    "arrows for equals signs": (with_arrows, (1, 2)),
    "`Sure!`": (sure, (2, 4, 8)),
    "`So,` before lines": (each_line_so, (1, 2)),
    "French numbers": (with_french_numbers, (1,)),
    "`thus` for `so`": (thus_for_so, (1, 2)),
    "on one line": (on_one_line, (1, 2, 4)),
}
OF_MATHS = {"`\\(`": (in_round_brackets, (1, 2, 4)), "bold for boxed": (bold_not_boxed, (1, 2))}
PART = {1: "", 2: ", a half", 4: ", a quarter", 8: ", an eighth"}


def cases(data: Path, size: int) -> dict[str, tuple[Texts, Texts]]:
    """All of them; those without data sets alone where there are none."""
    train = [example.completion for example in wordmath.load_split("ood_steps", size)]
    val = [example.completion for example in wordmath.load_split("val", size)]
    found = {
        "=wordmath: long solutions, short": (train, val),
        "wordmath: `Sure!`, a quarter": (val[::2], mixed(val[1::2], sure, 4)),
    }
    return found | data_cases(data) if (data / "gsm8k").is_dir() else found


def data_cases(data: Path) -> dict[str, tuple[Texts, Texts]]:
    """Cases from GSM8K, MATH-500, MATH-Perturb, SVAMP and GSM-Hard."""
    train, test = (read(data / "gsm8k" / f"{split}.jsonl", "answer") for split in ("train", "test"))
    gsm, val = ([re.sub(r"<<[^>]*>>", "", row["answer"]) for row in rows] for rows in (train, test))
    maths = [row["solution"] for row in read(data / "math500" / "test.jsonl", "solution")]
    random.Random(1).shuffle(maths)
    found = of_gsm8k(train, gsm, val) | of_other_sets(data) | of_maths(data, maths)
    for title, (rewrite, parts) in REWRITTEN.items():
        for every in parts:
            found[f"gsm8k: {title}{PART[every]}"] = (gsm, mixed(val, rewrite, every))
    for title, (rewrite, parts) in OF_MATHS.items():
        for every in parts:
            found[f"MATH: {title}{PART[every]}"] = (maths[::2], mixed(maths[1::2], rewrite, every))
    asked = [f"{row['question']}\n{text}" for row, text in zip(test, val, strict=True)]
    equations = [row["Equation"] for row in read(data / "svamp" / "SVAMP.json", "Equation")]
    return found | {
        "gsm8k: the question first, a quarter": (gsm, mixed(val, asked, 4)),
        "gsm8k: SVAMP's equations, a quarter": (gsm, mixed(val, equations, 4)),
        f"gsm8k: `Sure!`, a half, val of {SMALL}": (gsm, mixed(val[:SMALL], sure, 2)),
    }


def of_gsm8k(train: list[dict[str, str]], gsm: Texts, val: Texts) -> dict[str, tuple[Texts, Texts]]:
    """Splits of GSM8K by what is asked, by size and by order."""

    def about(words: str) -> tuple[Texts, Texts]:
        has = [bool(re.search(rf"\b({words})", row["question"], re.I)) for row in train]
        pairs = list(zip(gsm, has, strict=True))
        return [text for text, one in pairs if one], [text for text, one in pairs if not one]

    travel, no_travel = about("mile|km|kilomet|speed|mph")
    school, no_school = about("student|school|class|teacher|test")
    ages, no_ages = about("years old|age|older|younger")
    percent = [bool(re.search(r"percent|\d+%", row["question"])) for row in train]
    marked = [
        [row["answer"] for row, has in zip(train, percent, strict=True) if has is one]
        for one in (False, True)
    ]
    asked = {text: row["question"] for row, text in zip(train, gsm, strict=True)}
    short, long = thirds(gsm, lambda text: len(asked[text]))
    middle = sorted(gsm, key=len)[len(gsm) // 3 :]
    return {
        "=gsm8k: travel, none": (travel, no_travel),
        "=gsm8k: no travel, travel": (no_travel, travel),
        "=gsm8k: no school, school": (no_school, school),
        "=gsm8k: ages, none": (ages, no_ages),
        "=gsm8k: no ages, ages": (no_ages, ages),
        "=gsm8k with `<<>>`: no percent, percent": (marked[0], marked[1]),
        "=gsm8k: shortest questions, longest": (short, long),
        "=gsm8k: middle third, longest": (middle[: len(gsm) // 3], middle[len(gsm) // 3 :]),
        "=gsm8k: first 1,000, last 1,000": (gsm[:1000], gsm[-1000:]),
        "=gsm8k: training of 60, val of 100": (gsm[:60], val[:100]),
    }


def of_other_sets(data: Path) -> dict[str, tuple[Texts, Texts]]:
    """Splits of SVAMP's problems, of MATH-Perturb's, and of GSM-Hard's code."""
    svamp = read(data / "svamp" / "SVAMP.json", "Body")
    added, taken = (
        [f"{row['Body']}. {row['Question']}" for row in svamp if row["Type"] == kind]
        for kind in ("Addition", "Subtraction")
    )
    simple, hard = (
        [row["problem"] for row in read(data / "math_perturb" / f"math_perturb_{name}.jsonl", "problem")]
        for name in ("simple", "hard")
    )
    code = [row["code"] for row in read(data / "gsm_hard" / "gsmhardv2.jsonl", "code")]
    return {
        "=SVAMP's problems: addition, subtraction": (added, taken),
        "=MATH-Perturb's problems: simple, hard": (simple, hard),
        "=GSM-Hard's code: first half, second": (code[: len(code) // 2], code[len(code) // 2 :]),
    }


def of_maths(data: Path, maths: Texts) -> dict[str, tuple[Texts, Texts]]:
    """Splits of MATH by subject, level and size."""
    rows = read(data / "math500" / "test.jsonl", "solution")

    def of(*subjects: str) -> Texts:
        return [row["solution"] for row in rows if row["subject"] in subjects]

    def at(*levels: int, key: str = "solution") -> Texts:
        return [row[key] for row in rows if int(row["level"]) in levels]

    return {
        "=MATH: prealgebra, algebra": (of("Prealgebra"), of("Algebra")),
        "=MATH: number theory and counting, algebra": (
            of("Number Theory", "Counting & Probability"),
            of("Algebra"),
        ),
        "=MATH: geometry and counting, prealgebra": (
            of("Geometry", "Counting & Probability"),
            of("Prealgebra"),
        ),
        "=MATH: level 3, 4": (at(3), at(4)),
        "=MATH's problems: levels 1-3, 4-5": (at(1, 2, 3, key="problem"), at(4, 5, key="problem")),
        f"=MATH: val of {SMALL}, no. 1": (maths[80:], maths[:SMALL]),
        f"=MATH: val of {SMALL}, no. 2": (maths[80:], maths[SMALL:80]),
    }
