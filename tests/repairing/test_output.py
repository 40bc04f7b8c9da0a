"""Where a repaired model goes, also after a repair that was killed on the way there."""

from types import SimpleNamespace

import pytest

from overmem.artifacts.store import Store
from overmem.errors import StorageError
from overmem.records import Checkpoint
from overmem.repairing import output
from overmem.repairing import run as repair_run
from overmem.repairing.output import add_proof, clear_earlier, save_model, settle


def model(folder):
    folder.mkdir()
    (folder / "README.md").write_text("# A merge\n\nHow it was made.\n")
    return folder


class Record(SimpleNamespace):
    def to_dict(self):
        return {"words": self.words}


def record(words):
    return Record(
        words=(words,),
        proof=None,
        n_search=1,
        n_confirm=2,
        before="checkpoint-1",
        model={"name": "m"},
        retraining=None,
    )


def test_a_card_has_one_proof_however_often_it_is_written(tmp_path):
    card = model(tmp_path / "m") / "README.md"
    for words in ("The first.", "The second."):
        add_proof(card.parent, record(words))
    text = card.read_text()
    assert text.startswith("# A merge\n\nHow it was made.\n") and text.count(output.PROOF) == 1
    assert "The second." in text and "The first." not in text


def test_an_earlier_model_that_was_set_aside_when_the_repair_was_killed_is_cleared(tmp_path):
    target, aside = tmp_path / "repaired", tmp_path / ".repaired.old"
    for proved in (True, False):
        model(aside)
        made = Checkpoint(name="m", step=1, path=tmp_path / "m", kind="full") if proved else None
        if made is not None:
            model(made.path)
        found = record("Words.") if proved else Record(model=None, retraining=None)
        settle(found, made, target, replace=True)
        assert target.exists()
        clear_earlier(found, tmp_path, target)
        assert target.exists() == proved and not aside.exists()


def test_a_place_of_ones_own_is_not_cleared_where_nothing_was_proved(tmp_path):
    settle(record("Words."), None, model(tmp_path / "mine"), replace=False)
    clear_earlier(Record(model=None, retraining=None), tmp_path, None)
    assert (tmp_path / "mine" / "README.md").is_file()
    save_model(tmp_path / "mine", tmp_path / "copy", replace=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "mine"]


def test_a_repair_whose_record_cannot_be_saved_takes_nothing_away(tmp_path, monkeypatch):
    def full(*arguments):
        raise StorageError("the disk is full")

    (tmp_path / "repaired").mkdir()
    (tmp_path / "retrain.yaml").touch()
    trials = SimpleNamespace(folder=tmp_path / "trials")
    trials.folder.mkdir()
    setup = SimpleNamespace(store=Store(tmp_path))
    nothing = SimpleNamespace(model=None, retraining=None, to_dict=dict)
    found = SimpleNamespace(model=None, trials=trials)
    steps = {"search": found, "measure_proof": None, "_minutes_left": None, "make_record": nothing}
    for name, value in steps.items():
        monkeypatch.setattr(repair_run, name, lambda *a, value=value: value)
    with monkeypatch.context() as patched, pytest.raises(StorageError):
        patched.setattr(Store, "write_record", full)
        repair_run._carry_out(setup, None, None, None)
    assert {path.name for path in tmp_path.iterdir()} == {"repaired", "retrain.yaml", "trials"}
    repair_run._carry_out(setup, None, None, None)
    assert {path.name for path in tmp_path.iterdir()} == {"repair.json"}
