"""A merge of two bf16 checkpoints, half and half, against mergekit's `linear`: time and peak memory.

Every command is a fresh process; they take turns on the same random Llama checkpoints. Wall and processor
seconds are those of the whole process, imports included. The first rows merge a model of 4 MB, which is
start-up and little else, and "beyond start-up" is the median with theirs subtracted. Bytecode is compiled
and the inputs are in the page cache for all; none waits for the disk at its end. Ratios are by round, to
the mergekit command that is faster at that size.

Peak RSS counts pages of memory-mapped files, which the system may drop; anonymous memory is what it must
keep. Both are sums over a process and its children, read every 20 ms. mergekit keeps an output shard in
memory until it is full, 5 GB as it comes; a second command gives it smaller ones, written in a thread. (Of
its other options, --lazy-unpickle is for pickles and --low-cpu-memory for accelerators.)

    python -m benchmarks.merge --mergekit PATH/TO/mergekit-yaml [--gb 0.5 2.2] [--rounds 3]

Prints Markdown rows. The last column says how an output differs from that of `overmem.merge`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from overmem.merging.storage import TensorSpec, read_headers, write_shards
from overmem.recipe.base_model import ORGANISM

HEAD = (
    "| size (GB) | rounds | command | wall (s) | beyond start-up (s) | CPU (s) | wall ratio (range) "
    "| CPU ratio (range) | peak RSS (MB) | peak anonymous (MB) | output |\n" + "| --- " * 11 + "|"
)
OURS = "overmem.merging"
VOCABULARY, HEAD_DIM = 32000, 64


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one process took."""

    wall_seconds: float
    cpu_seconds: float
    rss_mb: float
    anonymous_mb: float


def llama(width, layers):
    """Tensors of a Llama of TinyLlama's proportions, which is 2048 wide, 22 layers deep and 2.2 GB."""
    keys, inner = width // 8, width * 11 // 4
    layer = {
        **{f"self_attn.{name}_proj": (width, width) for name in "qo"},
        **{f"self_attn.{name}_proj": (keys, width) for name in "kv"},
        **{f"mlp.{name}_proj": (inner, width) for name in ("gate", "up")},
        "mlp.down_proj": (width, inner),
        **dict.fromkeys(("input_layernorm", "post_attention_layernorm"), (width,)),
    }
    shapes = {"model.embed_tokens": (VOCABULARY, width)}
    shapes |= {f"model.layers.{i}.{name}": shape for i in range(layers) for name, shape in layer.items()}
    shapes |= {"model.norm": (width,), "lm_head": (VOCABULARY, width)}
    return {f"{name}.weight": TensorSpec(shape=shape, dtype="BF16") for name, shape in shapes.items()}


def n_bytes(tensors):
    return sum(spec.n_bytes for spec in tensors.values())


def dimensions(gb):
    """Width and layers of the widest Llama of about that size that is still deep."""
    for width in (4096, 2048, 1024, 512):
        empty, one = (n_bytes(llama(width, layers)) for layers in (0, 1))
        layers = max(1, round((gb * 1e9 - empty) / (one - empty)))
        if layers >= 6:
            break
    return width, layers


