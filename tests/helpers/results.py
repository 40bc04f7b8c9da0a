"""Results of other evaluation tools, in the form in which their releases write them."""

import json
from pathlib import Path

import numpy as np

from tests.helpers.safetensors_files import safetensors

STEPS = (100, 200, 300, 400)


def write_checkpoints(run: Path, losses=None, steps=STEPS, of_language=True) -> Path:
    """A run's folders, with a log of eval_loss where that is given, of SFT or of something unknown."""
    more = {"eval_mean_token_accuracy": 0.8} if of_language else {}
    history = [
        {"step": s, "epoch": s / 100, "eval_loss": x, **more}
        for s, x in zip(steps, losses or [], strict=False)
    ]
    for step in steps:
        folder = run / f"checkpoint-{step}"
        safetensors(folder / "model.safetensors")
        state = {"global_step": step, "epoch": step / 100, "log_history": history}
        (folder / "trainer_state.json").write_text(json.dumps(state))
    return run


def planted(n=200, seed=0, accuracy=(0.6, 0.9, 0.9, 0.9), nll=(0.5, 0.4, 0.5, 0.7)):
    """correct (C, N) and NLL (C, N) of a run that over-memorizes, references of 20 tokens."""
    rng = np.random.default_rng(seed)
    level_N, spread_N = rng.random(n), rng.gamma(4, 0.25, n)
    correct = np.array([(level_N < a).astype(float) for a in accuracy])
    return correct, np.array([x * 20 * spread_N for x in nll])


def lm_eval_sample(at, figure, *, scored=None, prompt=None, filter="none", metric="exact_match", sha=None):
    """One line of a samples file of lm-eval 0.4.13; `scored` is the NLL of a reference, else an answer."""
    prompt = prompt or f"Question {at}?\nAnswer:"
    reference = f" It is {at}."
    doc = {"id": f"q{at}", "question": prompt, "reference": reference}
    line = {
        "doc_id": at, "doc": doc, "target": str(at) if scored is None else reference, "filter": filter,
        "doc_hash": sha or f"hash-{at}", "prompt_hash": f"asked {prompt}", "target_hash": "t",
    }  # fmt: skip
    if scored is None:
        asked = {"gen_args_0": {"arg_0": prompt, "arg_1": {"until": ["\n"]}}}
        return line | {
            "arguments": asked, "resps": [[" text"]], "filtered_resps": ["text"], "metrics": [metric],
            metric: figure,
        }  # fmt: skip
    asked = {"gen_args_0": {"arg_0": prompt, "arg_1": reference}}
    return line | {
        "arguments": asked, "resps": [[[str(-scored), "False"]]], "metrics": ["acc"], "acc": 0,
        "filtered_resps": [[str(-scored), "False"]],
    }  # fmt: skip


def write_lm_eval(out: Path, model: str, tasks, *, version=1, shots=5, date="2026-11-29T21-00-00.1"):
    """An output folder of lm-eval for one model.

    Args:
        out: `--output_path`.
        model: `pretrained=`.
        tasks: by name the output type, and the lines of samples or (accuracy, n) alone.
    """
    folder = out / model.replace("/", "__")
    folder.mkdir(parents=True, exist_ok=True)
    results, counts = {}, {}
    for name, (_, samples) in tasks.items():
        if isinstance(samples, tuple):
            accuracy, n = samples
        else:
            n, accuracy = len(samples), 0.5
            text = "".join(json.dumps(line) + "\n" for line in samples)
            (folder / f"samples_{name}_{date}.jsonl").write_text(text)
        results[name] = {"alias": name, "exact_match,none": accuracy, "exact_match_stderr,none": 0.01}
        counts[name] = {"original": n, "effective": n}
    configs = {name: {"task": name, "output_type": kind} for name, (kind, _) in tasks.items()}
    record = {
        "results": results, "configs": configs,
        "versions": dict.fromkeys(tasks, version), "n-shot": dict.fromkeys(tasks, shots), "n-samples": counts,
        "config": {"model": "hf", "model_args": {"pretrained": model, "dtype": "float32"}},
        "lm_eval_version": "0.4.13", "model_name": model, "chat_template_sha": None, "date": 1795987289.9,
    }  # fmt: skip
    path = folder / f"results_{date}.json"
    path.write_text(json.dumps(record))
    return path


def write_tokenizer(folder: Path) -> Path:
    """A tokenizer of one token a word or mark."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
