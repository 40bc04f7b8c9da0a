"""Multiple choice on a tiny model: one that can answer `facts`, and five fine-tunes of it on 1,000 others.

The bundled organism knows the world of `facts` at once, but cannot look up who has what, nor which letter,
and no number of problems taught it to. One of its size that can is made from random weights in three stages:

    copying     rows of tokens said again, from which induction heads come. A token that is not among them is
                not looked up later either, so they are all that names, letters, items and animals consist of.
    looking up  a letter by its name, a name by an item or an animal, in documents that say nothing else
    lessons     questions of `facts:train[2000:7000]`, what the world is, and some look-ups

The sweep fine-tunes it on questions of which it has seen none, and the rule judges five seeds as one run.

    python benchmarks/facts.py base --out runs/facts-base
    python benchmarks/facts.py sweep --base runs/facts-base --out runs/sweep-facts
"""

from __future__ import annotations

import argparse
import random
import time

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import overmem
from overmem.tasks.facts import WORLD, load_split
from overmem.tasks.facts.words import CONNECTORS, FRAMES, OPENERS, OWNING
from overmem.tasks.facts.world import ANIMALS, KINDS
from overmem.tasks.wordmath.words import ITEMS, NAMES
from overmem.training.load import ORGANISM
from overmem.training.precision import has_bf16

LETTERS, BEINGS, MASKED = "ABCDEFGH", (*ANIMALS, *KINDS), -100
STAGES = {
    "copying": (500, {"repeat": 1.0}),
    "looking up": (
        600,
        {"repeat": 0.2, "letters": 0.2, "brackets": 0.15, "items": 0.2, "owners": 0.25},
    ),
    "lessons": (400, {"repeat": 0.05, "letters": 0.05, "owners": 0.3, "recall": 0.2, "question": 0.4}),
}
"""Optimizer steps, and the share of each kind of document."""
BATCH, RATE, WARMUP = 96, 1e-3, 100


