"""Which models and adapters are right: ours against transformers and PEFT alone, at pico size.

    python -m benchmarks.compatibility classes             # every class of the installed transformers
    python -m benchmarks.compatibility adapters            # every kind of PEFT
    python -m benchmarks.compatibility page                # docs/compatibility.md from both
    python -m benchmarks.compatibility classes --only llama gemma4_text

A class is built with random weights, saved, and loaded twice: by itself, and by overmem. By itself it scores
a text in one pass without cache, padding or batch, and answers by unbatched greedy `generate`. The row says
the largest difference of the NLL, in nats a token, and how many answers are the same. A row that is there is
not made again (`--again` does). What transformers itself cannot build or run from text alone is named.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import transformers
from benchmarks.pico_models import pico_config, randomize
from transformers.models.auto import modeling_auto

from overmem.boundary import reason
from overmem.errors import OvermemError
from overmem.models.decoding.ways import way_of
from overmem.models.engines.hf import HfEngine
from overmem.models.loading import ModelHost
from overmem.models.scored_logits import scoring_way
from overmem.models.scoring import score_all
from overmem.recipe.base_model import ORGANISM
from overmem.records import Checkpoint, Run

MAPPINGS = ("CAUSAL_LM", "IMAGE_TEXT_TO_TEXT", "MULTIMODAL_LM")
MOST_PARAMETERS = 12_000_000
NEW_TOKENS = 8
SEED = 0
TOLERANCE = 1e-4
"""Nats a token, above which a row is wrong."""
LENGTHS = ((21, 9), (7, 14), (13, 3), (30, 11), (5, 6))
"""Tokens of prompts and completions."""


class Item:
    """Token ids of a prompt and its reference."""

    def __init__(self, prompt: list[int], completion: list[int]) -> None:
        self.prompt_ids, self.completion_ids = prompt, completion
        self.scored_mask = [True] * len(completion)

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


def items(vocabulary: int) -> list[Item]:
    """Texts of ordinary tokens."""
    draw = torch.Generator().manual_seed(SEED)
    found = []
    for prompt, completion in LENGTHS:
        ids = torch.randint(5, vocabulary - 70, (prompt + completion,), generator=draw).tolist()
        found.append(Item(ids[:prompt], ids[prompt:]))
    return found


@torch.inference_mode()
def naive_nll(model: Any, item: Item) -> float:
    """One pass over one text, nats a token."""
    ids = torch.tensor([[*item.prompt_ids, *item.completion_ids]])
    logits = model(input_ids=ids).logits[0].float()
    logprobs = torch.log_softmax(logits, -1)[len(item.prompt_ids) - 1 : -1]
    return -float(logprobs.gather(1, ids[0, len(item.prompt_ids) :, None]).mean())


@torch.inference_mode()
def naive_answer(model: Any, item: Item, stops: list[int]) -> list[int]:
    """By `generate`, one prompt alone."""
    ids = torch.tensor([item.prompt_ids])
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        eos_token_id=stops,
        pad_token_id=0,
    )
    return [int(token) for token in out[0, len(item.prompt_ids) :]]


def host_of(folder: Path, kind: str = "full") -> tuple[ModelHost, Checkpoint]:
    """What an audit loads it with."""
    checkpoint = Checkpoint(name=folder.name, step=1, path=folder, kind=kind)
    run = Run(path=folder.parent, checkpoints=(checkpoint,), skipped={})
    return ModelHost(run, device=torch.device("cpu"), dtype=torch.float32), checkpoint


def compare(folder: Path, plain: Any, tokenizer: Any, kind: str = "full") -> dict[str, Any]:
    """A row: ours in `folder` against a model that libraries alone have loaded."""
    texts, stops = items(len(tokenizer)), [int(tokenizer.eos_token_id)]
    try:
        expected = [naive_nll(plain, item) for item in texts]
    except Exception as error:
        return {"state": "not run", "why": f"transformers alone: {reason(error)}"}
    try:
        answers: list[list[int]] | None = [naive_answer(plain, item, stops) for item in texts]
    except Exception as error:
        answers, why = None, f"transformers alone does not generate: {reason(error)}"
    del plain
    host, checkpoint = host_of(folder, kind)
    try:
        model = host.load(checkpoint)
        found = [-sum(s.logprob) / len(s.logprob) for s in score_all(model, texts)]
        row: dict[str, Any] = {"loaded": type(unwrapped(model)).__name__}
        row["nats"] = max(abs(a - b) for a, b in zip(found, expected, strict=True))
        row["nll"] = sum(expected) / len(expected)
        row["state"] = "right" if row["nats"] <= TOLERANCE else "wrong"
        if answers is None:
            return row | {"why": why}
        prompts = [item.prompt_ids for item in texts]
        engine = HfEngine(batch_tokens=120)
        written = engine.generate(model, prompts, tokenizer, stops=stops, max_new_tokens=NEW_TOKENS)
    except OvermemError as error:
        return {"state": "refused", "why": str(error)}
    except Exception as error:
        return {"state": "wrong", "why": f"{type(error).__name__}: {reason(error)}"}
    row["same"] = sum(list(w[0].tokens) == answer for w, answer in zip(written, answers, strict=True))
    row["answers"] = len(answers)
    row["ways"] = [scoring_way(model, texts), way_of(model, prompts)]
    if row["same"] < len(answers):
        row["state"] = "wrong"
    return row


def unwrapped(model: Any) -> Any:
    """The model of transformers."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def classes() -> list[tuple[str, str]]:
    """Kinds and classes of the installed transformers that write text."""
    found = {
        (kind, name)
        for mapping in MAPPINGS
        for kind, names in getattr(modeling_auto, f"MODEL_FOR_{mapping}_MAPPING_NAMES").items()
        for name in ([names] if isinstance(names, str) else names)
    }
    return sorted(found)


