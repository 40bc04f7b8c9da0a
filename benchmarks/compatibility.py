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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import transformers
from benchmarks.pico_models import pico_config, randomize
from transformers import GenerationConfig
from transformers.models.auto import modeling_auto

from overmem.boundary import reason
from overmem.errors import OvermemError
from overmem.models.decoding.ways import way_of
from overmem.models.engines.hf import HfEngine
from overmem.models.likelihood.scored_logits import scoring_way
from overmem.models.likelihood.scoring import score_all
from overmem.models.loading import ModelHost
from overmem.recipe.base_model import ORGANISM
from overmem.records import Checkpoint, Run

DOCS = Path(__file__).parents[1] / "docs"
MAPPINGS = ("CAUSAL_LM", "IMAGE_TEXT_TO_TEXT", "MULTIMODAL_LM")
MOST_PARAMETERS = 20_000_000
NEW_TOKENS = 8
SEED = 0
FORGETFUL = ("moshi",)
"""Kinds whose `generate` forgets what is outside a window that their attention does not have."""
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
    """One pass over one text, nats a token; token by token behind the prompt if a pass shows what comes."""
    ids = torch.tensor([[*item.prompt_ids, *item.completion_ids]])
    first = len(item.prompt_ids) - 1
    logits = model(input_ids=ids).logits[0].float()
    if not torch.allclose(model(input_ids=ids[:, :-2]).logits[0], logits[:-2], rtol=0, atol=1e-3):
        logits = stepwise(model, ids, first)
    logprobs = torch.log_softmax(logits, -1)[first:-1]
    return -float(logprobs.gather(1, ids[0, first + 1 :, None]).mean())


class NoCache(Exception):
    """A pass shows the model what it is to predict, and it has no cache to go token by token."""


def stepwise(model: Any, ids: torch.Tensor, first: int) -> torch.Tensor:
    """Logits through the model's own cache."""
    out = model(input_ids=ids[:, : first + 1], use_cache=True)
    if all(getattr(out, name, None) is None for name in ("cache", "past_key_values")):
        raise NoCache
    rows = list(out.logits[0])
    for at in range(first + 1, ids.shape[1]):
        cache = {"past_key_values": getattr(out, "cache", None) or out.past_key_values}
        seen = torch.ones(1, at + 1, dtype=torch.long)
        out = model(input_ids=ids[:, at : at + 1], attention_mask=seen, use_cache=True, **cache)
        rows.append(out.logits[0, -1])
    return torch.stack(rows).float()


@torch.inference_mode()
def naive_answer(model: Any, item: Item, stops: list[int]) -> list[int]:
    """By `generate`, one prompt alone."""
    ids = torch.tensor([item.prompt_ids])
    unwrapped(model).generation_config = GenerationConfig()  # No forced tokens, no penalties.
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        eos_token_id=stops,
        pad_token_id=0,
    )
    return [int(token) for token in out[0, len(item.prompt_ids) :]]


@torch.inference_mode()
def greedy_by_passes(model: Any, item: Item, stops: list[int]) -> list[int]:
    """The likeliest tokens, each by one pass over all before it, without a cache."""
    written: list[int] = []
    while len(written) < NEW_TOKENS and not (written and written[-1] in stops):
        ids = torch.tensor([[*item.prompt_ids, *written]])
        written.append(int(model(input_ids=ids, use_cache=False).logits[0, -1].argmax()))
    return written


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
        if not isinstance(error, NoCache):
            return {"state": "not run", "why": f"transformers alone: {reason(error)}"}
        expected = []
    why = ""
    try:
        answers: list[list[int]] | None = [naive_answer(plain, item, stops) for item in texts]
        if plain.config.model_type in FORGETFUL:
            answers = [greedy_by_passes(plain, item, stops) for item in texts]
            why = "answers compared with passes without a cache: its own cache forgets what a pass sees"
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
    row |= {"answers": len(answers), "why": why}
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
        if type(config) is not cls.config_class:
            return {"state": "not built", "why": f"{name} has no configuration of {kind}"}
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


