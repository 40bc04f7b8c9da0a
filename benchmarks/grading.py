"""How often graders are wrong, against what a person says: overmem, overmem before, math-verify, plain rules.

The cases stand in `benchmarks/grading/*.jsonl`, one a line: `text`, `reference`, `right` (a person's
judgement), `kind`, `grader`, `source` (the thread, repository or data set that it comes from, or that it was
written here), for code `problem` (tests and their setting, as rows of one's own have them). Each set was
written before the grader was ever run on it, and then served to mend kinds; the errors at first sight stand
in docs/grading.md.

Two errors are counted for each kind: false right, a wrong answer that counts as right, and false wrong.

    python -m benchmarks.grading                        # today's code against the rest
    python -m benchmarks.grading --before dad3809       # and against another commit of this repository
    python -m benchmarks.grading --speed ../shared/data/gsm8k/test.jsonl
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path

from overmem.grading.answers import last_boxed
from overmem.grading.grade import grade
from overmem.records import Example

ROOT = Path(__file__).parents[1]
CASES = ROOT / "benchmarks" / "grading"
OLD_GRADER = """
import json, sys
from overmem.grading.grade import grade
from overmem.records import Example
for line in sys.stdin:
    case = json.loads(line)
    name = "exact" if case["grader"] == "mixed" else case["grader"]
    problem = Example("1", "", "", case["reference"], case.get("problem", {}))
    try:
        right = grade(name, case["text"], problem, allow_code_execution=True).correct
    except Exception:
        right = False
    print(int(right))
"""
"""`grade` as it was called until `overmem.grade` was public; `mixed` had no like, such sets were `exact`."""


def overmem(case):
    problem = Example("1", "", "", case["reference"], case.get("problem", {}))
    return grade(case["text"], problem, case["grader"], allow_code_execution=True).correct


@cache
def math_verify():
    """Its own `parse` and `verify` as its README recommends: LaTeX in an environment, boxes first."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, StringExtractionConfig, parse, verify

    logging.disable(logging.CRITICAL)
    latex = LatexExtractionConfig(boxed_match_priority=0)
    strings = StringExtractionConfig(strings=tuple("ABCDEFGHIJ"))

    def right(case):
        targets = [strings] if case["grader"] == "choice" else [latex, ExprExtractionConfig()]
        gold = case["reference"]
        in_environment = case["grader"] == "choice" or "$" in gold.replace("\\$", "") or "\\boxed" in gold
        golds = parse(gold if in_environment else f"${gold}$", targets)
        return bool(golds) and bool(verify(golds, parse(case["text"], targets)))

    return right


def by_math_verify(case):
    try:
        return math_verify()(case)
    except Exception:
        return False


def last_box_or_number(case):
    """The last box, else the last number, equal as text: what many small evaluation scripts do."""
    numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?", case["text"])
    found = last_boxed(case["text"]) or (numbers[-1] if numbers else case["text"])
    gold = last_boxed(case["reference"]) or case["reference"]
    return found.replace(",", "").strip() == gold.replace(",", "").strip("$ ")


def gsm8k_strict(case):
    """lm-eval's `strict-match` of GSM8K, and its removal of commas, dollar signs and final periods."""
    found = re.search(r"#### (\-?[0-9\.\,]+)", case["text"])
    return found is not None and _gsm8k_text(found[1]) == _gsm8k_text(case["reference"])


