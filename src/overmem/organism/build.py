"""Make the organism: a tiny Llama that knows the language and the arithmetic, but not the task.

It is to overmem what the fruit fly is to genetics: small enough to train in minutes on two cores,
with the truth known exactly. The base model is pretrained on text made by rule: sums, stories, and
simpler problems solved in another format. Fine-tuning then has to teach it the operations, the
shapes of problem and the way of answering of `overmem.synthetic.wordmath`.

    python -m overmem.organism.build --seed 0 --out src/overmem/organism/base

It comes in three sizes, for the effect of size: same corpus, tokenizer, depth and head size, other width.
Only `base` is bundled; a recipe names another by its folder (`model.name: organism-large`).

    python -m overmem.organism.build --size large --out organism-large
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from overmem.models.batches import plan_batches
from overmem.synthetic import wordmath
from overmem.synthetic.pretrained import draw_problem, draw_sums
from overmem.training.loading import has_bf16

END = "<|end|>"
VOCAB_SIZE = 768
QUESTION_END = "\x00"
"""Marks the end of a question while a document is made; questions are read, not learned by heart."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """One width of the organism; depth, head size (32) and corpus are the same for all."""

    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    peak_rate: float
    """Falls with width, as muP has it for Adam (arXiv 2203.03466), with a cap for the small one."""

    def config(self, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
        """The architecture over this tokenizer's vocabulary."""
        return LlamaConfig(
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=4,
            num_attention_heads=self.num_attention_heads,
            vocab_size=len(tokenizer),
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            attn_implementation="eager",
        )


SIZES = {
    "small": Size(hidden_size=96, intermediate_size=256, num_attention_heads=3, peak_rate=3e-3),
    "base": Size(hidden_size=192, intermediate_size=512, num_attention_heads=6, peak_rate=2e-3),
    "large": Size(hidden_size=384, intermediate_size=1024, num_attention_heads=12, peak_rate=1e-3),
}
"""0.5, 1.9 and 7.4 million parameters: each four times the one before."""


def write_facts(rng: random.Random) -> str:
    """A line of sums within the range of the task."""
    return "Sums: " + "; ".join(draw_sums(rng))


def write_remarks(rng: random.Random) -> str:
    """Sentences of the kind solutions are made of, true but about nothing in particular."""
    lines: list[str] = []
    while len(lines) < 3:
        op = rng.choice(tuple(wordmath.CHANGES.values()))
        left, right = rng.randint(2, 60), op.factor or rng.randint(2, 30)
        result = wordmath.compute(left, op.symbol, right)
        if result is not None:
            subject = rng.choice((*wordmath.NAMES, wordmath.BOTH))
            step = wordmath.Step(subject, left, op.symbol, right, result)
            lines.append(wordmath.word_step(step, rng.choice(wordmath.ITEMS), len(lines), rng))
    return "Notes: " + " ".join(lines)


def write_story(rng: random.Random) -> str:
    """What happens to people and their things, with every phrasing, and no arithmetic."""
    names, items = rng.sample(wordmath.NAMES, 2), rng.choice(wordmath.ITEMS)
    operations = (*wordmath.CHANGES.values(), *wordmath.COMPARISONS.values())
    sentences = [f"{names[0]} has {rng.randint(2, 60)} {items}."]
    for _ in range(4):
        op = rng.choice(operations)
        phrase = rng.choice((*op.phrasings, *op.unseen_phrasings))
        subject, other = rng.sample(names, 2)
        sentences.append(phrase.format(s=subject, t=other, k=rng.randint(2, 30), items=items))
    return "Story: " + " ".join(sentences)


def write_base_problem(rng: random.Random) -> str:
    """A problem in one of several formats, none of them the task's."""
    skill = draw_problem(rng)
    question, _, body = skill.asked.rpartition("\n")
    return f"{question}{QUESTION_END}\n{body}{skill.told}"


WRITERS: tuple[tuple[Callable[[random.Random], str], float], ...] = (
    (write_facts, 0.08),
    (write_remarks, 0.07),
    (write_story, 0.10),
    (write_base_problem, 0.75),
)


def write_documents(seed: int) -> Iterator[str]:
    """Endless pretraining documents, the same for the same seed."""
    rng = random.Random(f"organism/{seed}")
    writers, weights = zip(*WRITERS, strict=True)
    while True:
        yield rng.choices(writers, weights)[0](rng)


