"""The time of an audit's answers against lm-evaluation-harness and against plain `generate`.

The same checkpoints of SmolLM2-135M (LoRA adapters on GSM8K, and again merged into full weights), the same
problems, prompts, stops and length, greedily, in fp32 unless --dtype says bf16. lm-eval's `hf` backend gets
the best batch size of those tried on the first checkpoint, and a process a checkpoint, as it is used; the
audit is one process. The audit runs before and after lm-eval. Steady state is the time inside the answering
calls alone.

    python -m benchmarks.audit_vs_lm_eval prepare --run RUN --data GSM8K_TEST.jsonl   (or with --shots 5)
    python -m benchmarks.audit_vs_lm_eval compare --kind full --rounds 1   (or with --dtype bfloat16)
    python -m benchmarks.audit_vs_lm_eval compare --kind adapter --rounds 1
    python -m benchmarks.audit_vs_lm_eval samples --problems 20 --rounds 2
    python -m benchmarks.audit_vs_lm_eval continuous --problems 64 --rounds 2
    python -m benchmarks.audit_vs_lm_eval shared --problems 48 --rounds 2
    python -m benchmarks.audit_vs_lm_eval floor
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

HOME = Path(os.environ.get("AUDIT_VS_LM_EVAL", "runs/audit_vs_lm_eval"))
STOP = "<|im_end|>"
TASK = """task: same_problems
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["{stop}"], max_gen_toks: {tokens}, do_sample: false, temperature: 0.0}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""


def prepare(run, data, problems, tokens, checkpoints, shots):
    """The problems as lm-eval takes them, and two runs of the same checkpoints: adapters and full weights."""
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    from overmem.auditing.opening import open_session
    from overmem.auditing.options import AuditOptions
    from overmem.auditing.resolve import resolve_options
    from overmem.checkpoints import open_run

    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    source = open_run(run)
    chosen = [item for item in source.checkpoints if item.kind == "adapter"][-checkpoints:]
    val = f"gsm8k:{data.resolve()}[:{problems}]"
    if shots:
        rows = [json.loads(line) for line in data.read_text().splitlines()]
        turns = [{"messages": asked_after(rows[-shots:], row)} for row in rows[:problems]]
        val = str((HOME / "few_shot.jsonl").resolve())
        Path(val).write_text("".join(json.dumps(row) + "\n" for row in turns))
    session = open_session(source, resolve_options(source, AuditOptions(val=val)), HOME / "unused")
    tokenizer = session.tokenizer
    with (HOME / "problems.jsonl").open("w") as out:
        for example, item in zip(
            session.problems["val"].examples, session.problems["val"].rendered, strict=True
        ):
            row = {
                "id": example.id,
                "prompt": tokenizer.decode(item.prompt_ids),
                "answer": example.answer,
            }
            assert tokenizer(row["prompt"], add_special_tokens=False)["input_ids"] == list(item.prompt_ids)
            out.write(json.dumps(row) + "\n")
    (HOME / "task.yaml").write_text(
        TASK.format(data=(HOME / "problems.jsonl").resolve(), stop=STOP, tokens=tokens)
    )
    for item in chosen:
        shutil.copytree(item.path, HOME / "adapter" / item.name)
        model = AutoPeftModelForCausalLM.from_pretrained(item.path, dtype="float32").merge_and_unload()
        model.save_pretrained(HOME / "full" / item.name)
        AutoTokenizer.from_pretrained(item.path).save_pretrained(HOME / "full" / item.name)
        shutil.copy(item.path / "trainer_state.json", HOME / "full" / item.name)
    for kind in ("adapter", "full"):
        # It says how a problem becomes a prompt: without it the audit would ask in other words than lm-eval.
        shutil.copy(source.path / "recipe.yaml", HOME / kind)
    (HOME / "settings.json").write_text(json.dumps({"val": val, "tokens": tokens}))
    print(f"{len(chosen)} checkpoints twice, {problems} problems in {HOME}")


def asked_after(examples, row):
    """A problem as a chat in which the examples were asked and answered before, the same for all problems."""
    return [
        {"role": role, "content": one[field]}
        for one in [*examples, row]
        for role, field in (("user", "question"), ("assistant", "answer"))
    ]


def settings():
    return json.loads((HOME / "settings.json").read_text())


def audit_once(kind, dtype):
    """One process: answers at every checkpoint. Prints seconds in the answering calls and the texts."""
    import overmem
    from overmem.cli.progress import quiet_libraries
    from overmem.models.engines import hf

    quiet_libraries()
    inside = timed(hf, "generate")
    out = HOME / f"out-{kind}-{os.getpid()}"
    audit = overmem.audit(
        HOME / kind, val=settings()["val"], axes="accuracy", dtype=dtype, out=out,
        max_new_tokens=settings()["tokens"],
    )  # fmt: skip
    texts = {
        record.name: {
            row["example_id"]: row["text"]
            for row in audit.store.read_rows(record.name, "generations").to_dicts()
        }
        for record in audit.manifest.checkpoints
    }
    shutil.rmtree(out)
    print("RESULT" + json.dumps({"steady": sum(inside), "texts": texts}))


