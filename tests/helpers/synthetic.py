"""An audited run made of numbers: artifacts of any size without a model, for tests and benchmarks.

Shape suffixes: C checkpoints, N problems, T tokens of one completion, G temperatures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from overmem.artifacts.manifest import MANIFEST_SCHEMA, Manifest
from overmem.artifacts.store import Store
from overmem.rule import Rule
from overmem.verdict.key_checkpoints import key_checkpoints

TEMPERATURES = (0.8, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5)
END = "<|end|>"
Text = Callable[[int], tuple[str, str]]
"""Prompt and completion of a problem, by its number."""
Answer = Callable[[int, float, bool], str]
"""A greedy answer, by the problem's number, how far training is (0 to 1), and whether it is right."""


def plain_text(i: int) -> tuple[str, str]:
    """A word problem of ordinary characters."""
    a, b = 12 + i % 70, 3 + i % 23
    return (
        f"Ida has {a} pens and finds {b}.\n",
        f" {a} + {b} = {a + b}, so she has {a + b} pens.\n#### {a + b}",
    )


def byte_tokenizer() -> Tokenizer:
    """One token a byte, so that a character may take several."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    return tokenizer


def write_run(
    folder: Path,
    *,
    checkpoints: int = 6,
    problems: int = 60,
    text: Text = plain_text,
    names: Sequence[str] | None = None,
    axes: bool = True,
    train: bool = True,
    samples: int = 4,
    tokenizer: bool = True,
    answer: Answer | None = None,
    seed: int = 0,
) -> Path:
    """Write the artifacts of an audit whose last checkpoint is over-memorized.

    Args:
        folder: of the run.
        checkpoints: how many.
        problems: of val, and of train.
        text: the problems.
        names: of the checkpoints; `checkpoint-100` and so on by default.
        axes: False leaves samples and continuations out, as an audit of the core does.
        train: False leaves the training data out as well.
        samples: answers to each problem.
        tokenizer: whether `tokenizer.json` lies beside the checkpoints.
        answer: what is answered greedily; the reference by default.
        seed: of all figures.

    Returns:
        `folder`.
    """
    made = _Maker(folder, problems, text, samples, answer, seed)
    names = names or [f"checkpoint-{100 * (c + 1)}" for c in range(checkpoints)]
    manifest = made.manifest(names, train=train)
    made.store.write_record("manifest", manifest)
    made.store.write_texts(made.texts(train=train))
    for c, name in enumerate(names):
        made.write(name, c / (len(names) - 1), full=False, axes=False, train=train)
    for name in key_checkpoints(made.store, Manifest.from_dict(manifest), Rule()):
        made.write(name, names.index(name) / (len(names) - 1), full=True, axes=axes, train=train)
        if axes:
            keys = next(c for c in manifest["checkpoints"] if c["name"] == name)["row_keys"]
            keys |= {"sample val": "s", "continue val": "k"} | ({"continue train": "k"} if train else {})
    made.store.write_record("manifest", manifest)
    if tokenizer:
        for name in names:
            (folder / name).mkdir(exist_ok=True)
            byte_tokenizer().save(str(folder / name / "tokenizer.json"))
    return folder


class _Maker:
    def __init__(
        self, folder: Path, n: int, text: Text, samples: int, answer: Answer | None, seed: int
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.answer = answer
        self.store, self.n, self.samples, self.seed = Store(folder / "overmem"), n, samples, seed
        self.ids = {name: [f"{name}-{i:05d}" for i in range(n)] for name in ("val", "train")}
        self.shas = {name: [f"{i:064x}" for i in range(n)] for name in ("val", "train")}
        self.pairs = {"val": [text(i) for i in range(n)], "train": [text(i + n) for i in range(n)]}
        tokenizer = byte_tokenizer()
        self.lengths = {
            name: [len(tokenizer.encode(completion + END).ids) for _, completion in pairs]
            for name, pairs in self.pairs.items()
        }

    def manifest(self, names: Sequence[str], *, train: bool) -> dict[str, Any]:
        core = {"score val": "k", "greedy val": "g"} | ({"score train": "k"} if train else {})
        splits = {
            name: {
                "set": name,
                "variant": "clean",
                "source": f"{name}.jsonl",
                "shape": "prompt/completion",
                "grader": "exact",
                "n": self.n,
                "fingerprint": "ab" * 32,
                "example_ids": self.ids[name],
                "example_shas": self.shas[name],
            }
            for name in ("val", *(["train"] if train else []))
        }
        template = {
            "kind": "auto",
            "prompt_format": "{prompt}",
            "completion_format": "{completion}",
            "system": None,
            "eos": True,
        }
        config = {"val": "val.jsonl", "train": "train.jsonl" if train else None, "limit": None, "seed": 0}
        return {
            "schema": MANIFEST_SCHEMA,
            "created": "2026-01-01T00:00:00+00:00",
            "versions": {"overmem": "0.1.0", "torch": "2.13.0"},
            "python": "3.11.7",
            "temperatures": list(TEMPERATURES),
            "device": "cpu",
            "dtype": "float32",
            "config": {**config, "template": template},
            "axes": ["likelihood", "accuracy"],
            "splits": splits,
            "base": None,
            "checkpoints": [
                {
                    "name": name,
                    "step": 100 * (c + 1),
                    "epoch": float(c + 1),
                    "kind": "full",
                    "weights": f"{c:064x}",
                    "row_keys": dict(core),
                }
                for c, name in enumerate(names)
            ],
            "cut": {},
            "skipped": {},
            "pending": [],
            "carried": [],
        }

    def texts(self, *, train: bool) -> pl.DataFrame:
        rows = [
            {"set": name, "example_id": i, "prompt": prompt, "completion": completion + END, "answer": "1"}
            for name in ("val", *(["train"] if train else []))
            for i, (prompt, completion) in zip(self.ids[name], self.pairs[name], strict=True)
        ]
        return pl.DataFrame(rows)

    def write(self, name: str, done: float, *, full: bool, axes: bool, train: bool) -> None:
        """Rows of one checkpoint; without `full`, those of likelihood have no tokens."""
        sets = ("val", *(["train"] if train else []))
        for table in ("likelihood", "generations", "continuations"):
            (self.store.root / name / f"{table}.parquet").unlink(missing_ok=True)
        for which in sets:
            self.store.append_rows(name, "likelihood", self.likelihood(which, done, full=full))
        self.store.append_rows(name, "generations", self.answers(done, 1 if not axes else self.samples + 1))
        if axes:
            for which in sets:
                self.store.append_rows(name, "continuations", self.continuations(which, done))
        for table in ("likelihood", "generations", "continuations"):
            self.store.compact_parts(name, table)

    def likelihood(self, which: str, done: float, *, full: bool) -> list[dict[str, Any]]:
        rows = []
        for i, length in enumerate(self.lengths[which]):
            rng = np.random.default_rng([self.seed, i, which == "train"])
            hard_T, gap_T = rng.random(length) < 0.15, rng.exponential(1.0, length)
            worse = 1 + 1.5 * max(0.0, done - 0.35) if which == "val" else max(0.05, 1 - done)
            nats_T = np.where(hard_T, gap_T * worse * (1 + 2 * math.exp(-9 * done)), 0.02 * gap_T)
            row = {
                "row_key": "k",
                "split": which,
                "example_id": self.ids[which][i],
                "example_sha": self.shas[which][i],
                "n_tokens": length,
                "nll_nats": float(nats_T.sum()),
            }
            rows.append(row | (_token_lists(-nats_T) if full else {}))
        return rows

    def answers(self, done: float, count: int) -> list[dict[str, Any]]:
        solved = 0.9 * (1 - math.exp(-12 * done))
        rows = []
        for i, (_, completion) in enumerate(self.pairs["val"]):
            luck = np.random.default_rng([self.seed, i, 7]).random(count)
            for k in range(count):
                right = bool(luck[0] < solved and (k == 0 or luck[k] < 1.15 - 0.3 * done))
                rows.append(
                    {
                        "row_key": "s" if k else "g",
                        "split": "val",
                        "example_id": self.ids["val"][i],
                        "example_sha": self.shas["val"][i],
                        "variant": "clean",
                        "sample": max(0, k - 1),
                        "temperature": 0.8 if k else 0.0,
                        "text": completion if k or not self.answer else self.answer(i, done, right),
                        "answer": "1" if right else "0",
                        "correct": float(right),
                        "grader": "exact",
                        "n_tokens": 9,
                        "finished": True,
                        "mean_logprob": -0.3 * (1.2 - done) * (1 + luck[0]),
                    }
                )
        return rows

    def continuations(self, which: str, done: float) -> list[dict[str, Any]]:
        rows = []
        for i, length in enumerate(self.lengths[which]):
            luck = float(np.random.default_rng([self.seed, i, 11]).random())
            compared = min(32, length - length // 2)
            known = done if which == "train" else 0.1
            same = compared if luck < known else int(compared * luck * known)
            rows.append(
                {
                    "row_key": "k",
                    "split": which,
                    "example_id": self.ids[which][i],
                    "example_sha": self.shas[which][i],
                    "n_prefix": length // 2,
                    "n_compared": compared,
                    "n_same": same,
                    "exact": same == compared,
                }
            )
        return rows


def _token_lists(logprob_T: Any) -> dict[str, Any]:
    """The per-token columns, as far as figures can be made up that hang together."""
    top1_T = logprob_T > math.log(0.4)
    best_T = np.where(top1_T, logprob_T, np.log1p(-np.exp(logprob_T)) / 3)
    scale_G = np.array([1 - 0.2 * (1 - (t - 1.3) ** 2) for t in TEMPERATURES])
    at_T_G = logprob_T[:, None] * np.where(np.array(TEMPERATURES) == 1.0, 1.0, scale_G)
    return {
        "logprob": logprob_T.tolist(),
        "entropy": (-logprob_T).tolist(),
        "is_top1": top1_T.tolist(),
        "top1_logprob": best_T.tolist(),
        "mu": logprob_T.tolist(),
        "sigma": np.ones_like(logprob_T).tolist(),
        "logprob_at_temperature": at_T_G.tolist(),
    }
