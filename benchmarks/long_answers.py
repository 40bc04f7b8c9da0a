"""Long answers and large vocabularies: the memory that scoring one takes beyond the model, and its time.

Each length is scored in a process of its own: a pico Llama with random weights, one row of random tokens.
Memory is the peak of the process over what it held once the model was there and a short text was scored.

    python -m benchmarks.long_answers                                   # 1,000 to 32,000 tokens
    python -m benchmarks.long_answers --lengths 4000 --vocabulary 32000 --dtype bfloat16
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

LENGTHS = (1_000, 4_000, 8_000, 32_000)
PROMPT = 50
GB = 1e9


def measure(length: int, vocabulary: int, dtype: str) -> dict[str, float]:
    """Bytes beyond the model and seconds of one text, in this process."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from overmem.auditing.planning.forecast import held_bytes, peak_bytes
    from overmem.models.likelihood.scoring import score_all

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=length + 64,
        attn_implementation="eager" if dtype == "bfloat16" else "sdpa",
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(getattr(torch, dtype)).eval()

    def text(n: int) -> SimpleNamespace:
        ids = torch.randint(vocabulary, (PROMPT + n,)).tolist()
        return _Text(prompt_ids=ids[:PROMPT], completion_ids=ids[PROMPT:], scored_mask=[True] * n)

    score_all(model, [text(50)])
    Path("/proc/self/clear_refs").write_text("5")  # The peak is counted from here on.
    item, before, began = text(length), held_bytes((torch.device("cpu"),)), time.monotonic()
    found = score_all(model, [item])
    seconds, peak = time.monotonic() - began, peak_bytes((torch.device("cpu"),))
    assert len(found[0].logprob) == length and before is not None and peak is not None
    return {"bytes": peak - before, "seconds": seconds, "nll_nats": -sum(found[0].logprob)}


class _Text(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


def main() -> None:
    """Measure every length."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--vocabulary", type=int, default=152_000)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=1, help="processes a length; medians are shown")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.lengths[0], options.vocabulary, options.dtype)))
        return
    print(f"vocabulary {options.vocabulary:,}, {options.dtype}")
    print("length | GB beyond the model | ms a token | nats a token")
    for length in options.lengths:
        command = [sys.executable, "-m", "benchmarks.long_answers", "--here", "--lengths", str(length)]
        command += ["--vocabulary", str(options.vocabulary), "--dtype", options.dtype]
        runs = [subprocess.run(command, stdout=subprocess.PIPE, text=True) for _ in range(options.rounds)]
        if any(run.returncode for run in runs):
            print(f"{length:6,} | the process ended with {[run.returncode for run in runs]}", flush=True)
            continue
        found = [json.loads(run.stdout) for run in runs]
        size, seconds, nats = (
            statistics.median(f[name] for f in found) for name in ("bytes", "seconds", "nll_nats")
        )
        print(
            f"{length:6,} | {size / GB:19.2f} | {1e3 * seconds / length:10.2f} | {nats / length:.6f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