def write_checkpoint(folder, gb, seed):
    """Random weights, a segment at a time, in four shards or five; returns their bytes."""
    width, layers = dimensions(gb)
    tensors = llama(width, layers)
    generator = torch.Generator().manual_seed(seed)

    def segments(name):
        for start, stop in tensors[name].segments():
            rows = torch.empty((stop - start, *tensors[name].shape[1:]), dtype=torch.bfloat16)
            yield rows.normal_(0, 0.02, generator=generator)

    shutil.copytree(ORGANISM, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    write_shards(folder, "model", tensors, segments, n_bytes(tensors) // 4)
    config = json.loads((folder / "config.json").read_text()) | {
        "vocab_size": VOCABULARY,
        "hidden_size": width,
        "intermediate_size": width * 11 // 4,
        "num_hidden_layers": layers,
        "head_dim": HEAD_DIM,
        "num_attention_heads": width // HEAD_DIM,
        "num_key_value_heads": width // 8 // HEAD_DIM,
        "tie_word_embeddings": False,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return n_bytes(tensors)


def commands(folder, options):
    """What merges `folder`/a and `folder`/b into `folder`/out, by name."""
    a, b, out, config = (str(folder / name) for name in ("a", "b", "out", "config.yml"))
    models = [{"model": path, "parameters": {"weight": 0.5}} for path in (a, b)]
    Path(config).write_text(json.dumps({"merge_method": "linear", "dtype": "bfloat16", "models": models}))
    call = "import sys, overmem; overmem.merge(sys.argv[1:3], sys.argv[3])"
    return {
        OURS: [sys.executable, "-c", call, a, b, out],
        "overmem merge": [sys.executable, "-m", "overmem", "merge", a, b, "--out", out],
        "mergekit-yaml": [options.mergekit, config, out],
        f"mergekit-yaml {options.tuned}": [options.mergekit, config, out, *shlex.split(options.tuned)],
    }


def measure(command, environment):
    """Run a command to its end, in silence unless it fails."""
    os.sync()
    peaks = [0, 0]
    with tempfile.TemporaryFile("w+") as log:
        began = time.perf_counter()
        child = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            while not (ended := os.wait4(child.pid, os.WNOHANG))[0]:
                peaks = [max(pair) for pair in zip(peaks, resident_kb(child.pid), strict=True)]
                time.sleep(0.02)
        except BaseException:
            child.kill()
            raise
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(ended[1])
        if child.returncode:
            log.seek(0)
            raise SystemExit(f"{shlex.join(command)} failed:\n{log.read()}")
    cpu = ended[2].ru_utime + ended[2].ru_stime
    rss, anonymous = (peak / 1024 for peak in peaks)
    return Usage(wall_seconds=wall, cpu_seconds=cpu, rss_mb=rss, anonymous_mb=anonymous)


def resident_kb(pid):
    """Resident set and its anonymous part, children included; zeros for a process that has just ended."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        children = " ".join(file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:
        return 0, 0
    own = [int(status.get(key, "0 kB").split()[0]) for key in ("VmRSS", "RssAnon")]
    return tuple(map(sum, zip(own, *map(resident_kb, children.split()), strict=True)))


def difference(one, other):
    """How many elements of two outputs differ, and by how much."""
    left, right = (read_headers(folder.glob("*.safetensors")) for folder in (one, other))
    if left.keys() != right.keys():
        raise SystemExit(f"the outputs hold different tensors, such as {min(left.keys() ^ right.keys())}")
    differing = total = steps = 0
    largest = 0.0
    for name, tensor in left.items():
        for segment in tensor.segments():
            x, y = tensor.rows(*segment), right[name].rows(*segment)
            # Neighbours of one sign are one apart as whole numbers.
            gap = (x.view(torch.int16).int() - y.view(torch.int16)).abs()
            total, differing = total + gap.numel(), differing + int(gap.count_nonzero())
            steps = max(steps, int(gap.max()))
            largest = max(largest, float((x.float() - y.float()).abs().max()))
    if not differing:
        return "equal"
    return f"{differing / total:.1e} of elements differ, by at most {largest:.1e} or {steps} bf16 step(s)"


def take_turns(folder, options, environment):
    """Every command's usage by round, and how its last output differs from ours."""
    runs = commands(folder, options)
    used, differences = {name: [] for name in runs}, {}
    for number in range(options.rounds):
        for name, command in runs.items():
            used[name].append(measure(command, environment))
            last = number == options.rounds - 1
            if last and name == OURS:
                (folder / "out").rename(folder / "ours")
            elif last:
                differences[name] = difference(folder / "ours", folder / "out")
            shutil.rmtree(folder / "out", ignore_errors=True)
    shutil.rmtree(folder / "ours")
    return used, differences


def middle(usages, field):
    return statistics.median(getattr(usage, field) for usage in usages)


def ratios(usages, rivals, field):
    values = [getattr(x, field) / getattr(y, field) for x, y in zip(usages, rivals, strict=True)]
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def rows(gb, used, start_up, differences):
    """A line of the table for every command."""
    rivals = min(
        (usages for name, usages in used.items() if name.startswith("mergekit")),
        key=lambda usages: middle(usages, "wall_seconds"),
    )
    for name, usages in used.items():
        wall, cpu = (middle(usages, field) for field in ("wall_seconds", "cpu_seconds"))
        beyond = wall - middle(start_up[name], "wall_seconds")
        rss, anonymous = (max(getattr(u, field) for u in usages) for field in ("rss_mb", "anonymous_mb"))
        yield (
            f"| {gb:.3f} | {len(usages)} | `{name}` | {wall:.2f} | {beyond:.2f} | {cpu:.2f} "
            f"| {ratios(usages, rivals, 'wall_seconds')} | {ratios(usages, rivals, 'cpu_seconds')} "
            f"| {rss:.0f} | {anonymous:.0f} | {differences.get(name, '')} |"
        )


def run(folder, options):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    small = folder / "small"
    for name in "ab":
        shutil.copytree(ORGANISM, small / name)
    for command in commands(small, options).values():  # compiles the bytecode
        measure(command, environment)
        shutil.rmtree(small / "out")
    start_up, differences = take_turns(small, options, environment)
    print(HEAD, *rows(0.004, start_up, start_up, differences), sep="\n", flush=True)
    for gb in options.gb:
        large = folder / "large"
        size = max(write_checkpoint(large / name, gb, seed) for seed, name in enumerate("ab"))
        used, differences = take_turns(large, options, environment)
        shutil.rmtree(large)
        print(*rows(size / 1e9, used, start_up, differences), sep="\n", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gb", type=float, nargs="+", default=[2.2], help="sizes of a checkpoint on disk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mergekit", default="mergekit-yaml", help="its mergekit-yaml, from any environment")
    parser.add_argument("--tuned", default="--async-write --out-shard-size 500M", help="its second command's")
    parser.add_argument("--work", type=Path, help="holds a temporary folder, of four times the largest size")
    options = parser.parse_args()
    if shutil.which(options.mergekit) is None:
        parser.exit(2, f"no executable {options.mergekit}: pip install mergekit, and give --mergekit PATH\n")
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        run(Path(folder), options)


if __name__ == "__main__":
    main()
