"""A token across prompt and completion: is our curve the one that training sees?

A tiny model is trained by TRL on prompts that end in a blank (`Answer: ` + `Yes`), which the tokenizer
joins with the word that follows. At every checkpoint three perplexities of the same val rows stand side by
side: the loss of TRL's own evaluation (the rival: whole val in one batch), the audit's, and that of prompt
and completion tokenized apart, as it was up to November 2026.

    python -m benchmarks.straddling [--epochs 6] [--folder /tmp/straddling]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

import overmem
from overmem.models.likelihood.scoring import score_all
from overmem.rendering.rendered import Rendered


def rows(numbers: list[int]) -> list[dict[str, str]]:
    """Questions whose prompt ends in a blank."""
    found = []
    for n in numbers:
        divisor = next((d for d in range(2, n) if n % d == 0), None)
        answer = f"No, it is {divisor} times {n // divisor}." if divisor else "Yes, nothing divides it."
        found.append({"prompt": f"Is {n} a prime number? Answer: ", "completion": answer})
    return found


def tokenizer_of(corpus: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE, as GPT-2's, Llama 3's and Qwen's are."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=["<s>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>", model_max_length=512
    )


def apart(row: dict[str, str], tokenizer: PreTrainedTokenizerFast, number: int) -> Rendered:
    """Prompt and completion tokenized apart."""
    prompt = tokenizer(row["prompt"])["input_ids"]
    completion = tokenizer(row["completion"])["input_ids"]
    return Rendered(
        example_id=str(number),
        prompt_ids=tuple(prompt),
        completion_ids=(*completion, tokenizer.eos_token_id),
        prompt_text=row["prompt"],
        completion_text=row["completion"],
    )


def perplexity(model: torch.nn.Module, items: list[Rendered]) -> float:
    """Of all tokens of all items."""
    scores = score_all(model, items)
    return math.exp(-sum(sum(s.logprob) for s in scores) / sum(len(s.logprob) for s in scores))


def main() -> int:
    """Train, audit, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    numbers = list(range(20, 420))
    random.Random(0).shuffle(numbers)
    train, val = rows(numbers[:200]), rows(numbers[200:300])
    tokenizer = tokenizer_of([row["prompt"] + row["completion"] for row in train])
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=128,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    val_file = folder / "val.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    val_file.write_text("".join(json.dumps(row) + "\n" for row in val))
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(train),
        eval_dataset=Dataset.from_list(val),
        args=SFTConfig(
            output_dir=str(run),
            num_train_epochs=options.epochs,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=len(val),
            learning_rate=3e-3,
            eval_strategy="epoch",
            save_strategy="epoch",
            logging_strategy="no",
            report_to=[],
            use_cpu=True,
            bf16=False,
            seed=0,
            disable_tqdm=True,
        ),
    )
    trainer.train()
    seen = {entry["step"]: entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry}
    audit = overmem.audit(run, val=val_file, axes="likelihood", grader="none", out=folder / "audit")
    del audit
    import polars

    print(f"{'step':>6} {'trained (TRL)':>14} {'overmem':>9} {'apart':>8}")
    worst = 0.0
    for step, loss in sorted(seen.items()):
        name = f"checkpoint-{step}"
        table = polars.read_parquet(folder / "audit" / name / "likelihood.parquet")
        table = table.filter(polars.col("split") == "val") if "split" in table.columns else table
        ours = math.exp(table["nll_nats"].sum() / table["n_tokens"].sum())
        loaded = AutoModelForCausalLM.from_pretrained(run / name).eval()
        other = perplexity(loaded, [apart(row, tokenizer, at) for at, row in enumerate(val)])
        worst = max(worst, abs(math.log(ours) - loss))
        print(f"{step:>6} {math.exp(loss):>14.4f} {ours:>9.4f} {other:>8.4f}")
    print(f"largest difference to training's own loss: {worst:.1e} nats")
    return int(worst > 1e-4)


if __name__ == "__main__":
    sys.exit(main())
