"""Open an audit: from its options to tokenizer, problems and engine, with no model in memory yet."""

from __future__ import annotations

from pathlib import Path

import torch

from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.auditing.options import AuditOptions
from overmem.auditing.problem_sets.load import load_data, load_problems
from overmem.auditing.problem_sets.problems import said_of
from overmem.auditing.run_files.training_files import find_training_file
from overmem.auditing.session import Progress, Session
from overmem.errors import DataError, RunError
from overmem.formatting import shell_word
from overmem.models.engines.address import InProcess, parse_engine
from overmem.models.engines.hf import HfEngine
from overmem.models.engines.openai import OpenAiEngine
from overmem.models.engines.protocol import Engine
from overmem.models.engines.transport import RetryPolicy
from overmem.models.engines.vllm import VllmEngine
from overmem.models.loading import ModelHost, choose_device, choose_dtype
from overmem.records import Run
from overmem.rendering.comparison import TokenCheck, compare_tokens
from overmem.rendering.proof import preview
from overmem.rendering.render import render_all
from overmem.rendering.template import Template


def open_session(
    run: Run,
    options: AuditOptions,
    out: Path | None = None,
    progress: Progress | None = None,
    device: torch.device | None = None,
) -> Session:
    """Load tokenizer and problems, and get ready to load the models.

    Args:
        run: the checkpoints.
        options: what to measure and how.
        out: artifact folder; `RUN/overmem` by default.
        progress: told after every batch.
        device: where models are loaded, when it is not for this process to choose.

    Raises:
        OvermemError: bad data, no tokenizer, an unusable device, or imported results in the same place.
    """
    store = Store.of_run(run.path, out)
    _refuse_imported(store)
    host = _host(run, options, device)
    tokenizer = host.tokenizer()
    return Session(
        run=run,
        host=host,
        tokenizer=tokenizer,
        problems=load_problems(options, tokenizer),
        options=options,
        store=store,
        progress=progress or (lambda *_: None),
        engine=make_engine(options, host),
    )


def _refuse_imported(store: Store) -> None:
    """Refuse to measure into imported results: their rows hold no tokens, which an audit's do."""
    if store.has_record("manifest") and read_manifest(store).imported is not None:
        elsewhere = shell_word(store.root.with_name("audit"))
        raise RunError(
            f"{store.root} holds results that were imported, which an audit would replace",
            expected="a folder without them",
            next_step=f"remove that folder, or write elsewhere: --out {elsewhere}",
        )


def make_engine(options: AuditOptions, host: ModelHost) -> Engine:
    """The engine that the options name; nothing is contacted or started yet.

    Raises:
        RunError: an unknown engine or a URL that cannot be used.
    """
    address = parse_engine(options.engine)
    if address is None:
        return HfEngine(options.batch_tokens)
    if isinstance(address, InProcess):
        return VllmEngine(host, address.arguments, scores=options.engine_scores)
    return OpenAiEngine(
        address,
        template=options.engine_model,
        on_demand=options.engine_on_demand,
        concurrency=options.engine_concurrency,
        scores=options.engine_scores,
        retry_policy=RetryPolicy(timeout_seconds=options.engine_timeout_seconds),
    )


def show_prompt(run: Run, options: AuditOptions) -> str:
    """The first val example exactly as it is scored, what was recognised, and what to look at in all of them.

    No model is loaded.
    """
    tokenizer = _host(run, options).tokenizer()
    problems = load_problems(options, tokenizer)
    val = problems["val"]
    told = find_training_file(run.training_folder)
    head = [*([str(told)] if told else []), *said_of(problems)]
    shown = preview(val.examples[0], val.rendered[0], tokenizer, options.template)
    return "\n".join([*head, shown])


def check_tokens(run: Run, options: AuditOptions, tokenized: str) -> TokenCheck:
    """The tokens that the audit scores beside those that training prepared, row by row; no model is loaded.

    Args:
        run: the checkpoints, whose tokenizer is taken.
        options: of the audit; its training data are compared where they are named, else val.
        tokenized: source of the rows that training prepared.

    Raises:
        DataError: data that cannot be read, or that are not tokenized.
    """
    tokenizer = _host(run, options).tokenizer()
    source = options.train or options.val
    examples = load_data(source, tokenizer, options.columns).examples
    ours = render_all(examples, tokenizer, options.template)
    prepared = load_data(tokenized, tokenizer).examples
    if any(example.tokens is None for example in prepared):
        raise DataError(
            f"{tokenized} is not tokenized",
            expected="rows with `input_ids`, and `labels` or a mask",
            next_step="give the folder or file that training prepared",
        )
    return compare_tokens(ours, render_all(prepared, tokenizer, Template()), tokenizer, source)


def _host(run: Run, options: AuditOptions, device: torch.device | None = None) -> ModelHost:
    if options.device_map is not None and options.device != "auto":
        raise RunError(
            "a model that is spread over all devices cannot be put on one of them",
            got=f"--device-map {options.device_map} with --device {options.device}",
            expected="one of the two",
            next_step="to leave devices out say which are visible, as in CUDA_VISIBLE_DEVICES=0,1",
        )
    device = device or choose_device(options.device)
    return ModelHost(
        run,
        device=device,
        device_map=options.device_map,
        dtype=choose_dtype(options.dtype, device),
        base_model=options.base_model,
        trust_remote_code=options.trust_remote_code,
        allow_pickle=options.allow_pickle,
        quantize=options.quantize,
    )
