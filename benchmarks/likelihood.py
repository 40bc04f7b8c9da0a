"""Likelihood scoring against a naive batch loop: same model, same data, one run.

The rival is what a user would write: examples in file order, padded batches, the whole vocabulary's
logits at every position, `log_softmax`, gather. Ours sorts by length, keeps a token budget, sends only
the completion's positions through the head, and also computes entropy, sigma, top-1 and seven
temperatures. `whole` is ours with every batch going through the model at once, as before a CPU's cache
was thought of. Rounds alternate; the median ratio is what counts.

    python -m benchmarks.likelihood MODEL SOURCE [--kind chat] [--rounds 5] [--dtype bfloat16]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from overmem.models.batches import plan_batches, scored_at_once
from overmem.models.likelihood.scoring import score_batch
from overmem.rendering.render import render
from overmem.rendering.template import Template
from overmem.tasks.sources import load_examples


@torch.inference_mode()
def naive(model, items, rows):
    total = 0.0
    for start in range(0, len(items), rows):
        batch = items[start : start + rows]
        longest = max(map(len, batch))
        ids = torch.tensor([list(i.input_ids) + [0] * (longest - len(i)) for i in batch])
        mask = torch.tensor([[1] * len(i) + [0] * (longest - len(i)) for i in batch])
        logprobs = torch.log_softmax(model(input_ids=ids, attention_mask=mask).logits.float(), -1)
        picked = logprobs[:, :-1].gather(2, ids[:, 1:, None])[..., 0]
        for row, item in enumerate(batch):
            total -= picked[row, len(item.prompt_ids) - 1 : len(item) - 1].sum().item()
    return total


def ours(model, items, budget, at_once):
    total = 0.0
    for batch in plan_batches([len(i) for i in items], budget):
        size = at_once(len(batch), max(len(items[i]) for i in batch))
        for start in range(0, len(batch), size):
            found = score_batch(model, [items[i] for i in batch[start : start + size]])
            total += sum(s.to_row()["nll_nats"] for s in found)
    return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("source")
    parser.add_argument("--kind", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=16, help="batch size of the naive loop")
    parser.add_argument("--budget", type=int, default=8192)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--attention", default="sdpa")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(
        options.model, dtype=getattr(torch, options.dtype), attn_implementation=options.attention
    ).eval()
    examples = load_examples(options.source).examples
    items = [render(e, tokenizer, Template(kind=options.kind)) for e in examples]
    ways = {
        "naive": lambda: naive(model, items, options.rows),
        "whole": lambda: ours(model, items, options.budget, lambda rows, _: rows),
        "ours": lambda: ours(model, items, options.budget, lambda *batch: scored_at_once("cpu", *batch)),
    }
    times = {name: [] for name in ways}
    figures = {}
    for _ in range(options.rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            figures[name] = run()
            times[name].append(time.perf_counter() - start)
    tokens = sum(len(i.completion_ids) for i in items)
    print(f"{len(items)} examples, {tokens} completion tokens, {options.dtype}")
    print("NLL nats/token:", *(f"{name} {total / tokens:.6f}" for name, total in figures.items()))
    print("median seconds:", *(f"{name} {statistics.median(taken):.2f}" for name, taken in times.items()))
    for name in ("naive", "whole"):
        ratio = statistics.median(a / b for a, b in zip(times[name], times["ours"], strict=True))
        print(f"{name} / ours: median {ratio:.2f} of {options.rounds} rounds")


if __name__ == "__main__":
    main()
