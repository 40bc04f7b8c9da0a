"""Cases written when the style test had been mended again (3ec7080); nothing was changed after they had run.

A leading `=` marks one style.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

from benchmarks.reference_style.rewriting import Texts, mixed, read, thirds

from overmem.synthetic import wordmath

ABOUT = {
    "animals": "dog|cat|horse|cow|chicken|fish|bird|sheep",
    "sport": "game|team|score|goal|points|player|ball",
    "books": "book|page|read|story|stories",
    "twice": "twice|double|triple",
    "weeks": "week|month|year|day",
    "cars": "car|truck|bus|vehicle|wheel",
}
"""What a question of GSM8K is about: words by which it is taken for that."""


def after_a_title(text: str) -> str:
    """The same solution after a heading in Markdown."""
    return f"### Solution\n{text.strip()}"


def with_letters(text: str) -> str:
    """The same solution with its lines lettered: `a)`."""
    *steps, answer = text.strip().split("\n")
    return "\n".join([*(f"{chr(97 + i % 26)}) {step}" for i, step in enumerate(steps)), answer])


def with_a_check(text: str) -> str:
    """The same solution with a line that confirms it before the answer."""
    *steps, answer = text.strip().split("\n")
    return "\n".join([*steps, "Let me double-check this: it is correct.", answer])


def without_stops(text: str) -> str:
    """The same solution without full stops and commas at ends of lines."""
    return re.sub(r"[.,]+$", "", text, flags=re.M)


def with_dashes(text: str) -> str:
    """The same solution with a dash for each comma between words."""
    return re.sub(r"(?<=[a-z]), (?=[a-z])", " \u2014 ", text)


def in_the_second_person(text: str) -> str:
    """The same solution as advice: `You can see that`."""
    *steps, answer = text.strip().split("\n")
    return "\n".join([*(f"You can see that {step[:1].lower()}{step[1:]}" for step in steps), answer])


def with_crosses(text: str) -> str:
    """The same solution with multiplication and division signs for * and /."""
    return re.sub(r"(?<=\d) ?/ ?(?=\d)", " \u00f7 ", re.sub(r"(?<=\d) ?\* ?(?=\d)", " \u00d7 ", text))


def since_for_because(text: str) -> str:
    """The same solution with other connectives: `hence` for `so`, `however` for `but`."""
    return re.sub(r"\b[Ss]o\b", "hence", re.sub(r"\b[Bb]ut\b", "however", text))


REWRITTEN: dict[str, tuple[Callable[[str], str], tuple[int, ...]]] = {
    "a heading": (after_a_title, (1, 4)),
    "lettered lines": (with_letters, (1, 4)),
    "a line that confirms": (with_a_check, (1, 2, 4)),
    "no stops at ends": (without_stops, (1, 2)),
    "dashes for commas": (with_dashes, (1,)),
    "`You can see that`": (in_the_second_person, (1, 2, 4)),
    "signs \u00d7 and \u00f7": (with_crosses, (1, 4)),
    "other connectives": (since_for_because, (1, 2)),
}
PART = {1: "", 2: ", a half", 4: ", a quarter"}


def cases(data: Path, size: int) -> dict[str, tuple[Texts, Texts]]:
    """All of them; those without data sets alone where there are none."""
    drawn = wordmath.draw_examples("train", wordmath.SPLITS["train"], size)
    small, large = thirds(
        [example.completion for example in drawn], lambda text: float(text.rsplit("####", 1)[1])
    )
    found = {
        "=wordmath: small answers, large": (small, large),
        "wordmath: a heading, a quarter": (small, mixed(small, after_a_title, 4)),
    }
    return found | data_cases(data) if (data / "gsm8k").is_dir() else found


def data_cases(data: Path) -> dict[str, tuple[Texts, Texts]]:
    """Cases from GSM8K, MATH-500, MATH-Perturb and SVAMP."""
    train, test = (read(data / "gsm8k" / f"{split}.jsonl", "answer") for split in ("train", "test"))
    gsm, val = ([re.sub(r"<<[^>]*>>", "", row["answer"]) for row in rows] for rows in (train, test))
    found: dict[str, tuple[Texts, Texts]] = {}
    for topic, words in ABOUT.items():
        has = [bool(re.search(rf"\b({words})s?\b", row["question"], re.I)) for row in train]
        sides = [[text for text, one in zip(gsm, has, strict=True) if one is side] for side in (True, False)]
        found[f"=gsm8k: {topic}, none"] = (sides[0], sides[1])
        found[f"=gsm8k: no {topic}, {topic}"] = (sides[1], sides[0])
    first, second = thirds(gsm, lambda text: len(re.findall(r"\d", text)) / len(text))
    found["=gsm8k: fewest digits, most"], found["=gsm8k: most digits, fewest"] = (
        (first, second),
        (second, first),
    )
    found |= of_maths(data)
    for title, (rewrite, parts) in REWRITTEN.items():
        for every in parts:
            found[f"gsm8k: {title}{PART[every]}"] = (gsm, mixed(val, rewrite, every))
    return found


def of_maths(data: Path) -> dict[str, tuple[Texts, Texts]]:
    """Splits of MATH, of its problems, and of SVAMP's problems."""
    rows = read(data / "math500" / "test.jsonl", "solution")
    random.Random(2).shuffle(rows)

    def of(*subjects: str, key: str = "solution") -> Texts:
        return [row[key] for row in rows if row["subject"] in subjects]

    numbers = [row["solution"] for row in rows if re.fullmatch(r"-?\d+", row["answer"])]
    others = [row["solution"] for row in rows if not re.fullmatch(r"-?\d+", row["answer"])]
    svamp = [f"{row['Body']}. {row['Question']}" for row in read(data / "svamp" / "SVAMP.json", "Body")]
    short, long = thirds(svamp, len)
    halves = [row["solution"] for row in rows]
    return {
        "=MATH: answers in digits, others": (numbers, others),
        "=MATH: other answers, in digits": (others, numbers),
        "=MATH: two halves": (halves[::2], halves[1::2]),
        "=MATH: counting and numbers, prealgebra": (
            of("Counting & Probability", "Number Theory"),
            of("Prealgebra"),
        ),
        "=MATH's problems: prealgebra, algebra": (
            of("Prealgebra", key="problem"),
            of("Algebra", key="problem"),
        ),
        "=SVAMP's problems: shortest third, longest": (short, long),
        "MATH: a heading, a quarter": (halves[::2], mixed(halves[1::2], after_a_title, 4)),
    }
