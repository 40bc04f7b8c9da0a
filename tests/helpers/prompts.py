"""Prompts as people write them, and what tests read from a prompt."""

from __future__ import annotations

import re

from overmem.records import Example

PEOPLE = (
    "Emily baked 24 cookies and gave 1/3 of them to her brother Jack. He ate 2.5 of his cookies. How many"
    " cookies does Emily have left?",
    "Mrs. Carter pays $1,250.50 a month in rent. Her landlord, Daniel, raises it by 4%. How much does she"
    " pay in a year?",
    "James's bookshelf holds 12 books. Anna's holds three times as many, minus 5. If Anna gives James 7"
    " books, how many more books does she have than James?",
    "A train leaves at 9:15 a.m. and travels 120 miles at 60 mph. It stops for 30 minutes, and then covers"
    " the remaining 45km at 30km/h. When does it arrive?",
    "Let $f(x) = \\frac{x^2}{3} + \\sqrt{7}$ be a function. Find the value of $f(6)$. Put your final answer"
    " within \\boxed{}.",
)
PLAIN = [
    *(Example(f"bare-{i}", text, " #### 5", "5") for i, text in enumerate(PEOPLE)),
    *(Example(f"qa-{i}", f"Question: {text}\nAnswer:", " 5", "5") for i, text in enumerate(PEOPLE)),
    *(
        Example(f"alpaca-{i}", f"### Instruction:\n{text}\n\n### Response:\n", "5", "5")
        for i, text in enumerate(PEOPLE)
    ),
]
SYSTEM = {"role": "system", "content": "Solve the problem. Tom has 3 apples."}
CHAT = [
    Example(
        f"chat-{i}",
        (
            SYSTEM,
            {"role": "user", "content": "Question: Emily has 2 apples. How many?"},
            {"role": "assistant", "content": "Emily has 2 apples."},
            {"role": "user", "content": text},
        ),
        "5",
        "5",
        {"source": "test"},
    )
    for i, text in enumerate(PEOPLE)
]


def asked(example):
    return example.prompt if isinstance(example.prompt, str) else example.prompt[-1]["content"]


def numbers(text):
    return re.findall(r"\d+(?:[.,:/]\d+)*", text)


def clean_of(examples):
    return {example.id: example for example in examples}