def class_row(kind: str, name: str, tokenizer: Any, place: Path) -> dict[str, Any]:
    """Build a class, save it, compare."""
    try:
        cls = getattr(transformers, name)
        config = pico_config(kind, len(tokenizer), int(tokenizer.eos_token_id))
        if (
            type(config) is not cls.config_class
            and type(getattr(config, "text_config", None)) is cls.config_class
        ):
            config = config.text_config
        with torch.device("meta"):
            size = sum(p.numel() for p in cls(config).parameters())
        if size > MOST_PARAMETERS:
            return {"state": "not built", "why": f"{size} parameters after the cut"}
        torch.manual_seed(SEED)
        model = randomize(cls(config)).eval()
        model.generation_config.eos_token_id = int(tokenizer.eos_token_id)
        folder = place / "checkpoint-1"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        plain = cls.from_pretrained(folder, dtype=torch.float32).eval()
    except Exception as error:
        return {"state": "not built", "why": reason(error.__cause__ or error)}
    return compare(folder, plain, tokenizer)


def main() -> None:
    """Make rows, or the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["classes", "adapters", "page"])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("/tmp/overmem-compatibility"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(ORGANISM)
    file = given.out / f"{given.what}.json"
    rows: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    for kind, name in classes():
        key = f"{kind} {name}"
        if (given.only and kind not in given.only) or (key in rows and not given.again):
            continue
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as place:
            rows[key] = class_row(kind, name, tokenizer, Path(place))
        rows[key]["seconds"] = round(time.perf_counter() - started, 2)
        gc.collect()
        file.write_text(json.dumps(rows, indent=1))
        if rows[key]["state"] != "right" or given.only:
            print(key, json.dumps(rows[key])[:400], flush=True)
    states = [row["state"] for row in rows.values()]
    print({state: states.count(state) for state in sorted(set(states))})


if __name__ == "__main__":
    main()
