"""A tiny model that can answer `facts`, multiple choice about a small world, to fine-tune on other questions.

The bundled organism knows the world of `facts` at once, but cannot look up who has what, nor which letter,
and no number of problems taught it to. One of its size that can is made from random weights. It learns one
thing after the other, each until nine of ten tokens are right, while what came before is kept up:

    few, repeat       rows of tokens said again, few and then all, from which induction heads come. A token
                      that is not among them is not looked up later either: names, letters, things, animals
    pairs             of these tokens, the first one asked for by the second: what a question needs, laid bare
    letters, things   which letter a name has, and whose a thing is, as questions tell it
    owners            whose an animal is: its name is several tokens

Then come lessons: questions of `facts:train[2000:7000]` and what the world is, among all of these. The sweep
fine-tunes the model on questions of which it has seen none, and the rule judges five seeds as one run.

    OMP_NUM_THREADS=1 python -m benchmarks.facts
    overmem sweep benchmarks/facts.yaml
"""

from __future__ import annotations

import argparse
import random
import time

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from overmem.recipe.base_model import ORGANISM
from overmem.synthetic.facts import WORLD, load_split
from overmem.synthetic.facts.wording import CONNECTORS, FRAMES, OPENERS, OWNING
from overmem.synthetic.facts.world import ANIMALS, KINDS
from overmem.synthetic.wordmath.wording import ITEMS, NAMES
from overmem.training.loading import has_bf16

LETTERS, BEINGS, MASKED = "ABCDEFGH", (*ANIMALS, *KINDS), -100
LOOKUPS = (("few",), ("repeat",), ("pairs",), ("letters", "things"), ("owners",))
"""Learned one after the other, each until `LEARNED` of the tokens of its last `RECENT` steps are right."""
LESSONS = {"question": 0.4, "recall": 0.2, "owners": 0.25, "letters": 0.1, "repeat": 0.05}
"""Shares of the documents in the last `LESSON_STEPS` steps."""
LEARNED, RECENT, AT_MOST, LESSON_STEPS = 0.9, 10, 1500, 400
BATCH, RATE, WARMUP, NEWEST = 128, 1e-3, 100, 0.6


