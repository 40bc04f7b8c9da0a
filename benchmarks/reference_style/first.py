"""Cases that were seen while the style test was made: their figures show more than it can do elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.reference_style.rewriting import (
    Texts,
    in_first_person,
    in_markdown,
    in_steps,
    mixed,
    on_one_line,
    operators_in_words,
    read,
    thirds,
    with_connectives,
    with_german_numbers,
)

from overmem.synthetic import wordmath


def one_person(rows: Sequence[tuple[str, str]], mine: str, others: str) -> Texts:
    """Solutions that speak of the one person and not of the other."""
    return [
        text
        for _, text in rows
        if re.search(rf"\b({mine})\b", text, re.I) and not re.search(rf"\b({others})\b", text, re.I)
    ]


def cases(data: Path, size: int) -> dict[str, tuple[Texts, Texts]]:
    """All of them; those without data sets alone where there are none. A leading `=` marks one style."""
    found = wordmath_cases(size)
    return found | data_cases(data) if (data / "gsm8k").is_dir() else found


def wordmath_cases(size: int) -> dict[str, tuple[Texts, Texts]]:
    """Cases that need no data."""
    drawn = wordmath.draw_examples("train", wordmath.SPLITS["train"], size)
    train = [example.completion for example in drawn]
    val, other = (
        [example.completion for example in wordmath.load_split(name, size)]
        for name in ("val", wordmath.VAL_OTHER_STYLE)
    )
    kinds = sorted({example.meta["operations"][0] for example in drawn})
    by_kind = [
        [e.completion for e in drawn if e.meta["operations"][0] in some] for some in (kinds[::2], kinds[1::2])
    ]
    longer = [example.completion for example in wordmath.load_split("ood_steps", size)]
    operations = [example.completion for example in wordmath.load_split("ood_operations", size)]
    return {
        "=wordmath: train, val": (train, val),
        "=wordmath: disjoint templates": (by_kind[0], by_kind[1]),
        "=wordmath: longer solutions": (train, longer),
        "=wordmath: unseen operations": (train, operations),
        "wordmath: other writer": (train, other),
        "wordmath: other writer, a half": (train, mixed(val, other, 2)),
        "wordmath: other writer, a quarter": (train, mixed(val, other, 4)),
        "wordmath: Markdown, a half": (train, mixed(val, in_markdown, 2)),
    }


def data_cases(data: Path) -> dict[str, tuple[Texts, Texts]]:
    """Cases from data sets that are not part of the repository."""
    train, test = (
        [(row["question"], row["answer"]) for row in read(data / "gsm8k" / f"{split}.jsonl", "answer")]
        for split in ("train", "test")
    )
    marked = [text for _, text in train]
    plain, asked = (
        [(question, re.sub(r"<<[^>]*>>", "", text)) for question, text in rows] for rows in (train, test)
    )
    gsm, val = [text for _, text in plain], [text for _, text in asked]
    short, long = thirds(gsm, len)
    few, many = thirds(gsm, lambda text: text.count("\n"))
    math_rows = read(data / "math500" / "test.jsonl", "solution")
    algebra = [row["solution"] for row in math_rows if "lgebra" in row["subject"]]
    others = [row["solution"] for row in math_rows if "lgebra" not in row["subject"]]
    easy, hard = (
        [row["solution"] for row in math_rows if (int(row["level"]) >= 4) is is_hard]
        for is_hard in (False, True)
    )
    money, free = [t for t in gsm if "$" in t], [t for t in gsm if "$" not in t]
    time_rows, rest = (
        [text for question, text in plain if bool(re.search(r"\b(hour|minute)s?\b", question)) is is_time]
        for is_time in (True, False)
    )
    code = [row["code"] for row in read(data / "gsm_hard" / "gsmhardv2.jsonl", "code")]
    equations = [row["Equation"] for row in read(data / "svamp" / "SVAMP.json", "Equation")]
    return {
        "=gsm8k: train, test": (gsm, val),
        "=gsm8k: `he`, `she`": (
            one_person(plain, "he|his|him", "she|her|hers"),
            one_person(plain, "she|her|hers", "he|his|him"),
        ),
        "=gsm8k: shortest third, longest": (short, long),
        "=gsm8k: longest third, shortest": (long, short),
        "=gsm8k: money, none": (money, free),
        "=gsm8k: no money, money": (free, money),
        "=MATH: algebra, other subjects": (algebra, others),
        "=gsm8k: fewest lines, most": (few, many),
        "=gsm8k: no time, time": (rest, time_rows),
        "=gsm8k: time, no time": (time_rows, rest),
        "=MATH: levels 1-3, 4-5": (easy, hard),
        "gsm8k: in steps": (gsm, [in_steps(text) for text in val]),
        "gsm8k: in steps, a half": (gsm, mixed(val, in_steps, 2)),
        "gsm8k: in steps, a quarter": (gsm, mixed(val, in_steps, 4)),
        "gsm8k: connectives added": (gsm, [with_connectives(text) for text in val]),
        "gsm8k: MATH": (gsm, [row["solution"] for row in math_rows]),
        "gsm8k: wordmath": (gsm, [example.completion for example in wordmath.load_split("val")]),
        "gsm8k: code": (gsm, code),
        "gsm8k: Markdown": (gsm, [in_markdown(text) for text in val]),
        "gsm8k: Markdown, a half": (gsm, mixed(val, in_markdown, 2)),
        "gsm8k: Markdown, a quarter": (gsm, mixed(val, in_markdown, 4)),
        "gsm8k with `<<>>`: without": (marked, val),
        "gsm8k with `<<>>`: without, a half": (marked, mixed([t for _, t in test], val, 2)),
        "gsm8k: SVAMP's equations": (gsm, equations),
        "gsm8k: MATH, a quarter": (gsm, mixed(val, [row["solution"] for row in math_rows], 4)),
        **second_cases(gsm, val, [row["solution"] for row in math_rows]),
    }


def second_cases(gsm: Texts, val: Texts, maths: Texts) -> dict[str, tuple[Texts, Texts]]:
    """Cases written once an earlier test (of surprise and pairs of pieces) was frozen."""
    small, large = thirds(gsm, lambda text: abs(float(text.rsplit("####", 1)[1].replace(",", ""))))
    first, last = thirds(gsm, lambda text: sum(ord(c) / 256.0**i for i, c in enumerate(text[:6])))
    short, long = thirds(maths, len)
    return {
        "=gsm8k: test, train": (val, gsm),
        "=gsm8k: first of the alphabet, last": (first, last),
        "=gsm8k: small answers, large": (small, large),
        "=gsm8k: large answers, small": (large, small),
        "=MATH: shortest third, longest": (short, long),
        "=MATH: longest third, shortest": (long, short),
        "gsm8k: operators in words": (gsm, [operators_in_words(text) for text in val]),
        "gsm8k: operators in words, a quarter": (gsm, mixed(val, operators_in_words, 4)),
        "gsm8k: German numbers": (gsm, [with_german_numbers(text) for text in val]),
        "gsm8k: first person, a half": (gsm, mixed(val, in_first_person, 2)),
        "gsm8k: first person, a quarter": (gsm, mixed(val, in_first_person, 4)),
        "MATH: on one line": (maths[::2], [on_one_line(text) for text in maths[1::2]]),
        "MATH: on one line, a half": (maths[::2], mixed(maths[1::2], on_one_line, 2)),
    }
