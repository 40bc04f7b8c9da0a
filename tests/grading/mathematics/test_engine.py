"""math-verify in a process of its own: what hangs is ended, what dies is started again.

Covers: overmem.grading.mathematics.engine_worker
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
import sympy

from overmem.errors import GradeError
from overmem.grading.mathematics import engine
from overmem.grading.mathematics.engine_worker import agree
from tests.helpers.planted import plant_code

x, n = sympy.symbols("x n")


def test_it_compares() -> None:
    assert engine.verify("2\\sqrt{3}", "\\sqrt{12}")
    assert not engine.verify("2\\sqrt{3}", "\\sqrt{13}")


def test_what_takes_too_long_is_not_the_same_and_the_next_is_compared() -> None:
    started = time.monotonic()
    assert not engine.verify("1", "\\sum_{k=1}^{99999999} \\sin(k^{k})")
    assert time.monotonic() - started < 60
    assert engine.verify("\\frac{1}{2}", "\\frac{2}{4}")


def test_it_imports_nothing_of_the_current_folder(tmp_path, monkeypatch) -> None:
    for name in ("json", "sympy", "math_verify"):
        plant_code(tmp_path, tmp_path / "ran", f"{name}.py")
    monkeypatch.chdir(tmp_path)
    worker = engine._Worker()
    assert worker.ask('["\\\\frac12", "\\\\frac24"]\n') == "1"
    worker.close()
    assert not (tmp_path / "ran").exists()


def test_a_process_that_dies_is_replaced() -> None:
    assert engine.verify("\\frac{1}{2}", "\\frac{2}{4}")
    assert engine._current is not None
    engine._current.process.kill()
    engine._current.process.wait()
    assert engine.verify("\\frac{1}{2}", "\\frac{2}{4}")


def test_a_process_that_says_nothing_is_ended_from_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = "import sys, time; print('ready', flush=True); time.sleep(60)"
    monkeypatch.setattr(engine, "_PROGRAM", silent)
    monkeypatch.setattr(engine, "WALL_SECONDS", 0.5)
    engine._close()
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(engine.verify("1", "2")))
    thread.start()
    thread.join(30)
    assert found == [False]


def test_a_machine_without_math_verify_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    engine._close()
    monkeypatch.setattr(engine, "_PROGRAM", "raise ImportError('math_verify')")
    with pytest.raises(GradeError, match="did not start"):
        engine.verify("1", "2")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(GradeError, match="cannot start"):
        engine.verify("1", "2")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_starts_its_own() -> None:
    code = (
        "import os; from overmem.grading.mathematics import engine\n"
        "assert engine.verify('1', '\\\\frac{2}{2}')\n"
        "engine._LOCK.acquire()\n"
        "child = os.fork()\n"
        "if not child: os._exit(0 if engine.verify('2', '\\\\frac{4}{2}') else 1)\n"
        "engine._LOCK.release()\n"
        "assert os.waitpid(child, 0)[1] == 0 and engine.verify('3', '\\\\frac{6}{2}')\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=100)


def test_values_decide() -> None:
    assert agree(sympy.sqrt(1 / n), 1 / sympy.sqrt(n)) is True
    assert agree(sympy.sqrt(x**2), x) is False
    assert agree(sympy.Rational(1, 2**99), sympy.Rational(1, 2**98)) is False
    assert agree(sympy.Integer(2) ** 1000 - 1, sympy.Integer(2) ** 1000) is False
    assert agree(sympy.Eq(2 * x + 4 * n, 6), sympy.Eq(n, (3 - x) / 2)) is True
    assert agree(sympy.Eq(x, 1), sympy.Eq(n, 1)) is None
    assert agree(sympy.Symbol("i") ** 2, sympy.Integer(-1)) is True
    assert agree(sympy.S.EmptySet, x) is None