TARGETS = ["q_proj", "v_proj", "down_proj"]
LORA: dict[str, dict[str, Any]] = {
    "plain": {},
    "all-linear": {"target_modules": "all-linear"},
    "rsLoRA": {"use_rslora": True},
    "DoRA": {"use_dora": True},
    "PiSSA": {"init_lora_weights": "pissa"},
    "OLoRA": {"init_lora_weights": "olora"},
    "bias all": {"bias": "all"},
    "lora_bias": {"lora_bias": True},
    "rank and alpha patterns": {"rank_pattern": {"v_proj": 4}, "alpha_pattern": {"layers.1.*": 9}},
    "one layer": {"layers_to_transform": [1]},
    "regular expression": {"target_modules": r".*layers\.[02]\..*(q|down)_proj"},
    "modules_to_save": {"modules_to_save": ["embed_tokens", "lm_head"]},
    "embeddings": {"target_modules": ["embed_tokens", "q_proj"]},
    "trainable tokens": {"trainable_token_indices": [7, 8]},
    "trainable added tokens": {"trainable_token_indices": [-2, -1], "added": 2},
    "prefix of a layer": {"target_modules": ["self_attn.o_proj"]},
}
"""Settings of LoRA on a pico Llama; `added` tokens are put at the end first."""
EXPERTS: dict[str, dict[str, Any]] = {
    "all-linear": {"target_modules": "all-linear"},
    "target_parameters": {"target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]},
}
KINDS: dict[str, dict[str, Any]] = {
    "ADALORA": {"total_step": 10, "init_r": 4, "target_r": 2},
    "BOFT": {"boft_block_size": 4},
    "IA3": {"feedforward_modules": ["down_proj"]},
    "LN_TUNING": {"target_modules": ["input_layernorm"]},
    "TRAINABLE_TOKENS": {"token_indices": [7, 8], "target_modules": ["embed_tokens"]},
    "OFT": {"oft_block_size": 4, "r": 0},
    "C3A": {"block_size": 16},
    "ROAD": {"group_size": 8},
    "VBLORA": {"vector_length": 8, "num_vectors": 4},
    "WAVEFT": {"n_frequency": 32},
    "PROMPT_TUNING": {"num_virtual_tokens": 3},
    "P_TUNING": {"num_virtual_tokens": 3},
    "PREFIX_TUNING": {"num_virtual_tokens": 3},
    "ADAPTION_PROMPT": {"adapter_len": 3, "adapter_layers": 2},
    "CPT": {"cpt_token_ids": [7, 8], "cpt_mask": [1, 1], "cpt_tokens_type_mask": [1, 2]},
}
"""What kinds of PEFT need beside a rank and modules."""


def adapter_cases() -> list[tuple[str, str, dict[str, Any]]]:
    """Name, kind of model and settings of each adapter."""
    from peft import PeftType

    found = [(f"LORA {name}", "llama", {"peft_type": "LORA", **given}) for name, given in LORA.items()]
    for kind in ("mixtral", "qwen3_moe", "gpt_oss"):
        found += [(f"LORA {n} {kind}", kind, {"peft_type": "LORA", **g}) for n, g in EXPERTS.items()]
    for kind in ("gemma3", "qwen3_5", "gemma4", "qwen3_vl", "llava"):
        given = {"peft_type": "LORA", "target_modules": "all-linear"}
        found.append((f"LORA all-linear {kind}", kind, given))
    others = sorted(kind.value for kind in PeftType if kind.value != "LORA")
    return found + [(k, "llama", {"peft_type": k, **KINDS.get(k, {})}) for k in others]


def make_adapter(base: Path, cls: Any, folder: Path, given: dict[str, Any], seed: int) -> int:
    """Save a trained adapter of some settings; the number of tokens that were added."""
    from dataclasses import fields

    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, get_peft_model

    settings = dict(given)
    kind, added = PEFT_TYPE_TO_CONFIG_MAPPING[settings.pop("peft_type")], settings.pop("added", 0)
    model = cls.from_pretrained(base, dtype=torch.float32)
    rows = model.get_input_embeddings().weight.shape[0] + added
    if added:
        model.resize_token_embeddings(rows, mean_resizing=False)
        settings["trainable_token_indices"] = [rows + at for at in settings["trainable_token_indices"]]
    known = {field.name for field in fields(kind)}
    plain = {"r": 2, "lora_alpha": 6, "target_modules": TARGETS, "task_type": "CAUSAL_LM"}
    if "target_parameters" in settings:
        plain["target_modules"] = ["q_proj"]
    config = kind(**{name: value for name, value in {**plain, **settings}.items() if name in known})
    torch.manual_seed(seed)
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for value in adapted.parameters():
            if value.requires_grad and value.is_floating_point():
                value += 0.1 * torch.randn_like(value)
    adapted.save_pretrained(folder)
    return added


def adapter_row(kind: str, given: dict[str, Any], tokenizer: Any, place: Path) -> dict[str, Any]:
    """Two adapters of some settings on one base model, one after the other and the first again."""
    from peft import PeftModel

    name = dict(classes())[kind] if kind != "qwen3_5" else "Qwen3_5ForConditionalGeneration"
    cls, base = getattr(transformers, name), place / "base"
    config = pico_config(kind, len(tokenizer), int(tokenizer.eos_token_id))
    torch.manual_seed(SEED)
    randomize(cls(config)).save_pretrained(base)
    tokenizer.save_pretrained(base)
    folders = [place / "run" / f"checkpoint-{step}" for step in (1, 2)]
    expected, answers = [], []
    texts, stops = items(len(tokenizer)), [int(tokenizer.eos_token_id)]
    try:
        for seed, folder in enumerate(folders):
            added = make_adapter(base, cls, folder, given, seed)
            model = cls.from_pretrained(base, dtype=torch.float32)
            if added:
                rows = model.get_input_embeddings().weight.shape[0] + added
                model.resize_token_embeddings(rows, mean_resizing=False)
            plain = PeftModel.from_pretrained(model, folder).eval()
            expected.append([naive_nll(plain, item) for item in texts])
            answers.append([naive_answer(plain, item, stops) for item in texts])
    except Exception as error:
        return {"state": "not built", "why": reason(error.__cause__ or error)}
    checkpoints = [Checkpoint(name=f.name, step=1, path=f, kind="adapter") for f in folders]
    run = Run(path=place / "run", checkpoints=tuple(checkpoints), skipped={})
    host = ModelHost(run, device=torch.device("cpu"), dtype=torch.float32)
    row: dict[str, Any] = {"nats": 0.0, "same": 0, "answers": 3 * len(texts)}
    try:
        for at in (0, 1, 0):
            model = host.load(checkpoints[at])
            found = [-sum(s.logprob) / len(s.logprob) for s in score_all(model, texts)]
            row["nats"] = max([row["nats"], *(abs(a - b) for a, b in zip(found, expected[at], strict=True))])
            written = HfEngine(batch_tokens=120).generate(
                model, [i.prompt_ids for i in texts], tokenizer, stops=stops, max_new_tokens=NEW_TOKENS
            )
            row["same"] += sum(list(w[0].tokens) == a for w, a in zip(written, answers[at], strict=True))
    except OvermemError as error:
        return {"state": "refused", "why": str(error)}
    except Exception as error:
        return {"state": "wrong", "why": f"{type(error).__name__}: {reason(error)}"}
    row["state"] = "right" if row["nats"] <= TOLERANCE and row["same"] == row["answers"] else "wrong"
    return row


PAGE = """# Compatibility

For which models and adapters overmem gives right figures. Each was tried: our scores and answers against
those of transformers and PEFT alone, on tiny models (random weights, some ten thousand parameters), with
transformers {transformers}, PEFT {peft} and torch {torch}, on a CPU in fp32. The page is made by

```bash
python -m benchmarks.compatibility classes && python -m benchmarks.compatibility adapters
python -m benchmarks.compatibility page
```

- **NLL**: the largest difference, in nats per token, between our scores of a batch and one forward pass for
  each of {texts} texts of several lengths. Some models see the next token in a forward pass. For these the
  comparison goes token by token through their own cache.
- **answers**: how many of our greedy answers, written in one batch, equal those of `generate` with one
  prompt.
- **scored**, **written**: the way that the model allows. overmem finds it by a trial on the model itself
  ([the ways](architecture.md#modelsdecoding)).

A row is right if NLL differs by at most {tolerance:g} nats per token and all answers are equal.

## Totals

| | tried | right | refused | wrong | not built or not run |
| --- | --- | --- | --- | --- | --- |
{totals}

## Models

| kind | class | NLL | answers | scored | written |
| --- | --- | --- | --- | --- | --- |
{models}

## Adapters

Two adapters of each kind on one base model: the first, the second, and the first again. If an adapter changed
the base model, the last one would differ. The base model is a Llama, unless the row names another.

| kind | NLL | answers |
| --- | --- | --- |
{adapters}

## Refused, with a way out

| kind | message | what to do |
| --- | --- | --- |
{refused}

## Not tried

Kinds that cannot be built at the small size used here, that transformers cannot run from text alone, or that
need another package. Nothing is known about them, good or bad.

| kind | why |
| --- | --- |
{others}

## What this does not show

It does not cover trained weights, other devices and dtypes, weights in 4 or 8 bits ([tried
elsewhere](quantized.md)), or texts longer than the attention windows of a few dozen tokens used here. A tiny
model runs all the code of its class, but it is not a published checkpoint.
"""


def page(classes_found: dict[str, Any], adapters_found: dict[str, Any]) -> str:
    """docs/compatibility.md."""
    import peft

    def line(*cells: object) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    def measured(rows: dict[str, Any]) -> dict[str, Any]:
        return {key: row for key, row in sorted(rows.items()) if row["state"] in ("right", "wrong")}

    def answers(row: dict[str, Any]) -> str:
        return f"{row['same']} of {row['answers']}" if "same" in row else "does not generate"

    both = {**classes_found, **adapters_found}
    of = {state: {k: r for k, r in sorted(both.items()) if r["state"] == state} for state in STATES}
    return PAGE.format(
        transformers=transformers.__version__,
        peft=peft.__version__,
        torch=torch.__version__.partition("+")[0],
        texts=len(LENGTHS),
        tolerance=TOLERANCE,
        totals="\n".join(
            line(
                name,
                len(rows),
                *(sum(r["state"] == s for r in rows.values()) for s in STATES[:3]),
                sum(r["state"] in STATES[3:] for r in rows.values()),
            )
            for name, rows in (("classes of models", classes_found), ("kinds of adapters", adapters_found))
        ),
        models="\n".join(
            line(*key.split(), f"{row['nats']:.1e}", answers(row), *row.get("ways", ("", "")))
            for key, row in measured(classes_found).items()
        ),
        adapters="\n".join(
            line(key, f"{row['nats']:.1e}", answers(row)) for key, row in measured(adapters_found).items()
        ),
        refused="\n".join(line(key, *_refusal(row["why"])) for key, row in of["refused"].items()),
        others="\n".join(
            line(key, " ".join(row["why"].split())[:160])
            for state in STATES[3:]
            for key, row in of[state].items()
        ),
    )


STATES = ("right", "refused", "wrong", "not built", "not run")


def _refusal(said: str) -> tuple[str, str]:
    """What is wrong, with what was found, and the next step."""
    lines = [text.strip() for text in said.splitlines()]
    cure = next((text.removeprefix("next:").strip() for text in lines if text.startswith("next:")), "")
    got = next((f" ({t.removeprefix('got:').strip()})" for t in lines if t.startswith("got:")), "")
    return lines[0] + got, cure


def main() -> None:
    """Make rows, or the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["classes", "adapters", "page"])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("/tmp/overmem-compatibility"))
    parser.add_argument("--page", type=Path, default=DOCS / "compatibility.md")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    if given.what == "page":
        found = [given.out / f"{name}.json" for name in ("classes", "adapters")]
        text = page(*(json.loads(file.read_text()) if file.is_file() else {} for file in found))
        given.page.write_text(text, encoding="utf-8")
        print(text.partition("## Models")[0])
        return
    tokenizer = transformers.AutoTokenizer.from_pretrained(ORGANISM)
    file = given.out / f"{given.what}.json"
    rows: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    work: dict[str, Callable[[Path], dict[str, Any]]] = (
        {f"{k} {n}": partial(class_row, k, n, tokenizer) for k, n in classes()}
        if given.what == "classes"
        else {name: partial(adapter_row, k, g, tokenizer) for name, k, g in adapter_cases()}
    )
    for key, make in work.items():
        if (given.only and not {key, key.split()[0]} & set(given.only)) or (key in rows and not given.again):
            continue
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as place:
            rows[key] = make(Path(place))
        rows[key]["seconds"] = round(time.perf_counter() - started, 2)
        gc.collect()
        file.write_text(json.dumps(rows, indent=1))
        if rows[key]["state"] != "right" or given.only:
            print(key, json.dumps(rows[key])[:400], flush=True)
    states = [row["state"] for row in rows.values()]
    print({state: states.count(state) for state in sorted(set(states))})


if __name__ == "__main__":
    main()
