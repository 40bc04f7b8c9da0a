"""Rows of Parquet and Arrow files, and of folders that `datasets` saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from overmem.errors import DataError
from overmem.tasks.formats.opening import shorten

_BATCH_ROWS = 1024
_ARROW_FILE = b"ARROW1"


def parquet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Rows of a Parquet file, read as they are asked for."""
    import pyarrow.parquet

    def batches() -> Iterator[Any]:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield from file.iter_batches(_BATCH_ROWS)

    return _batch_rows(path, batches(), "Parquet")


def arrow_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Rows of an Arrow IPC file, in the stream or in the file format."""
    import pyarrow

    def batches() -> Iterator[Any]:
        with pyarrow.OSFile(str(path)) as file:
            is_file = file.read(len(_ARROW_FILE)) == _ARROW_FILE
            file.seek(0)
            if not is_file:
                yield from pyarrow.ipc.open_stream(file)
                return
            reader = pyarrow.ipc.open_file(file)
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)

    return _batch_rows(path, batches(), "Arrow")


def is_saved_dataset(folder: Path) -> bool:
    """Whether `datasets` wrote a folder (`save_to_disk`)."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def saved_rows(folder: Path, split: str | None) -> Iterator[tuple[str, Any]]:
    """Rows of a folder that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote.

    Raises:
        DataError: it cannot be loaded, has several splits and none is named, or lacks the one that is.
    """
    import datasets

    try:
        saved = datasets.load_from_disk(str(folder))
    except Exception as error:  # of many kinds, by what is missing or damaged
        reason = f"{type(error).__name__}: {str(error).strip() or 'no reason given'}".split("\n")[0]
        raise DataError(
            f"{folder} is not a readable folder of `save_to_disk`", got=shorten(reason, 200)
        ) from error
    if isinstance(saved, datasets.DatasetDict):
        names = [str(name) for name in saved]
        if split is None and len(names) == 1:
            split = names[0]
        if split not in names:
            raise DataError(
                f"which split of {folder}?" if split is None else f"{folder} has no split `{split}`",
                expected=", ".join(names),
                next_step=f"write {folder}#{names[0]}" if names else "",
            )
        saved = saved[split]
    elif split is not None:
        raise DataError(f"{folder} has no splits", got=f"#{split}", next_step="drop the `#` part")
    return dataset_rows(saved)


def dataset_rows(dataset: Any) -> Iterator[tuple[str, Any]]:
    """Rows of a `datasets.Dataset`; images are not opened, as whether there is one is all that is asked."""
    import datasets

    for name, feature in (getattr(dataset, "features", None) or {}).items():
        if isinstance(feature, datasets.Image):
            dataset = dataset.cast_column(name, datasets.Image(decode=False))
    return ((f"row {index}", row) for index, row in enumerate(dataset))


def _batch_rows(path: Path, batches: Iterator[Any], format_name: str) -> Iterator[tuple[str, Any]]:
    index = 0
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                break
            if len(set(batch.schema.names)) < len(batch.schema.names):
                raise DataError(f"{path} has a column twice", got=", ".join(batch.schema.names))
            records = batch.to_pylist()
        except DataError:
            raise
        except Exception as error:  # pyarrow raises many kinds for a damaged file
            reason = str(error).strip().split("\n")[0]
            raise DataError(f"{path} is not a readable {format_name} file", got=shorten(reason)) from error
        for record in records:
            yield f"row {index}", record
            index += 1
    if not index:
        raise DataError(f"{path} has no rows", expected="at least one example")
