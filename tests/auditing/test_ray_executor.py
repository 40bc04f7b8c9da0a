"""Sharing out checkpoints: what becomes of work whose worker fails, on a stand-in for Ray."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from overmem.auditing.executor import WorkItem
from overmem.auditing.ray_executor import RayExecutor, Worker
from overmem.errors import CheckpointError, DataError, RunError, WeightsChangedError, WorkerError
from overmem.records import Checkpoint
from overmem.workers import ray_pool
from overmem.workers.ray_pool import RayPool


class Lost(Exception):
    pass


class Bug(Lost):
    pass


class FakeRay:
    """Calls run at once; `script(call, worker)` says what comes of each, a `Lost` being raised by `get`."""

    exceptions = SimpleNamespace(RayError=Lost, RayTaskError=Bug)

    def __init__(self, script):
        self.script, self.results, self.killed, self.hired = script, {}, [], 0

    def remote(self, kind):
        def make():
            if kind.__name__ == "Worker":
                self.hired += 1
            number = self.hired

            class Handle:
                def __getattr__(handle, name):
                    return SimpleNamespace(remote=lambda *given: self.call(name, number, given))

            return Handle()

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=make))

    def call(self, name, worker, given):
        reference = object()
        work = given[0].checkpoint.name if name == "do" else name
        found = [] if name == "drain" else self.script(work, worker)
        self.results[reference] = "weights" if name == "do" and found is None else found
        return reference

    def wait(self, references, num_returns, timeout):
        return references[:1], references[1:]

    def get(self, reference, timeout=None):
        found = self.results[reference]
        if isinstance(found, Lost):
            raise found
        return found

    def kill(self, worker):
        self.killed.append(worker)

    def available_resources(self):
        return {"CPU": 0.0}


def items(*names):
    return [
        WorkItem(checkpoint=Checkpoint(name=name, step=1, path=Path(name), kind="full"), jobs=())
        for name in names
    ]


def crew(script, workers=2):
    ray = FakeRay(script)
    pool = RayPool(ray, Worker, None, resources={"num_cpus": 1}, workers=workers, on_update=lambda *_: None)
    return ray, RayExecutor(SimpleNamespace(weights=SimpleNamespace(fingerprint=lambda _: "weights")), pool)


def test_every_item_is_done_once_and_a_broken_checkpoint_keeps_nobody_from_work():
    broken = CheckpointError("it holds NaN")
    _, found = crew(lambda work, _: broken if work == "b" else None)
    done = {checkpoint.name: error for checkpoint, error in found.do(items("a", "b", "c", "d"))}
    assert done == {"a": None, "b": broken, "c": None, "d": None}
    # The same workers do what comes later.
    assert [c.name for c, _ in found.do(items("e"))] == ["e"]


def test_a_checkpoint_that_the_driver_sees_with_other_weights_is_named():
    _, found = crew(lambda work, _: "other weights" if work == "b" else None)
    errors = {checkpoint.name: error for checkpoint, error in found.do(items("a", "b"))}
    assert errors["a"] is None
    assert isinstance(errors["b"], WeightsChangedError) and "b changed while it was measured" in str(
        errors["b"]
    )


def test_the_work_of_a_lost_worker_is_taken_up_by_another():
    deaths = []

    def script(work, worker):
        if work == "b" and len(deaths) < 2:
            deaths.append(worker)
            return Lost("killed")
        return None

    ray, found = crew(script)
    assert sorted(c.name for c, _ in found.do(items("a", "b", "c"))) == ["a", "b", "c"]
    assert len(set(deaths)) == 2 and ray.hired == 4 and len(ray.killed) == 2


def test_a_checkpoint_that_ends_every_worker_is_named():
    _, found = crew(lambda work, _: Lost("out of memory") if work == "b" else None)
    with pytest.raises(WorkerError, match=r"lost at b[\s\S]*out of memory[\s\S]*--batch-tokens"):
        list(found.do(items("a", "b")))


def test_what_no_other_worker_could_do_better_stops_the_audit():
    _, found = crew(lambda work, _: DataError("too long") if work == "b" else None)
    with pytest.raises(DataError, match="too long"):
        list(found.do(items("a", "b", "c")))
    _, found = crew(lambda work, _: RunError("not seen") if work == "open" else None)
    with pytest.raises(RunError, match="not seen"):
        list(found.do(items("a")))
    _, found = crew(lambda work, _: Bug("a mistake of ours") if work == "a" else None)
    with pytest.raises(Bug):
        list(found.do(items("a")))


def test_workers_that_never_start(monkeypatch):
    _, found = crew(lambda work, _: Lost("No module named overmem") if work == "open" else None)
    with pytest.raises(WorkerError, match=r"cannot start[\s\S]*No module[\s\S]*every node"):
        list(found.do(items("a")))
    ray, found = crew(lambda *_: None)
    ray.wait = lambda references, **_: ([], references)
    monkeypatch.setattr(ray_pool, "START_SECONDS", 0.01)
    with pytest.raises(WorkerError, match="num_cpus=1"):
        list(found.do(items("a")))
