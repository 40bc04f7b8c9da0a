"""Data sets of mathematics: GSM8K, SVAMP, GSM-Hard, MetaMathQA, MATH-500 and MATH-Perturb."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from overmem.errors import DataError
from overmem.grading.answers import after_marker, canonical_answer, number_text, plain_number
from overmem.records import Example
from overmem.tasks.fields import read_text, required_text


def gsm8k_example(row: Mapping[str, Any], example_id: str, where: str) -> Example:
    """Question and worked solution as published, calculator marks (`<<2+3=5>>`) included."""
    question, solution = required_text(row, "question", where), required_text(row, "answer", where)
    answer = after_marker(solution)
    if answer is None:
        raise DataError(f"{where}: the solution has no final answer", got=solution[-60:], expected="#### 42")
    return Example(example_id, question, solution, canonical_answer(answer))


def svamp_example(row: Mapping[str, Any], example_id: str, where: str) -> Example:
    """Story and question joined; the solution is the equation worked out step by step.

    One published row has an equation that contradicts its answer; such a row keeps the answer only.
    """
    body, question = required_text(row, "Body", where), required_text(row, "Question", where)
    answer = _number(row, "Answer", where)
    steps = solve_steps(required_text(row, "Equation", where), where)
    reasoning = [line for line, _ in steps] if steps and number_text(_decimal(steps[-1][1])) == answer else []
    return Example(
        str(row.get("ID") or example_id),
        join_story(body, question),
        "\n".join([*reasoning, f"#### {answer}"]),
        answer,
        {"type": row["Type"]} if isinstance(row.get("Type"), str) else {},
    )


def gsm_hard_example(row: Mapping[str, Any], example_id: str, where: str) -> Example:
    """GSM8K question with large numbers; the completion is `#### target` alone.

    The data set has programs but no reference reasoning, so its likelihood says little: use it for
    accuracy. Targets carry binary rounding (3244047.0999999996), read at 15 significant digits.
    """
    answer = _number(row, "target", where)
    return Example(example_id, required_text(row, "input", where), f"#### {answer}", answer)


def metamathqa_example(row: Mapping[str, Any], example_id: str, where: str) -> Example:
    """Question and solution as published (arXiv 2309.12284); solutions end in `The answer is: 42`."""
    query, response = required_text(row, "query", where), required_text(row, "response", where)
    _, marked, answer = response.rpartition("The answer is:")
    if not marked or not answer.strip():
        raise DataError(
            f"{where}: the solution has no final answer", got=response[-60:], expected="The answer is: 42"
        )
    kind = {"type": row["type"]} if isinstance(row.get("type"), str) else {}
    return Example(example_id, query, response, canonical_answer(answer), kind)


def math500_example(row: Mapping[str, Any], example_id: str, where: str) -> Example:
    """MATH-500: problem, worked solution and answer as published. Sources: 2103.03874, 2305.20050."""
    return Example(
        str(row.get("unique_id") or example_id),
        required_text(row, "problem", where),
        required_text(row, "solution", where),
        canonical_answer(required_text(row, "answer", where)),
        {key: row[key] for key in ("subject", "level") if isinstance(row.get(key), str | int)},
    )


def math_perturb_example(row: Mapping[str, Any], example_id: str, where: str) -> Example:
    r"""MATH-Perturb: problems of MATH, changed; the completion is `\boxed{answer}` alone.

    It has no reference reasoning, so its likelihood says little: use it for accuracy. Problems made from one
    of MATH have one id in both files. Source: 2502.06453.
    """
    answer = canonical_answer(read_text(row.get("answer"), f"{where}, `answer`"))
    return Example(
        str(row.get("problem_id", example_id)),
        required_text(row, "problem", where),
        f"\\boxed{{{answer}}}",
        answer,
        {key: row[key] for key in ("type", "original_split") if isinstance(row.get(key), str)},
    )


def join_story(body: str, question: str) -> str:
    """Story and question as one readable text; an open condition (`If ...`) takes a comma."""
    body, question = body.strip(), question.strip()
    if not body or body[-1] in ".!?":
        return f"{body} {question}".strip()
    last_sentence = re.split(r"(?<=[.!?])\s+", body)[-1]
    if last_sentence.startswith("If "):
        opening = re.match(r"(?:How|What|Which|Who|About|Together|Total)\b", question)
        return f"{body}, {question[0].lower() + question[1:] if opening else question}"
    return f"{body}. {question}"


def solve_steps(equation: str, where: str) -> list[tuple[str, Fraction]]:
    """Work out a fully bracketed equation, innermost first.

    Args:
        equation: such as `( ( 4.0 + 2.0 ) * 3.0 )`.
        where: names the row in errors.

    Returns:
        (`4 + 2 = 6`, value) for each operation; empty when the equation is a bare number.

    Raises:
        DataError: not such an equation, or a division by zero.
    """
    steps: list[tuple[str, Fraction]] = []
    tokens = re.findall(r"\d+\.?\d*|[-+*/()]|\S", equation)
    bad = DataError(f"{where}: cannot read the equation", got=equation, expected="( ( 4.0 + 2.0 ) * 3.0 )")

    def operand() -> Fraction:
        token = tokens.pop(0)
        if token != "(":
            return Fraction(token)
        left = operand()
        symbol = tokens.pop(0)
        right = operand()
        if tokens.pop(0) != ")":
            raise bad
        value = {"+": left + right, "-": left - right, "*": left * right}.get(symbol)
        if value is None:
            if symbol != "/":
                raise bad
            value = left / right
        left_text, right_text, result = map(_fraction_text, (left, right, value))
        steps.append((f"{left_text} {symbol} {right_text} = {result}", value))
        return value

    try:
        operand()
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise bad from error
    if tokens:
        raise bad
    return steps


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _fraction_text(value: Fraction) -> str:
    """Decimal text where it is exact within six places, else rounded to two, as people write it."""
    exact = _decimal(value)
    return number_text(exact if exact == round(exact, 6) else round(exact, 2))


def _number(row: Mapping[str, Any], key: str, where: str) -> str:
    """A numeric field, given as a number or as text, in canonical form."""
    value = row.get(key)
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return number_text(value)
        if isinstance(value, str) and (plain := plain_number(value)) is not None:
            return number_text(plain)
    except (ValueError, InvalidOperation):
        pass
    raise DataError(f"{where}: the field `{key}` is not a number", got=repr(value), expected="42 or 42.0")
