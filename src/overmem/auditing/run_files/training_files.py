"""What LLaMA-Factory and Axolotl leave in a run folder of how its data were prepared: template, data, cutoff.

The cutoff is taken over. A template is only named: whose code runs is said on the command line, never read
from a folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overmem.parsing import ParseError, parse_yaml, read_whole_text

_EMBEDDED = re.compile(r"axolotl version: `[^`]*`\s*```yaml\n(?P<text>.*?)\n```", re.DOTALL)
"""Axolotl's configuration in the model card that it writes."""


@dataclass(frozen=True, kw_only=True)
class TrainingFile:
    """What one file of a run folder says of its training."""

    framework: str
    path: Path
    template: str | None
    """The `--template` that renders as training did, with the framework installed."""
    max_length: int | None
    """Tokens after which rows were cut."""
    base_model: str | None = None
    """The model that training started from, a hub id or a folder."""
    data: tuple[str, ...] = ()
    """Names of the training data, as the framework knows them."""
    prepared: str | None = None
    """Folder with the data as they were tokenized."""
    train_source: str | None = None
    """The training data as a source that overmem reads, where the file says enough of them."""
    val_source: str | None = None
    """Likewise of the data that it was evaluated on."""

    def __str__(self) -> str:
        """A line or two for the terminal."""
        cut = f", rows cut after {self.max_length} tokens" if self.max_length else ""
        named = f", data {', '.join(self.data)}" if self.data else ""
        lines = [f"{self.path.name} says that {self.framework} trained this run{named}{cut}"]
        if self.prepared is not None:
            lines.append(f"its tokens are in {self.prepared}: give that as --train, or as --check-tokens")
        elif self.template is not None:
            lines.append(
                f"it renders by code of its own; to score exactly its tokens: --template {self.template}"
            )
        return "\n".join(lines)


def find_training_file(run_path: Path) -> TrainingFile | None:
    """The first file of a run folder that says how its data were prepared; None where none does."""
    for path, settings in _settings(run_path):
        if found := _llamafactory(path, settings) or _axolotl(path, settings):
            return found
    return None


def _settings(run_path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """YAML records of the folder, and the one inside Axolotl's model card."""
    files = sorted(file for kind in ("*.yaml", "*.yml", "README.md") for file in run_path.glob(kind))
    for file in files:
        try:
            text = read_whole_text(file)
            if file.name == "README.md":
                match = _EMBEDDED.search(text)
                text = match["text"] if match else ""
            found = parse_yaml(text)
        except (OSError, ParseError):
            continue  # no configuration of theirs
        if isinstance(found, Mapping):
            yield file, found


def _llamafactory(path: Path, settings: Mapping[str, Any]) -> TrainingFile | None:
    if not {"model_name_or_path", "stage"} <= set(settings) or "template" not in settings:
        return None
    template = settings["template"]
    names = settings.get("dataset")
    return TrainingFile(
        framework="LLaMA-Factory",
        path=path,
        template=f"llamafactory:{template}" if isinstance(template, str) and template else None,
        max_length=_positive(settings.get("cutoff_len")),
        base_model=_text(settings.get("model_name_or_path")),
        data=tuple(name.strip() for name in names.split(",")) if isinstance(names, str) else (),
        prepared=_text(settings.get("tokenized_path")),
        train_source=_described(settings, "dataset"),
        val_source=_described(settings, "eval_dataset"),
    )


def _axolotl(path: Path, settings: Mapping[str, Any]) -> TrainingFile | None:
    datasets = settings.get("datasets")
    if "base_model" not in settings or not isinstance(datasets, list):
        return None
    named = tuple(str(item["path"]) for item in datasets if isinstance(item, Mapping) and item.get("path"))
    return TrainingFile(
        framework="Axolotl",
        path=path,
        template=f"axolotl:{path if path.suffix in ('.yaml', '.yml') else 'CONFIG'}",
        max_length=_positive(settings.get("sequence_len")),
        base_model=_text(settings.get("base_model")),
        data=named,
        prepared=_text(settings.get("dataset_prepared_path")),
        train_source=_named_by_axolotl(datasets),
        val_source=_named_by_axolotl(settings.get("test_datasets")),
    )


def _described(settings: Mapping[str, Any], key: str) -> str | None:
    """The one data set that LLaMA-Factory's description, where it is on this machine, has under a name."""
    name, folder = settings.get(key), _text(settings.get("dataset_dir")) or "data"
    description = Path(folder) / "dataset_info.json"
    one = isinstance(name, str) and bool(name) and "," not in name
    return f"{description}#{name}" if one and description.is_file() else None


def _named_by_axolotl(datasets: object) -> str | None:
    """The one data set of a list of Axolotl's: a file, or a hub id with its split."""
    if not isinstance(datasets, list) or len(datasets) != 1 or not isinstance(datasets[0], Mapping):
        return None
    found = datasets[0]
    path = _text(found.get("data_files")) or _text(found.get("path"))
    if path is None or Path(path).exists():
        return path
    split = _text(found.get("split"))
    return path if split is None else f"{path}#{split}"


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 1 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