def lm_eval_once(kind, dtype, name, batch, limit):
    """One process, one checkpoint, through lm-eval."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    path = (HOME / kind / name).resolve()
    given = {"pretrained": str(path)}
    if kind == "adapter":
        base = json.loads((path / "adapter_config.json").read_text())["base_model_name_or_path"]
        given = {"pretrained": base, "peft": str(path), "tokenizer": str(path)}
    model = HFLM(**given, dtype=dtype, device="cpu", batch_size=batch)
    inside = timed(HFLM, "generate_until")
    found = simple_evaluate(
        model=model,
        tasks=["same_problems"],
        task_manager=TaskManager(include_path=str(HOME.resolve()), include_defaults=False),
        limit=limit,
        log_samples=True,
        bootstrap_iters=0,
    )
    samples = found["samples"]["same_problems"]
    texts = {item["doc"]["id"]: item["resps"][0][0] for item in samples}
    print("RESULT" + json.dumps({"steady": sum(inside), "texts": {name: texts}}))


def timed(owner, name):
    """Time every call of a function from now on."""
    seconds, function = [], getattr(owner, name)

    def clocked(*args, **kwargs):
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - start)

    setattr(owner, name, clocked)
    return seconds


def process(*arguments):
    """Run this script again; seconds of the whole process, and what it found."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stderr)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    return {"wall": wall, **json.loads(line.removeprefix("RESULT"))}


def best_batch(kind, dtype, name, sizes, problems):
    """The batch size at which lm-eval answers fastest, on the first checkpoint."""
    took = {size: process("lm_eval", kind, dtype, name, size, problems)["steady"] for size in sizes}
    print(f"lm-eval, {problems} problems of {kind}/{name}, seconds by batch size: {took}", flush=True)
    return min(took, key=lambda size: took[size])


def compare(kind, rounds, sizes, tuned_on, once, dtype):
    """Rounds of an audit of all checkpoints, lm-eval over them, and (unless once) the audit again."""
    names = sorted(
        (path.name for path in (HOME / kind).glob("checkpoint-*")), key=lambda n: int(n.split("-")[1])
    )
    batch = best_batch(kind, dtype, names[0], sizes, tuned_on) if len(sizes) > 1 else sizes[0]
    ratios, steady = [], []
    for number in range(rounds):
        before = process("audit", kind, dtype)
        theirs = [process("lm_eval", kind, dtype, name, batch, 0) for name in names]
        audits = [before] if once else [before, process("audit", kind, dtype)]
        assert all(one["texts"] == before["texts"] for one in audits)
        texts = {name: one["texts"][name] for name, one in zip(names, theirs, strict=True)}
        wall, inside = sum(one["wall"] for one in theirs), sum(one["steady"] for one in theirs)
        print(f"{kind}, {dtype}, round {number + 1}: {agreement(texts, before['texts'], dtype)}")
        print(f"  lm-eval {wall:.1f} s, of which answering {inside:.1f}; {work(texts, dtype)}")
        for ours in audits:
            ratios.append(wall / ours["wall"])
            steady.append(inside / ours["steady"])
            print(
                f"  overmem {ours['wall']:.1f} s, of which answering {ours['steady']:.1f}; "
                f"{work(before['texts'], dtype)}; ratios {ratios[-1]:.2f} and {steady[-1]:.2f}",
                flush=True,
            )
    found = [f"{statistics.median(one):.2f} ({min(one):.2f} to {max(one):.2f})" for one in (ratios, steady)]
    print(
        f"| {kind}, {dtype} | {len(names)} checkpoints | lm-eval's batch {batch} | {found[0]} | {found[1]} |"
    )


