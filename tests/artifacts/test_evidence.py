"""Evidence is made of rows whose problems have texts; how it is aligned, test_session.py shows end to end."""

import polars as pl
import pytest

from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.artifacts.tables import TEXTS
from overmem.errors import ArtifactError
from tests.helpers.synthetic import write_run


@pytest.fixture
def store(tmp_path):
    return Store(write_run(tmp_path / "run", checkpoints=2, problems=8) / "overmem")


def align(store):
    manifest = read_manifest(store)
    return align_evidence([MeasuredCheckpoint(store, manifest, item.name) for item in manifest.checkpoints])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda texts: texts.filter(pl.col("set") != "val"), "lacks the texts of val"),
        (lambda texts: texts.filter(pl.col("example_id") != "train-00003"), "none of 'train-00003'"),
        (lambda texts: texts.with_columns(completion=pl.lit(None, pl.String)), "lacks the texts of"),
        (lambda texts: texts.with_columns(prompt=pl.lit(None, pl.String)), "`prompt` has empty fields"),
        (lambda texts: texts.with_columns(set=pl.lit(None, pl.String)), "`set` has empty fields"),
    ],
)
def test_problems_that_have_rows_have_their_texts(store, change, said):
    assert set(align(store)[0].texts) == {"val", "train"}
    texts = change(store.read_texts())
    texts.write_parquet(store.root / TEXTS, metadata={"schema": "overmem.texts/1"})
    with pytest.raises(ArtifactError, match=said):
        align(store)