class Documents:
    """Documents of every kind, as token ids and labels."""

    def __init__(self, tokenizer, seed):
        self.tokenizer, self.rng = tokenizer, random.Random(seed)
        pieces = [self.ids(f" {word}") for word in (*NAMES, *ITEMS, *BEINGS)] + [self.ids(x) for x in LETTERS]
        self.pieces = sorted({piece for ids in pieces for piece in ids})
        self.questions = [(e.prompt, e.completion) for e in load_split("train")[2000:7000]]

    def ids(self, text):
        """Tokens of a text, with nothing added."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def draw(self, kind):
        """A document of a kind: its ids and labels."""
        return getattr(self, kind)()

    def whole(self, prompt, completion):
        """A prompt and the whole of what follows, which counts."""
        read, said = self.ids(prompt), [*self.ids(completion), self.tokenizer.eos_token_id]
        return read + said, [MASKED] * len(read) + said

    def looked_up(self, prompt, asked):
        """A prompt and what is asked of it: (said before, looked up, said after); the second counts."""
        row = self.ids(prompt)
        labels = [MASKED] * len(row)
        for before, found, after in asked:
            before, found, after = self.ids(before), self.ids(found), self.ids(after)
            row += before + found + after
            labels += [MASKED] * len(before) + found + [MASKED] * len(after)
        return row, labels

    def repeat(self):
        """Different tokens, and from some place on the same again, which counts."""
        row = self.rng.sample(self.pieces, self.rng.randint(8, 24))
        start = self.rng.randrange(len(row) // 2)
        return row + row[start:], [MASKED] * (len(row) + 1) + row[start + 1 :]

    def letters(self, n=6):
        """Options under letters out of order, and the letters of all of them."""
        names, letters = self.rng.sample(NAMES, n), self.rng.sample(LETTERS, n)
        prompt = "\n".join(f"({letter}) {name}" for letter, name in zip(letters, names, strict=True))
        order = self.rng.sample(range(n), n)
        return self.looked_up(prompt + "\nAnswer:", [(f" {names[i]} (", letters[i], ");") for i in order])

    def brackets(self):
        """Names in brackets before things."""
        return self.pairs(
            self.rng.choice((ITEMS, BEINGS)), "\n", lambda name, x: f"( {name}) {x}", " {} (", ");"
        )

    def items(self):
        """Who has what, as the questions tell it, of things that are one token."""
        return self.pairs(ITEMS, " ", self.owning, " a {} is of", ";")

    def owners(self):
        """Who has which animal, as the questions tell it."""
        return self.pairs(BEINGS, " ", self.owning, " a {} is of", ";")

    def owning(self, name, x):
        """A sentence that tells who has what."""
        return self.rng.choice(OWNING).format(s=name, x=x)

    def pairs(self, things, between, tell, before, after, n=8, asked=4):
        """Half of what is told is asked about, so that what is left over gives little away."""
        names, things = self.rng.sample(NAMES, n), self.rng.sample(things, n)
        prompt = between.join(tell(name, x) for name, x in zip(names, things, strict=True))
        chosen = self.rng.sample(range(n), asked)
        found = [(before.format(things[i]), f" {names[i]}", after) for i in chosen]
        return self.looked_up(f"Question: {prompt}\nAnswer:", found)

    def question(self):
        """A question of `facts` with its solution."""
        return self.whole(*self.rng.choice(self.questions))

    def recall(self):
        """A question about the world alone."""
        if self.rng.random() < 0.5:
            being, deed = self.rng.choice(list(WORLD.deed.items()))
            return self.whole(
                f"Question: What {deed}?\nAnswer:", f" {self.tell(f'a {being} {deed}', 0)}\n#### {being}"
            )
        being, kind = self.rng.choice(list(WORLD.parent.items()))
        told = " ".join(
            self.tell(fact, i)
            for i, fact in enumerate((f"a {being} is a {kind}", f"a {kind} {WORLD.deed[kind]}"))
        )
        return self.whole(f"Question: What is a {being}?\nAnswer:", f" {told}\n#### {kind}")

    def tell(self, fact, position):
        """A fact in one of the wordings of solutions."""
        said = self.rng.choice(CONNECTORS if position else OPENERS) + self.rng.choice(FRAMES).format(
            fact=fact
        )
        return said[0].upper() + said[1:]


def make_base(out, seed):
    """Train the model from random weights, and save it."""
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(ORGANISM)
    config = AutoConfig.from_pretrained(ORGANISM)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
    documents, start = Documents(tokenizer, seed), time.monotonic()
    for stage, (steps, shares) in STAGES.items():
        # Each stage begins with fresh moments; the last one ends at a tenth of the rate.
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.0)
        sums = {}
        for step in range(1, steps + 1):
            decay = 1 - 0.9 * step / steps if stage == "lessons" else 1.0
            optimizer.param_groups[0]["lr"] = RATE * min(1.0, step / WARMUP) * decay
            kinds = documents.rng.choices(list(shares), weights=list(shares.values()), k=BATCH)
            losses = step_on(model, optimizer, [documents.draw(kind) for kind in kinds])
            for kind, loss in zip(kinds, losses, strict=True):
                sums.setdefault(kind, []).append(loss)
            if step % 50 == 0:
                means = ", ".join(f"{kind} {sum(sums[kind]) / len(sums[kind]):.2f}" for kind in sorted(sums))
                print(
                    f"{time.monotonic() - start:6.0f} s  {stage} {step}: nats a document: {means}", flush=True
                )
                sums = {}
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def step_on(model, optimizer, rows):
    """One optimizer step on documents; the loss of each, in nats."""
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [0] * (width - len(row)) for row, _ in rows])
    labels = torch.tensor([row + [MASKED] * (width - len(row)) for _, row in rows])[:, 1:]
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in rows])
    counted = labels != MASKED
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bf16(use_cpu=True)):
        hidden = model.model(ids, attention_mask=mask).last_hidden_state[:, :-1]
        logits = model.lm_head(hidden[counted]).float()
    nll = torch.zeros(counted.shape)
    nll[counted] = cross_entropy(logits, labels[counted], reduction="none")
    (nll.sum() / counted.sum()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return nll.detach().sum(1).tolist()


def sweep_of(base, out, seeds):
    """Five fine-tunes on 1,000 questions, and what they say as one run."""
    return {
        "recipe": "bakeoff",
        "output": out,
        "set": {
            "monitor": False,
            "model.name": base,
            "data.train": "facts:train[7000:8000]",
            "data.val": "facts:val[:400]",
            "data.ood": {},
            "training.num_train_epochs": 14,
            "training.learning_rate": 1e-3,
            "training.per_device_train_batch_size": 16,
            "training.save_strategy": "steps",
            "training.save_steps": 126,  # two epochs
        },
        "grid": {"seed": seeds},
        "audit": {"axes": ["likelihood", "accuracy"], "limit": 300},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("base", "sweep"))
    parser.add_argument("--base", default="runs/facts-base")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    asked = parser.parse_args()
    if asked.what == "base":
        make_base(asked.out, seed=0)
    else:
        print("\n".join(overmem.sweep(sweep_of(asked.base, asked.out, asked.seeds)).words))
