"""What becomes of PiSSA and OLoRA adapters that are saved as they are: by PEFT alone, and in an audit.

    python -m benchmarks.changed_base

The organism with an adapter of rank 16 at random factors, 8 problems of wordmath, fp32.
"""

import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

import overmem
from overmem.models.loading import ModelHost
from overmem.recipe.base_model import ORGANISM
from overmem.synthetic import wordmath


def organism(dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """The base model as it is on disk."""
    return AutoModelForCausalLM.from_pretrained(ORGANISM, dtype=dtype)


def make(folder: Path, seed: int, start: str, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """A model whose adapter has moved from its start, saved as PEFT saves it."""
    torch.manual_seed(seed)
    config = LoraConfig(
        r=16, lora_alpha=16, target_modules="all-linear", init_lora_weights=start, task_type="CAUSAL_LM"
    )
    model = get_peft_model(organism(dtype), config)
    with torch.no_grad():
        for value in model.parameters():
            if value.requires_grad:
                value += 0.01 * torch.randn_like(value)
    model.save_pretrained(folder)
    return model


def main() -> None:
    """Print NLL and the largest difference of a logit for each way to load such an adapter."""
    tokenizer = AutoTokenizer.from_pretrained(ORGANISM)
    texts = [example.prompt + example.completion for example in wordmath.load_split("val", 8)]
    problems = [torch.tensor([tokenizer(text)["input_ids"]]) for text in texts]

    def logits(model: torch.nn.Module) -> list[torch.Tensor]:
        with torch.no_grad():
            return [model.eval()(input_ids=ids).logits.float() for ids in problems]

    def nll(model: torch.nn.Module) -> float:
        rows = zip(logits(model), problems, strict=True)
        losses = [torch.nn.functional.cross_entropy(row[0, :-1], ids[0, 1:]) for row, ids in rows]
        return float(torch.stack(losses).mean())

    def report(what: str, found: torch.nn.Module, right: torch.nn.Module) -> None:
        pairs = zip(logits(found), logits(right), strict=True)
        largest = max(float((one - other).abs().max()) for one, other in pairs)
        print(f"{what:44}  NLL {nll(found):.4f}, right {nll(right):.4f}; largest difference {largest:.1e}")

    with tempfile.TemporaryDirectory() as place:
        run = Path(place)
        tokenizer.save_pretrained(run)
        starts = ("pissa", "olora", "pissa_niter_4", "pissa_niter_16")
        trained = {start: make(run / f"checkpoint-{i}", i, start) for i, start in enumerate(starts, 1)}
        for i, start in enumerate(starts, 1):
            report(
                f"PEFT, {start}",
                PeftModel.from_pretrained(organism(), run / f"checkpoint-{i}"),
                trained[start],
            )
        swapped = PeftModel.from_pretrained(organism(), run / "checkpoint-1", adapter_name="one")
        swapped.load_adapter(run / "checkpoint-2", adapter_name="two")
        swapped.set_adapter("two")
        swapped.delete_adapter("one")
        report("PEFT, pissa swapped for olora", swapped, trained["olora"])
        in_bf16 = make(run / "checkpoint-9", 9, "pissa", torch.bfloat16).float()
        opened = overmem.open_run(run)
        host = ModelHost(opened, device=torch.device("cpu"), dtype=torch.float32)
        for checkpoint, start in zip(opened.checkpoints[:2], starts[:2], strict=True):
            report(f"overmem, {start}", host.load(checkpoint), trained[start])
        report("overmem, pissa trained over bf16 weights", host.load(opened.checkpoints[-1]), in_bf16)


if __name__ == "__main__":
    main()