def gsm8k_flexible(case):
    """lm-eval's `flexible-extract` of GSM8K: the last number."""
    found = re.findall(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", case["text"])
    last = next(filter(None, found[-1])) if found else ""
    return bool(found) and _gsm8k_text(last) == _gsm8k_text(case["reference"])


def _gsm8k_text(text):
    return re.sub(r"[,$]|\.$", "", text.rpartition("#### ")[2].strip()).lower()


def hendrycks(case):
    """The last box by the rewrites of MATH's `is_equiv` (arXiv 2103.03874), then equal as text."""
    found = last_boxed(case["text"]) or case["text"]
    return _hendrycks_text(found) == _hendrycks_text(last_boxed(case["reference"]) or case["reference"])


def _hendrycks_text(text):
    for old, new in (
        ("\n", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\left", ""),
        ("\\right", ""), ("^{\\circ}", ""), ("^\\circ", ""), ("\\$", ""), ("\\%", ""), (" .", " 0."),
        ("{.", "{0."),
    ):  # fmt: skip
        text = text.replace(old, new)
    text = text.strip("$").split("\\text{ ")[0]
    text = "0" + text if text.startswith(".") else text
    name, equals, value = text.partition("=")
    text = value if equals and "=" not in value and len(name) <= 2 else text
    text = re.sub(r"\\sqrt(?!\{)(.)", r"\\sqrt{\1}", text).replace(" ", "")
    text = re.sub(r"\\frac(?!\{)(.)(?!\{)(.)", r"\\frac{\1}{\2}", text)
    text = "\\frac{1}{2}" if text == "0.5" else text
    return re.sub(r"(-?\d+)/(-?\d+)", r"\\frac{\1}{\2}", text) if re.fullmatch(r"-?\d+/-?\d+", text) else text


def mmlu_pro(case):
    """MMLU-Pro's rule for letters: the first "answer is (X)", else the last letter that stands alone."""
    found = re.search(r"answer is \(?([A-J])\)?", case["text"]) or re.search(
        r"[aA]nswer:\s*([A-J])", case["text"]
    )
    letters = re.findall(r"\b[A-J]\b", case["text"])
    return (found[1] if found else letters[-1] if letters else None) == case["reference"]


CONTENDERS = {
    "overmem": (overmem, ("math", "choice", "exact", "mixed", "regex", "code")),
    "math-verify": (by_math_verify, ("math", "choice")),
    "last box or number": (last_box_or_number, ("math",)),
    "gsm8k strict": (gsm8k_strict, ("math",)),
    "gsm8k flexible": (gsm8k_flexible, ("math",)),
    "is_equiv of MATH": (hendrycks, ("math",)),
    "MMLU-Pro's rule": (mmlu_pro, ("choice",)),
}
"""What judges a case, and of which graders it claims the work."""


def judged_before(cases, commit):
    """Verdicts of another commit's grader, from its files in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=True
        ).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        env = os.environ | {"PYTHONPATH": f"{folder}/src"}
        lines = "".join(json.dumps(case) + "\n" for case in cases)
        found = subprocess.run(
            [sys.executable, "-c", OLD_GRADER],
            input=lines,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return [line == "1" for line in found.split()]


def count(cases, verdicts):
    """(false right, false wrong) by kind; a verdict of None is no claim."""
    wrong = Counter()
    for case, verdict in zip(cases, verdicts, strict=True):
        if verdict is not None and verdict != case["right"]:
            wrong[case["kind"], verdict] += 1
    kinds = dict.fromkeys(case["kind"] for case in cases)
    return {kind: (wrong[kind, True], wrong[kind, False]) for kind in kinds}


def show(name, cases, verdicts):
    counts = {contender: count(cases, found) for contender, found in verdicts.items()}
    kinds = dict.fromkeys(case["kind"] for case in cases)
    sizes = Counter(case["kind"] for case in cases)
    print(f"\n## {name}: {len(cases)} cases; false right / false wrong\n")
    print("| kind | cases | " + " | ".join(verdicts) + " |\n|" + " --- |" * (len(verdicts) + 2))

    def cell(contender, of):
        claims = [v for c, v in zip(cases, verdicts[contender], strict=True) if c["kind"] in of]
        if all(claim is None for claim in claims):
            return "-"
        return " / ".join(str(sum(counts[contender][kind][i] for kind in of)) for i in (0, 1))

    for kind in kinds:
        print(f"| {kind} | {sizes[kind]} | " + " | ".join(cell(one, [kind]) for one in verdicts) + " |")
    print(f"| all | {len(cases)} | " + " | ".join(cell(one, list(kinds)) for one in verdicts) + " |")


def measure_speed(path):
    """Texts graded a second, on GSM8K's solutions as published and with their answers stated otherwise."""
    rows = [json.loads(line)["answer"] for line in Path(path).read_text(encoding="utf-8").splitlines()]
    pairs = [(row, row.rpartition("####")[2].strip()) for row in rows]
    forms = {
        "after ####": pairs,
        "stated": [(f"{t.partition('####')[0]}The answer is ${a}$.", a) for t, a in pairs],
        "bare": [(f"{t.partition('####')[0]}So it is {a} in all.", a) for t, a in pairs],
        "after reasoning": [(f"<think>{text}</think>{text}", answer) for text, answer in pairs],
    }
    for name, texts in forms.items():
        started = time.perf_counter()
        right = sum(grade(text, answer).correct for text, answer in texts)
        rate = len(texts) / (time.perf_counter() - started)
        print(f"{name}: {rate:.0f} texts/s, {right} of {len(texts)} right")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", help="a commit of this repository whose grader is compared too")
    parser.add_argument("--speed", help="GSM8K's rows; measure texts a second instead")
    parser.add_argument("--set", default="*", help="one set of cases alone, by its file's name")
    parser.add_argument("--errors", action="store_true", help="list the cases that overmem gets wrong")
    options = parser.parse_args()
    if options.speed:
        measure_speed(options.speed)
        return
    for file in sorted(CASES.glob(f"{options.set}.jsonl")):
        cases = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        verdicts = {
            name: [judge(case) if case["grader"].partition(":")[0] in claims else None for case in cases]
            for name, (judge, claims) in CONTENDERS.items()
        }
        if options.before:
            verdicts[f"overmem at {options.before}"] = judged_before(cases, options.before)
        show(file.stem, cases, verdicts)
        if options.errors:
            wrong = [c for c, v in zip(cases, verdicts["overmem"], strict=True) if v != c["right"]]
            print("\n".join(json.dumps(case, ensure_ascii=False) for case in wrong))


if __name__ == "__main__":
    main()
