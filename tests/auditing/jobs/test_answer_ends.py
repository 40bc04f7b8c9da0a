"""Answers end at the end of turn that the references end with, and after twice their tokens at the latest."""

import json
from types import SimpleNamespace

import pytest

from overmem.auditing.jobs.answer_ends import AnswerEnds
from overmem.auditing.options import AuditOptions
from overmem.auditing.problem_sets.load import load_problems
from overmem.rendering.template import Template


def test_generation_stops_at_the_templates_end_of_turn(tmp_path, tokenizer):
    """ChatML ends a turn with a mark and a newline; a base model's own end of text is another token."""
    from transformers import AutoTokenizer

    chat = AutoTokenizer.from_pretrained(tokenizer.name_or_path)
    chat.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    chat.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    path = tmp_path / "chat.jsonl"
    path.write_text(json.dumps({"prompt": "Tom?", "completion": "7", "answer": "7"}) + "\n")
    config = AuditOptions(val=str(path), template=Template(kind="chat"))
    problems = load_problems(config, chat)
    assert AnswerEnds(problems, chat, None).end_of_turn("val") == chat.convert_tokens_to_ids("<|im_end|>")


@pytest.mark.parametrize(
    ("set_name", "longest", "asked", "most"),
    [
        ("val", 10, None, 64),
        ("val", 50, None, 100),
        ("retention/general", 50, None, 128),
        ("retention/general", 80, None, 160),
        ("val", 50, 6, 6),
    ],
)
def test_the_longest_answer(set_name, longest, asked, most):
    problems = {set_name: SimpleNamespace(longest_completion=longest)}
    assert AnswerEnds(problems, None, asked).max_new_tokens(set_name) == most
