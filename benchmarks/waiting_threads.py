"""What waiting of PyTorch's threads costs beside another program, in training steps of the bundled model.

GNU OpenMP, which PyTorch's CPU build brings, lets threads spin while they wait for one another. Where other
programs want the cores, the one that is waited for does not run, and the others spin. The command line
shortens that (`overmem.cli.run.SPINS`). Each case is a process of its own, alone and two at once, in turns.

    python -m benchmarks.waiting_threads --rounds 3
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from overmem.cli.run import SPINS

CASES = {"as PyTorch does": {}, "overmem": {"GOMP_SPINCOUNT": SPINS}, "never": {"OMP_WAIT_POLICY": "PASSIVE"}}
AT_ONCE = (1, 2)
STEPS = """
import sys, time, torch
from transformers import AutoModelForCausalLM
from overmem.recipe.base_model import ORGANISM
torch.set_num_threads(int(sys.argv[2]))
model = AutoModelForCausalLM.from_pretrained(ORGANISM)
optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
ids = torch.randint(0, model.config.vocab_size, (8, 128))
def step():
    optimizer.zero_grad()
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
step()
start = time.perf_counter()
for _ in range(int(sys.argv[1])):
    step()
print(time.perf_counter() - start)
"""


def seconds(settings: dict[str, str], at_once: int, steps: int, threads: int) -> float:
    """Median over the processes of how long their steps took."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-c", STEPS, str(steps), str(threads)]
    running = [
        subprocess.Popen(command, env=kept | settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(at_once)
    ]
    return statistics.median(float(process.communicate()[0]) for process in running)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(asked.rounds):
        for name, settings in CASES.items():
            for at_once in AT_ONCE:
                took = seconds(settings, at_once, asked.steps, asked.threads)
                found.setdefault((name, at_once), []).append(took)
    print("| threads wait | alone, s | two at once, s |\n| --- | --- | --- |")
    for name in CASES:
        print(f"| {name} | {' | '.join(f'{statistics.median(found[name, n]):.2f}' for n in AT_ONCE)} |")


if __name__ == "__main__":
    main()