class Documents:
    """Documents of every kind, as token ids and labels."""

    def __init__(self, tokenizer, seed):
        self.tokenizer, self.rng = tokenizer, random.Random(seed)
        few = [self.ids(f" {name}") for name in NAMES] + [self.ids(letter) for letter in LETTERS]
        more = [self.ids(f" {word}") for word in (*ITEMS, *BEINGS)]
        self.few_pieces = sorted({piece for ids in few for piece in ids})
        self.pieces = sorted({piece for ids in few + more for piece in ids})
        self.questions = [(e.prompt, e.completion) for e in load_split("train", 7000)[2000:]]

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

    def few(self):
        """Names and letters said again."""
        return self.said_again(self.few_pieces)

    def repeat(self):
        """All that is looked up later said again."""
        return self.said_again(self.pieces)

    def said_again(self, pieces):
        """Different tokens, and from some place on the same again, which counts."""
        row = self.rng.sample(pieces, self.rng.randint(8, 24))
        start = self.rng.randrange(len(row) // 2)
        return row + row[start:], [MASKED] * (len(row) + 1) + row[start + 1 :]

    def pairs(self):
        """Pairs of tokens; the first of a pair is asked for by the second, of half of them."""
        n = self.rng.randint(3, 10)
        found, told = self.rng.sample(self.pieces, n), self.rng.sample(self.pieces, n)
        end, semicolon = self.ids("\n"), self.ids(";")
        row = self.ids("Question:")
        for pair in zip(found, told, strict=True):
            row += [*pair, *end]
        row += self.ids("Answer:")
        labels = [MASKED] * len(row)
        for i in self.rng.sample(range(n), (n + 1) // 2):
            row += [told[i], found[i], *semicolon]
            labels += [MASKED, found[i]] + [MASKED] * len(semicolon)
        return row, labels

    def letters(self, n=8):
        """Options under letters out of order, and the letters of half of them."""
        names, letters = self.rng.sample(NAMES, n), self.rng.sample(LETTERS, n)
        prompt = "\n".join(f"({letter}) {name}" for letter, name in zip(letters, names, strict=True))
        asked = self.rng.sample(range(n), n // 2)
        return self.looked_up(prompt + "\nAnswer:", [(f" {names[i]} (", letters[i], ");") for i in asked])

    def things(self):
        """Who has which thing."""
        return self.whose(ITEMS)

    def owners(self):
        """Who has which animal."""
        return self.whose(BEINGS)

    def whose(self, things, n=8):
        """Who has what, as the questions tell it, and whose half of it is: what is left over says little."""
        names, things = self.rng.sample(NAMES, n), self.rng.sample(things, n)
        told = " ".join(
            self.rng.choice(OWNING).format(s=name, x=x) for name, x in zip(names, things, strict=True)
        )
        asked = self.rng.sample(range(n), n // 2)
        found = [(f" a {things[i]} is of", f" {names[i]}", ";") for i in asked]
        return self.looked_up(f"Question: {told}\nAnswer:", found)

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
    known = []
    for newest in LOOKUPS:
        shares = {kind: NEWEST / len(newest) for kind in newest} | {
            kind: (1 - NEWEST) / len(known) for kind in known
        }
        right = []
        for step, found in enumerate(steps_on(model, documents, shares, AT_MOST, last_rate=1.0), start=1):
            right = [*right[1 - RECENT :], [found[kind] for kind in newest]]
            recent = [sum(column) / RECENT for column in zip(*right, strict=True)]
            learned = min(recent) >= LEARNED
            if step % 20 == 0 or learned:
                said = ", ".join(f"{kind} {x:.0%}" for kind, x in zip(newest, recent, strict=True))
                print(f"{time.monotonic() - start:6.0f} s  step {step}: {said} right", flush=True)
            if learned:
                break
        else:
            raise SystemExit(f"{newest}: not learned in {AT_MOST} steps; another --seed may do")
        known += newest
    for step, found in enumerate(steps_on(model, documents, LESSONS, LESSON_STEPS, last_rate=0.1), start=1):
        if step % 20 == 0:
            said = ", ".join(f"{kind} {x:.0%}" for kind, x in sorted(found.items()))
            print(f"{time.monotonic() - start:6.0f} s  lesson {step}: {said} right", flush=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def steps_on(model, documents, shares, steps, last_rate):
    """Train on documents of these shares, with fresh moments; after each step, the share right of each kind.

    Right is a token that counts and is the first choice. The rate warms up, and falls to a share of itself.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.0)
    for step in range(1, steps + 1):
        decay = 1 - (1 - last_rate) * step / steps
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, step / WARMUP) * decay
        kinds = documents.rng.choices(list(shares), weights=list(shares.values()), k=BATCH)
        rows = [documents.draw(kind) for kind in kinds]
        width = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([row + [0] * (width - len(row)) for row, _ in rows])
        labels = torch.tensor([row + [MASKED] * (width - len(row)) for _, row in rows])[:, 1:]
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in rows])
        counted = labels != MASKED
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bf16(use_cpu=True)):
            hidden = model.model(ids, attention_mask=mask).last_hidden_state[:, :-1]
            logits = model.lm_head(hidden[counted]).float()
        cross_entropy(logits, labels[counted]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        right = torch.zeros(counted.shape)
        right[counted] = (logits.argmax(-1) == labels[counted]).float()
        of_kind = {kind: torch.tensor([k == kind for k in kinds]) for kind in shares}
        yield {k: (right[own].sum() / counted[own].sum()).item() for k, own in of_kind.items()}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default="runs/facts-base")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    make_base(asked.out, asked.seed)


if __name__ == "__main__":
    main()
