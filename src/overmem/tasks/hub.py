"""Data sets of the Hugging Face hub, through `datasets`, which takes a second of a processor to import.

With the hub off, a name that was never downloaded is refused before that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from overmem.errors import DataError
from overmem.tasks.formats.tables import dataset_rows
from overmem.tasks.known_datasets import KNOWN

_NEXT = "download it once and give the local file instead (JSONL, Parquet, CSV, ...)"


def hub_rows(hub_id: str, config: str | None, split: str | None) -> Iterator[tuple[str, Any]]:
    """Rows of a hub data set; any failure there becomes one message.

    Args:
        hub_id: `OWNER/NAME`.
        config: its configuration; the one that is known of it by default.
        split: `[CONFIG/]SPLIT`; needed where there are several.

    Raises:
        DataError: it cannot be loaded, or has several splits and none is named.
    """
    if split is not None and "/" in split:
        config, _, split = split.partition("/")
    if config is None:
        config = next((known.config for known in KNOWN.values() if known.hub_id == hub_id), None)
    if _is_off() and not _was_downloaded(hub_id):
        raise _cannot_load(hub_id, split, "the hub is off (HF_HUB_OFFLINE), and it was never downloaded here")
    try:
        import datasets

        if split is None:
            splits = [str(name) for name in datasets.get_dataset_split_names(hub_id, config)]
            if len(splits) != 1:
                raise DataError(
                    f"which split of {hub_id}?",
                    expected=", ".join(splits),
                    next_step=f"write {hub_id}#{splits[0] if splits else 'train'}",
                )
            split = splits[0]
        return dataset_rows(datasets.load_dataset(hub_id, config, split=split))
    except DataError:
        raise
    except Exception as error:  # network, authentication, unknown id, split or config
        reason = str(error).strip().split("\n")[0]
        raise _cannot_load(hub_id, split, f"{type(error).__name__}: {reason[:200]}") from error


def _cannot_load(hub_id: str, split: str | None, why: str) -> DataError:
    named = hub_id if split is None else f"{hub_id} (split {split})"
    return DataError(f"cannot load {named} from the Hugging Face hub", got=why, next_step=_NEXT)


def _is_off() -> bool:
    """Whether `datasets` would not ask the hub; its own setting goes before the hub's."""
    from huggingface_hub import constants

    own = os.environ.get("HF_DATASETS_OFFLINE")
    return constants.HF_HUB_OFFLINE if own is None else own.upper() in constants.ENV_VARS_TRUE_VALUES


def _was_downloaded(hub_id: str) -> bool:
    """Whether one of the two caches has a folder of that name; what it holds is for `datasets` to say."""
    from huggingface_hub import constants

    own = os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets"
    names = {_letters(hub_id), _letters(f"datasets{hub_id}")}
    return any(
        _letters(folder.name) in names
        for cache in (Path(own).expanduser(), Path(constants.HF_HUB_CACHE).expanduser())
        if cache.is_dir()
        for folder in cache.iterdir()
    )


def _letters(name: str) -> str:
    """A name without what either cache writes in the place of `/` and of capitals."""
    return "".join(filter(str.isalnum, name)).lower()
