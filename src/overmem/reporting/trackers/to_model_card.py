"""A verdict on a model card: `model-index` in the front matter of README.md, and the report below a mark.

What others wrote on the card stays; what overmem wrote before is replaced.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from overmem.artifacts.files import write_text_atomic
from overmem.boundary import library_call
from overmem.errors import RunError
from overmem.records import CheckpointSummary
from overmem.reporting.trackers.published import Published, load

START, END = "<!-- overmem: start -->", "<!-- overmem: end -->"
SOURCE = "overmem"
_SECTION = re.compile(re.escape(START) + ".*?" + re.escape(END) + "\n?", re.DOTALL)


def push(published: Published, folder: str | None) -> str:
    """Write the README.md of a model's folder.

    Args:
        published: the verdict.
        folder: of the model; by default that of the checkpoint to ship.

    Returns:
        The file.

    Raises:
        RunError: no checkpoint is shipped and no folder is named, or there is no such folder.
    """
    chosen = described(published)
    target = Path(folder) if folder is not None else published.run / chosen.name
    if not target.is_dir():
        raise RunError("no such folder of a model", got=target, next_step="name it: --push card:FOLDER")
    path = target / "README.md"
    card = path.read_text(encoding="utf-8") if path.is_file() else ""
    write_text_atomic(path, with_verdict(card, published, chosen))
    return str(path)


def push_to_hub(published: Published, repo: str | None) -> str:
    """Put the same on the card of a model on the hub.

    Args:
        published: the verdict.
        repo: `USER/NAME`.

    Returns:
        Where it is now.

    Raises:
        RunError: no repository is named, it cannot be reached, or may not be written to.
    """
    hub = load("huggingface_hub", "dev")
    if not repo or repo.count("/") != 1:
        raise RunError("which model on the hub?", got=repo or "none", expected="--push hub:USER/NAME")
    api, errors = hub.HfApi(), load("huggingface_hub.errors", "dev")
    with library_call(f"the card of {repo} cannot be written", RunError, next_step="hf auth login"):
        try:
            read = Path(api.hf_hub_download(repo, "README.md")).read_text(encoding="utf-8")
        except errors.EntryNotFoundError:
            read = ""
        card = with_verdict(read, published, described(published))
        answer = api.upload_file(
            path_or_fileobj=card.encode(),
            path_in_repo="README.md",
            repo_id=repo,
            commit_message="Add the verdict of overmem",
        )
    return str(answer)


def described(published: Published) -> CheckpointSummary:
    """The checkpoint whose figures the card has: the one to ship.

    Raises:
        RunError: none is recommended.
    """
    chosen = published.verdict.recommended
    found = [item for item in published.verdict.checkpoints if chosen and item.name == chosen.name]
    if not found:
        raise RunError(
            "no checkpoint is recommended, so there is no model to write a card of",
            got=published.verdict.reason or "no recommendation",
            next_step="overmem report --format md writes the verdict as Markdown",
        )
    return found[0]


def with_verdict(card: str, published: Published, chosen: CheckpointSummary) -> str:
    """A card with the verdict on it.

    Args:
        card: README.md as it is; empty for none.
        published: the verdict.
        chosen: whose figures count.

    Raises:
        RunError: the front matter cannot be read.
    """
    hub = load("huggingface_hub", "dev")
    whole = card if card.lstrip().startswith("---") else f"---\n{{}}\n---\n{card}"
    with library_call("the model card cannot be read", RunError, next_step="mend its front matter"):
        found: Any = hub.ModelCard(whole, ignore_metadata_errors=False)
    found.data.model_name = found.data.model_name or published.title
    kept = [item for item in found.data.eval_results or [] if item.source_name != SOURCE]
    found.data.eval_results = [*kept, *results(published, chosen)]
    text = _SECTION.sub("", found.text).rstrip()
    found.text = f"{text}\n\n{START}\n{published.markdown.rstrip()}\n{END}\n".lstrip()
    with library_call("the model card cannot be written", RunError):
        return str(found)


def results(published: Published, chosen: CheckpointSummary) -> list[Any]:
    """The figures of a checkpoint as the hub's `model-index` has them."""
    hub, source = load("huggingface_hub", "dev"), _data(published)
    figures = {"accuracy": chosen.accuracy, "perplexity": chosen.perplexity}
    return [
        hub.EvalResult(
            task_type="text-generation",
            dataset_type=re.sub(r"[^\w.-]+", "-", source).strip("-") or "val",
            dataset_name=source,
            metric_type=name,
            metric_value=round(estimate.value, 6),
            # What was chosen on these problems looks a little better on them than it is.
            metric_name=f"{name} on the {estimate.n} problems that chose this checkpoint",
            source_name=SOURCE,
            source_url="https://arxiv.org/abs/2508.04117",
        )
        for name, estimate in figures.items()
        if math.isfinite(estimate.value) and estimate.reason is None
    ]


def _data(published: Published) -> str:
    read = published.verdict.references
    return read.source if read is not None else "val"