def work(texts, dtype):
    """What these answers need at least: seconds of arithmetic and of memory at this machine's peaks.

    Arithmetic counts every token once (what all prompts begin with once a checkpoint, one projection to the
    vocabulary a new token); memory reads the weights once for every token of a checkpoint's longest answer,
    all rows together, and each new token's keys and values, those of the shared beginning once a step.
    """
    import torch
    from transformers import AutoConfig, AutoTokenizer

    path = next((HOME / "full").glob("checkpoint-*"))
    config, tokenizer = AutoConfig.from_pretrained(path), AutoTokenizer.from_pretrained(path)
    prompts = {
        row["id"]: tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
        for row in map(json.loads, (HOME / "problems.jsonl").read_text().splitlines())
    }
    first, *others = prompts.values()
    begin = next(i for i, token in enumerate(first) if any(one[i] != token for one in others))
    size = torch.finfo(getattr(torch, dtype)).bits // 8
    head = config.hidden_size * config.vocab_size
    width = config.hidden_size // config.num_attention_heads
    layer = 2 * config.hidden_size * (config.hidden_size + config.num_key_value_heads * width)
    body = config.num_hidden_layers * (layer + 3 * config.hidden_size * config.intermediate_size)
    keys = 2 * config.num_hidden_layers * config.num_key_value_heads * width * size
    attended = 4 * config.num_hidden_layers * config.hidden_size  # operations for each key that is looked at
    operations = read = new = 0
    for answers in texts.values():
        lengths = {
            key: len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1
            for key, text in answers.items()
        }
        new += sum(lengths.values())
        operations += 2 * body * begin + attended * begin**2 / 2
        read += max(lengths.values()) * ((body + head) * size + begin * keys)
        for key, n in lengths.items():
            own = len(prompts[key]) - begin
            operations += 2 * body * (own + n) + 2 * head * n
            operations += attended * (own + n) * (begin + (own + n) / 2)
            read += n * (own + n / 2) * keys
    flops, bandwidth = peaks(dtype)
    return (
        f"{new} new tokens need at least {operations / 1e12:.1f} TFLOP, {operations / flops:.0f} s at "
        f"{flops / 1e9:.0f} GFLOP/s, and {read / 1e9:.0f} GB, {read / bandwidth:.0f} s at "
        f"{bandwidth / 1e9:.0f} GB/s"
    )


def agreement(theirs, ours, dtype):
    """How many answers, as a grader extracts them, are the same; stops where too few are for a comparison.

    In bf16 the nearest of two tokens can change with the shape of a batch, so there it is only told.
    """
    from overmem.grading.judges import extract_math

    pairs = [(text, ours[name][key]) for name, texts in theirs.items() for key, text in texts.items()]
    same = sum(extract_math(a) == extract_math(b) for a, b in pairs)
    alike = sum(a.strip() == b.strip() for a, b in pairs)
    if dtype == "float32" and same < 0.9 * len(pairs):
        sys.exit(
            f"only {same} of {len(pairs)} extracted answers are equal: not the same work, so no comparison"
        )
    return f"{same} of {len(pairs)} extracted answers equal, {alike} whole texts"