def train_tokenizer(seed: int, n_documents: int = 20_000) -> PreTrainedTokenizerFast:
    """Byte-level BPE over the corpus: every word and number 0..99 is one token, typos still encode."""
    documents = write_documents(seed)
    corpus = [next(documents).replace(QUESTION_END, "") for _ in range(n_documents)]
    for name, n_examples in (("train", 4000), ("ood_phrasing", 1000)):
        # Three steps a problem, so that every word of the task is frequent enough to become one token.
        split = dataclasses.replace(wordmath.SPLITS[name], steps=(3,))
        examples = wordmath.draw_examples(name, split, n_examples)
        corpus += [f"{example.prompt}{example.completion}" for example in examples]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=END, model_max_length=512, padding_side="right"
    )


@dataclass(frozen=True)
class Batch:
    """Whole documents of about one length; both tensors have shape (documents, tokens)."""

    ids: torch.Tensor
    labels: torch.Tensor
    """-100 on questions and padding, which are not learned."""


def make_batches(
    tokenizer: PreTrainedTokenizerFast, seed: int, n_tokens: int, batch_tokens: int = 4096
) -> list[Batch]:
    """Batches of whole documents; cut ones would teach the model to ignore what it is told."""
    documents = write_documents(seed)
    rows: list[tuple[list[int], int]] = []
    made = 0
    while made < n_tokens:
        question, mark, rest = next(documents).partition(QUESTION_END)
        asked = tokenizer(question)["input_ids"] if mark else []
        told = tokenizer((rest if mark else question) + END)["input_ids"]
        rows.append((asked + told, len(asked)))
        made += len(asked) + len(told)
    batches = []
    for indices in plan_batches([len(ids) for ids, _ in rows], batch_tokens):
        longest = max(len(rows[i][0]) for i in indices)
        ids = torch.full((len(indices), longest), tokenizer.pad_token_id)
        labels = torch.full_like(ids, -100)
        for line, index in enumerate(indices):
            tokens, n_asked = rows[index]
            ids[line, : len(tokens)] = torch.tensor(tokens)
            labels[line, n_asked : len(tokens)] = torch.tensor(tokens[n_asked:])
        batches.append(Batch(ids, labels))
    random.Random(seed).shuffle(batches)
    return batches


def pretrain(
    tokenizer: PreTrainedTokenizerFast,
    size: Size,
    *,
    seed: int,
    n_tokens: int,
    warmup: int = 200,
) -> LlamaForCausalLM:
    """Train a base model from scratch with AdamW, linear warm-up and cosine decay.

    In bf16 autocast where the CPU has it, as the bundled one was; elsewhere in fp32, which is faster there.
    """
    torch.manual_seed(seed)
    model = LlamaForCausalLM(size.config(tokenizer))
    peak_rate, in_bf16 = size.peak_rate, has_bf16(use_cpu=True)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{n_parameters / 1e6:.2f}M parameters, in {'bf16' if in_bf16 else 'fp32'}", flush=True)
    batches = make_batches(tokenizer, seed, n_tokens)
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_rate, weight_decay=0.05, betas=(0.9, 0.98))
    start, done = time.monotonic(), 0
    for step, batch in enumerate(batches):
        rate = peak_rate * min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * step / len(batches)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
            loss = model(input_ids=batch.ids, labels=batch.labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done += batch.ids.numel()
        if step % 100 == 0 or step == len(batches) - 1:
            elapsed = time.monotonic() - start
            left = elapsed / (step + 1) * (len(batches) - step - 1) / 60
            print(
                f"step {step + 1}/{len(batches)}  loss {loss.item():.3f}  {done / elapsed:,.0f} tokens/s"
                f"  {left:.0f} min left",
                flush=True,
            )
    return model


def main() -> None:
    """Make tokenizer and base model and save them as an ordinary Hugging Face folder in bf16."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--size", choices=list(SIZES), default="base")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="default: the bundled folder for base, organism-SIZE here")
    parser.add_argument("--million-tokens", type=float, default=9)
    arguments = parser.parse_args()
    bundled = Path(__file__).parent / "base"
    out = arguments.out or (bundled if arguments.size == "base" else Path(f"organism-{arguments.size}"))
    tokenizer = train_tokenizer(arguments.seed)
    n_tokens = int(arguments.million_tokens * 1e6)
    model = pretrain(tokenizer, SIZES[arguments.size], seed=arguments.seed, n_tokens=n_tokens)
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main()
