"""Tiny tokenizers with chat templates, trained in process."""

from __future__ import annotations

import json
from typing import Any

PANICS = json.dumps(
    {
        "version": "1.0",
        "added_tokens": [],
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "of no vocabulary", "type_id": 0}}],
            "pair": [],
            "special_tokens": {},
        },
        "model": {"type": "WordLevel", "vocab": {"a": 0, "[U]": 1}, "unk_token": "[U]"},
    }
)
"""A `tokenizer.json` that loads, and panics in Rust on the first text."""

CHATML = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
GENERATION_ONLY_THINK = CHATML.replace("assistant\\n' }}", "assistant\\n<think>' }}")
"""Its generation prompt opens a block that the conversation does not have."""
DROPS_OLD_REASONING = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' }}"
    "{% if m['role'] == 'assistant' and loop.last %}"
    "{{ '<think>' + (m.reasoning_content or '') + '</think>' }}{% endif %}"
    "{{ m['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>' }}{% endif %}"
)
"""Only the last turn keeps what it thought, and the generation prompt opens the block."""
MARKED = CHATML.replace(
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}",
    "{{ '<|im_start|>' + m['role'] + '\\n' }}"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ m['content'] + '<|im_end|>' }}{% endif %}{{ '\\n' }}",
)
"""It marks what the assistant says."""
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML
)
CORPUS = [
    "Question: 2 + 3?\nAnswer: 2 + 3 = 5\n#### 5",
    "How many apples? 12 apples.",
    "system user assistant {}",
] * 5


def make_tokenizer(
    kind: str = "bytes", *, bos: bool = False, eos: bool = False, template: str | None = None
) -> Any:
    """A tiny trained tokenizer: byte-level or metaspace BPE, or words; BOS and EOS by post-processor."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    if kind == "words":
        core = Tokenizer(models.WordLevel(unk_token="<unk>"))
        core.pre_tokenizer = pre_tokenizers.Whitespace()
        core.train_from_iterator(CORPUS, trainers.WordLevelTrainer(special_tokens=special))
    else:
        core = Tokenizer(models.BPE(unk_token="<unk>"))
        if kind == "bytes":
            core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            core.decoder = decoders.ByteLevel()
        else:
            core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
            core.decoder = decoders.Metaspace()
        alphabet = pre_tokenizers.ByteLevel.alphabet() if kind == "bytes" else []
        core.train_from_iterator(
            CORPUS, trainers.BpeTrainer(vocab_size=330, special_tokens=special, initial_alphabet=alphabet)
        )
    if bos or eos:
        core.post_processor = processors.TemplateProcessing(
            single=f"{'<s> ' if bos else ''}$A{' </s>' if eos else ''}",
            special_tokens=[("<s>", 1), ("</s>", 2)],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>", chat_template=template
    )


def prepared_by_trl(
    tokenizer: Any, row: dict[str, Any], *, assistant_only: bool = False
) -> tuple[list[int], list[int]]:
    """Input ids and labels of a row, by the code of TRL's SFTTrainer, without a model."""
    import copy
    from types import SimpleNamespace

    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    tokenizer = copy.copy(tokenizer)
    trainer = SimpleNamespace(
        _tokenizer=tokenizer, chat_template=None, completion_only_loss={"prompt", "completion"} <= set(row)
    )
    arguments = SFTConfig(
        output_dir="unused",
        max_length=None,
        assistant_only_loss=assistant_only,
        use_cpu=True,
        bf16=False,
        report_to=[],
    )
    rows = Dataset.from_list([row]).to_iterable_dataset()
    (made,) = SFTTrainer._prepare_dataset(trainer, rows, tokenizer, arguments, False, None, "train")
    return list(made["input_ids"]), list(made["labels"])
