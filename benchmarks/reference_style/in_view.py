"""Is val written in the style of training? False alarms in one style, and power against others and mixtures.

Sets are made from `wordmath`, and from GSM8K, MATH-500, SVAMP and GSM-Hard where `--data` has them. In one
style: other topics, lengths, pronouns and templates by the same writers. In another: the same problems
rewritten by rule, or other data sets, as all, a half or a quarter of val. Cases marked `after` were written
once the test of surprise was frozen, and were in view when habits were added to it (474573b); those marked
`later` were written after that, and nothing was changed once they had been run.

    python -m benchmarks.reference_style --data ../shared/data --seeds 3
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from overmem.stats.style.shift import detect_style_shift
from overmem.synthetic import wordmath

Texts = list[str]
SIZE = 1200
"""Texts of a side, of which the test looks at its own number."""
WRITTEN = ("before", "after", "later")


def read(path: Path, key: str) -> list[dict[str, str]]:
    """Rows of a JSON Lines file, or of a JSON list."""
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    return [row for row in rows if row.get(key)]


def in_steps(text: str) -> str:
    """The same solution as one line of steps, and the answer in a sentence."""
    *steps, answer = text.strip().split("\n")
    said = "; ".join(step.strip().rstrip(".") for step in steps)
    return f"Step 1: {said}. The answer is {answer.replace('####', '').strip()}."


def in_markdown(text: str) -> str:
    """The same solution as a list in Markdown with a bold answer."""
    *steps, answer = text.strip().split("\n")
    listed = "\n".join(f"- {step.strip()}" for step in steps)
    return f"**Solution**\n\n{listed}\n\n**Answer: {answer.replace('####', '').strip()}**"


def with_connectives(text: str) -> str:
    """The same solution with a word before each line and spaces around operators; else as it was."""
    *steps, answer = text.strip().split("\n")
    said = [f"{'Then' if i else 'First'}, {step[:1].lower()}{step[1:]}" for i, step in enumerate(steps)]
    return re.sub(r"(\d)([-+*/=])(\d)", r"\1 \2 \3", "\n".join(said)) + f"\n{answer}"


def operators_in_words(text: str) -> str:
    """The same solution with `plus` for + and so on."""
    named = {"+": " plus ", "-": " minus ", "*": " times ", "/": " divided by ", "=": " equals "}
    spoken = re.sub(r"(?<=[\d)%])\s*([-+*/=])\s*(?=[$(\d])", lambda found: named[found[1]], text)
    return re.sub(r" {2,}", " ", spoken)


def with_german_numbers(text: str) -> str:
    """The same solution with a decimal comma, and a full stop after the thousands."""
    swapped = {",": ".", ".": ","}
    return re.sub(r"(?<=\d)[.,](?=\d)", lambda found: swapped[found[0]], text)


def in_first_person(text: str) -> str:
    """The same solution as somebody tells what they do; else as it was."""
    *steps, answer = text.strip().split("\n")
    return "\n".join([*(f"I see that {step[:1].lower()}{step[1:]}" for step in steps), answer])


def on_one_line(text: str) -> str:
    """The same solution without line breaks."""
    return " ".join(text.split())


def mixed(texts: Sequence[str], rewritten: Sequence[str] | Callable[[str], str], every: int) -> Texts:
    """Every so many-th text replaced."""
    other = [rewritten(text) for text in texts] if callable(rewritten) else rewritten
    return [other[i % len(other)] if i % every == 0 else text for i, text in enumerate(texts)]


def halves(texts: Sequence[str], key: Callable[[str], float]) -> tuple[Texts, Texts]:
    """The third of the texts with the lowest key, and the third with the highest."""
    ordered = sorted(texts, key=key)
    return ordered[: len(texts) // 3], ordered[-(len(texts) // 3) :]


def one_person(rows: Sequence[tuple[str, str]], mine: str, others: str) -> Texts:
    """Solutions that speak of the one person and not of the other."""
    return [
        text
        for _, text in rows
        if re.search(rf"\b({mine})\b", text, re.I) and not re.search(rf"\b({others})\b", text, re.I)
    ]


def wordmath_cases(size: int) -> dict[str, tuple[Texts, Texts]]:
    """Cases that need no data; a leading `=` marks one style, `+` the cases written after, `++` later."""
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
        "=+wordmath: unseen operations": (train, operations),
        "wordmath: other writer": (train, other),
        "wordmath: other writer, a half": (train, mixed(val, other, 2)),
        "wordmath: other writer, a quarter": (train, mixed(val, other, 4)),
        "+wordmath: Markdown, a half": (train, mixed(val, in_markdown, 2)),
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
    short, long = halves(gsm, len)
    few, many = halves(gsm, lambda text: text.count("\n"))
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
        "=+gsm8k: fewest lines, most": (few, many),
        "=+gsm8k: no time, time": (rest, time_rows),
        "=+gsm8k: time, no time": (time_rows, rest),
        "=+MATH: levels 1-3, 4-5": (easy, hard),
        "gsm8k: in steps": (gsm, [in_steps(text) for text in val]),
        "gsm8k: in steps, a half": (gsm, mixed(val, in_steps, 2)),
        "gsm8k: in steps, a quarter": (gsm, mixed(val, in_steps, 4)),
        "gsm8k: connectives added": (gsm, [with_connectives(text) for text in val]),
        "gsm8k: MATH": (gsm, [row["solution"] for row in math_rows]),
        "gsm8k: wordmath": (gsm, [example.completion for example in wordmath.load_split("val")]),
        "gsm8k: code": (gsm, code),
        "+gsm8k: Markdown": (gsm, [in_markdown(text) for text in val]),
        "+gsm8k: Markdown, a half": (gsm, mixed(val, in_markdown, 2)),
        "+gsm8k: Markdown, a quarter": (gsm, mixed(val, in_markdown, 4)),
        "+gsm8k with `<<>>`: without": (marked, val),
        "+gsm8k with `<<>>`: without, a half": (marked, mixed([t for _, t in test], val, 2)),
        "+gsm8k: SVAMP's equations": (gsm, equations),
        "+gsm8k: MATH, a quarter": (gsm, mixed(val, [row["solution"] for row in math_rows], 4)),
        **later_cases(gsm, val, [row["solution"] for row in math_rows]),
    }


def later_cases(gsm: Texts, val: Texts, maths: Texts) -> dict[str, tuple[Texts, Texts]]:
    """Cases written once the test with habits was frozen."""
    small, large = halves(gsm, lambda text: abs(float(text.rsplit("####", 1)[1].replace(",", ""))))
    first, last = halves(gsm, lambda text: sum(ord(c) / 256.0**i for i, c in enumerate(text[:6])))
    short, long = halves(maths, len)
    return {
        "=++gsm8k: test, train": (val, gsm),
        "=++gsm8k: first of the alphabet, last": (first, last),
        "=++gsm8k: small answers, large": (small, large),
        "=++gsm8k: large answers, small": (large, small),
        "=++MATH: shortest third, longest": (short, long),
        "=++MATH: longest third, shortest": (long, short),
        "++gsm8k: operators in words": (gsm, [operators_in_words(text) for text in val]),
        "++gsm8k: operators in words, a quarter": (gsm, mixed(val, operators_in_words, 4)),
        "++gsm8k: German numbers": (gsm, [with_german_numbers(text) for text in val]),
        "++gsm8k: first person, a half": (gsm, mixed(val, in_first_person, 2)),
        "++gsm8k: first person, a quarter": (gsm, mixed(val, in_first_person, 4)),
        "++MATH: on one line": (maths[::2], [on_one_line(text) for text in maths[1::2]]),
        "++MATH: on one line, a half": (maths[::2], mixed(maths[1::2], on_one_line, 2)),
    }


def main() -> None:
    """Test every case over some draws and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=SIZE)
    options = parser.parse_args()
    cases = wordmath_cases(options.size)
    if (options.data / "gsm8k").is_dir():
        cases |= data_cases(options.data)
    print("| training: val | style | written | unlike | told of draws |")
    print("| --- " * 5 + "|")
    for name, (train, val) in cases.items():
        found = []
        for seed in range(options.seeds):
            sides = [
                random.Random(seed).sample(texts, min(len(texts), options.size)) for texts in (train, val)
            ]
            found.append(detect_style_shift(*sides, seed=seed))
        shares = sorted(one.unlike.value for one in found)
        told = sum(bool(one.other_style) for one in found)
        marks, title = name[: len(name) - len(name.lstrip("=+"))], name.lstrip("=+")
        style, when = "one" if "=" in marks else "other", WRITTEN[marks.count("+")]
        said = f"{shares[0]:.2f} to {shares[-1]:.2f} | {told} of {len(found)}"
        print(f"| {title} | {style} | {when} | {said} |", flush=True)


if __name__ == "__main__":
    main()