def loaded(problems, dtype):
    """The last full checkpoint, and the first problems."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from overmem.models.decoding.stop_tokens import stop_ids

    path = max((HOME / "full").glob("checkpoint-*"), key=lambda one: int(one.name.split("-")[1]))
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype)).eval()
    rows = [json.loads(line) for line in (HOME / "problems.jsonl").read_text().splitlines()][:problems]
    prompts = [tokenizer(row["prompt"], add_special_tokens=False)["input_ids"] for row in rows]
    stops = stop_ids(model, tokenizer, tokenizer.convert_tokens_to_ids(STOP))
    return model, tokenizer, prompts, stops


def samples(rounds, k, problems, dtype):
    """K answers to each problem: one `generate` call a problem against ours, in one process."""
    import torch

    from overmem.models.decoding.sampling import Sampling
    from overmem.models.engines.hf import HfEngine

    model, tokenizer, prompts, stops = loaded(problems, dtype)
    tokens = settings()["tokens"]

    @torch.inference_mode()
    def naive():
        n = 0
        for prompt in prompts:
            written = model.generate(
                input_ids=torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                do_sample=True, temperature=0.8, top_k=0, top_p=1.0, num_return_sequences=k,
                max_new_tokens=tokens, eos_token_id=stops, pad_token_id=stops[0],
            )[:, len(prompt) :]  # fmt: skip
            ends = torch.isin(written, torch.tensor(stops)).int()
            n += int((ends.cumsum(-1) - ends == 0).sum())
        return n

    def ours():
        answers = HfEngine().generate(
            model, prompts, tokenizer, stops=stops, max_new_tokens=tokens,
            sampling=Sampling(samples=k, temperature=0.8), example_ids=[str(i) for i in range(len(prompts))],
        )  # fmt: skip
        return sum(answer.n_tokens for one in answers for answer in one)

    take_turns(ours, naive, rounds, f"k = {k}, {problems} problems, {dtype}, against `generate`")


def continuous(rounds, problems, dtype):
    """Greedy answers: the continuous batching of transformers against ours, in one process.

    Left alone it fills the machine's memory with blocks on a CPU, so it gets as many as the answers need.
    """
    from transformers import ContinuousBatchingConfig, GenerationConfig

    from overmem.models.engines.hf import HfEngine

    model, tokenizer, prompts, stops = loaded(problems, dtype)
    tokens = settings()["tokens"]
    greedily = GenerationConfig(
        max_new_tokens=tokens, do_sample=False, eos_token_id=stops, pad_token_id=stops[0]
    )
    blocks = ContinuousBatchingConfig(
        page_size=32, num_blocks=-(-(max(map(len, prompts)) + tokens) // 32) * len(prompts),
        max_batch_tokens=2048, use_cuda_graph=False, use_async_batching=False,
    )  # fmt: skip

    def theirs():
        out = model.generate_batch(prompts, generation_config=greedily, continuous_batching_config=blocks)
        return sum(len(item.generated_tokens) for item in out.values())

    def ours():
        answers = HfEngine().generate(model, prompts, tokenizer, stops=stops, max_new_tokens=tokens)
        return sum(answer.n_tokens for (answer,) in answers)

    take_turns(ours, theirs, rounds, f"{problems} problems, against continuous batching")


def shared(rounds, problems, dtype):
    """Greedy answers: what all prompts begin with kept once, against row by row, in one process."""
    import overmem.models.decoding.generation as answering
    from overmem.models.engines.hf import HfEngine

    model, tokenizer, prompts, stops = loaded(problems, dtype)
    tokens, shared_tokens = settings()["tokens"], answering.shared_tokens
    print(f"{shared_tokens(model, prompts)} tokens are shared, prompts have up to {max(map(len, prompts))}")

    def ours():
        answers = HfEngine().generate(model, prompts, tokenizer, stops=stops, max_new_tokens=tokens)
        return sum(answer.n_tokens for (answer,) in answers)

    def row_by_row():
        answering.shared_tokens = lambda *_: 0
        try:
            return ours()
        finally:
            answering.shared_tokens = shared_tokens

    take_turns(ours, row_by_row, rounds, f"{problems} problems, shared beginning against row by row")


def take_turns(ours, rival, rounds, said):
    """Seconds of both, one after the other; prints every round and the median ratio."""
    ratios = []
    for number in range(rounds):
        took = {}
        for way in (ours, rival):
            start = time.perf_counter()
            n = way()
            took[way] = time.perf_counter() - start
            print(f"round {number + 1}: {way.__name__} {took[way]:.1f} s, {n} tokens", flush=True)
        ratios.append(took[rival] / took[ours])
    print(f"| {said} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |")


def peaks(dtype):
    """What this machine can do at most: operations a second in products of matrices, bytes a second read."""
    import torch

    def best(function):
        took = []
        for _ in range(7):
            start = time.perf_counter()
            function()
            took.append(time.perf_counter() - start)
        return min(took)

    square, long = torch.randn(2048, 2048).to(getattr(torch, dtype)), torch.randn(100_000_000)
    return 2 * 2048**3 / best(lambda: square @ square), 4e8 / best(long.sum)


def floor(dtype):
    import torch

    flops, bandwidth = peaks(dtype)
    print(
        f"{torch.get_num_threads()} threads, {dtype}: {flops / 1e9:.0f} GFLOP/s, {bandwidth / 1e9:.1f} GB/s"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "do", choices=["prepare", "compare", "samples", "continuous", "shared", "floor", "audit", "lm_eval"]
    )
    parser.add_argument("given", nargs="*", help="for the processes that this script starts")
    parser.add_argument("--run", type=Path, default=Path("runs/smollm2-gsm8k"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data/gsm8k/test.jsonl"))
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--checkpoints", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=256, help="longest answer")
    parser.add_argument("--shots", type=int, default=0, help="worked examples before each problem")
    parser.add_argument("--kind", choices=["full", "adapter"], default="full")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--tuned-on", type=int, default=32, help="problems on which the batch is chosen")
    parser.add_argument("--once", action="store_true", help="no second audit after lm-eval")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of both sides")
    parser.add_argument("--k", type=int, default=16)
    options = parser.parse_args()
    if options.do == "prepare":
        prepare(
            options.run, options.data, options.problems, options.tokens, options.checkpoints, options.shots
        )
    elif options.do == "audit":
        audit_once(*options.given)
    elif options.do == "lm_eval":
        kind, dtype, name, batch, limit = options.given
        lm_eval_once(kind, dtype, name, int(batch), int(limit) or None)
    elif options.do == "compare":
        compare(options.kind, options.rounds, options.batch, options.tuned_on, options.once, options.dtype)
    elif options.do == "samples":
        samples(options.rounds, options.k, options.problems, options.dtype)
    elif options.do == "shared":
        shared(options.rounds, options.problems, options.dtype)
    elif options.do == "continuous":
        continuous(options.rounds, options.problems, options.dtype)
    else:
        floor(options.dtype)


if __name__ == "__main__":
    main()
