"""The sandbox: what an answer must not do, tried for real; each time it is contained and the answer wrong.

The attacks are safe by construction, should the sandbox not hold: few forks, one canary file, a closed port.

Covers: overmem.grading.sandbox.inside, overmem.grading.sandbox.policy
"""

from __future__ import annotations

import os
import platform
import socket
import struct
import time
from pathlib import Path

import pytest

from overmem.errors import GradeError
from overmem.grading.grade import grade
from overmem.grading.sandbox import Limits, inside, policy, run, run_code
from overmem.records import Example

pytestmark = pytest.mark.skipif(
    policy.unsupported_platform() is not None, reason="no sandbox on this platform"
)

QUICK = Limits(cpu_seconds=1, wall_seconds=10, memory_bytes=256 * 2**20)
RIGHT = "def f(x):\n    return x + 1\n"
TESTS = "assert f(1) == 2\nassert f(-1) == 0\n"
FORGERIES = {
    "printing": "print('passed')\ndef f(x): return 0",
    "leaving early": "import os\nos._exit(0)",
    "leaving politely": "import sys\nsys.exit(0)",
    "leaving in the test": "import os\ndef f(x): os._exit(0)",
    "raising SystemExit in the test": "def f(x): raise SystemExit(0)",
    "writing to every pipe": (
        "import os\nfor fd in range(64):\n    try: os.write(fd, b'locked\\nread x\\npassed\\n')\n"
        "    except OSError: pass\nos._exit(0)"
    ),
    "closing every pipe": "import os\nos.closerange(0, 64)\nos._exit(0)",
    "asking for the job again": (
        "import marshal, os\nos.lseek(0, 0, 0)\nword = marshal.loads(os.read(0, 1 << 20))['password']\n"
        "for fd in range(3, 64):\n    try: os.write(fd, word.encode() + b'\\n')\n    except OSError: pass\n"
        "os._exit(0)"
    ),
    "another interpreter": "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', ''])",
    "dying": "import ctypes\nctypes.string_at(0)",
    "taking asserts away": "import builtins\nbuiltins.AssertionError = int\ndef f(x): return 0",
}


def problem(tests: str = TESTS) -> Example:
    return Example("row-7", "Write f.", RIGHT, meta={"tests": tests})


def graded(code: str, tests: str = TESTS):
    """Through the grader, as an audit does."""
    return grade(f"```python\n{code}\n```", problem(tests), "code", allow_code_execution=True)


@pytest.fixture
def limits(monkeypatch):
    """Tight limits for all that the grader runs."""
    monkeypatch.setattr(run, "Limits", lambda: QUICK)


def test_right_and_wrong_answers():
    assert graded(RIGHT).correct
    assert not graded("def f(x):\n    return x").correct
    assert run_code(RIGHT, TESTS).reason == "passed"
    assert run_code("def f(x):\n    return x", TESTS).reason == "AssertionError"
    assert run_code("This is how.", TESTS).reason == "not Python"


def test_an_infinite_loop(limits):
    start = time.monotonic()
    assert not graded("while True: pass").correct
    sleeping = Limits(wall_seconds=1.5)
    assert run_code("import time\ntime.sleep(100)", TESTS, limits=sleeping).reason == "time"
    # The signal at the limit may be ignored; the end a second later may not.
    stubborn = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    assert run_code(stubborn, TESTS, limits=QUICK).reason == "time"
    assert time.monotonic() - start < 60


def test_a_fork_bomb(limits, tmp_path):
    bomb = (
        "import os\nmade = 0\nfor _ in range(200):\n    try:\n        pid = os.fork()\n"
        "    except OSError:\n        continue\n    if pid == 0:\n        os._exit(0)\n    made += 1\n"
        "def f(x): return made\n"
    )
    assert not graded(bomb).correct
    # Not one of 200 came to life: the same answer is "right" where the tests ask for none.
    assert graded(bomb, "assert f(0) == 0").correct
    assert graded("def f(x): pass", "import threading\ntry: threading.Thread(target=f).start()\n"
                  "except RuntimeError: pass\nelse: assert 0").correct  # fmt: skip
    assert not graded("import subprocess\nsubprocess.run(['true'])\n" + RIGHT).correct


def test_ten_gigabytes(limits):
    assert not graded("x = bytearray(10 * 2**30)\n" + RIGHT).correct
    assert run_code("x = bytearray(10 * 2**30)", TESTS, limits=QUICK).reason == "MemoryError"
    assert (
        run_code("x = []\nwhile True: x.append(' ' * 2**20 + str(len(x)))", "", limits=QUICK).reason
        == "MemoryError"
    )


@pytest.mark.parametrize(
    "attack",
    [
        "os.unlink(path)",
        "os.rename(path, path + '.gone')",
        "open(path, 'w').close()",
        "open(path, 'a').write('x')",
        "os.close(os.open(path, os.O_RDONLY | os.O_TRUNC))",
        "os.truncate(path, 0)",
        "os.chmod(path, 0)",
        "os.utime(path, (0, 0))",
        "os.symlink('/', os.path.dirname(path) + '/link')",
        "os.mkdir(os.path.dirname(path) + '/more')",
        "import shutil; shutil.rmtree(os.path.dirname(path))",
        "import ctypes; assert not ctypes.CDLL(None).unlink(path.encode())",
        "print(open(path).read())",
        "os.listdir(os.path.dirname(path))",
    ],
)  # fmt: skip
def test_files_stay_as_they_are_and_unread(tmp_path, attack):
    canary = tmp_path / "canary"
    canary.write_text("alive")
    before = (canary.stat(), sorted(os.listdir(tmp_path)))
    assert not graded(f"import os\npath = {str(canary)!r}\n{attack}\n{RIGHT}").correct
    assert canary.read_text() == "alive"
    after = (canary.stat(), sorted(os.listdir(tmp_path)))
    assert (after[0].st_mode, after[0].st_mtime_ns, after[1]) == (
        before[0].st_mode,
        before[0].st_mtime_ns,
        before[1],
    )


def test_no_file_can_be_made_where_it_runs_and_none_is_left(monkeypatch, tmp_path):
    monkeypatch.setattr(run.tempfile, "tempdir", str(tmp_path))
    assert not graded("open('mine', 'w').write('x')\n" + RIGHT).correct
    assert graded(
        RIGHT, TESTS + "import os\nassert os.getcwd().startswith(" + repr(str(tmp_path)) + ")"
    ).correct
    assert os.listdir(tmp_path) == []


def test_a_socket(limits):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.settimeout(0.2)
        call = f"import socket\nsocket.create_connection(('127.0.0.1', {port}))\n"
        assert not graded(call + RIGHT).correct
        with pytest.raises(TimeoutError):
            server.accept()
    for family in ("AF_INET, socket.SOCK_DGRAM", "AF_UNIX", "AF_INET6"):
        assert not graded(f"import socket\nsocket.socket(socket.{family})\n{RIGHT}").correct
    assert not graded("import ctypes\nassert ctypes.CDLL(None).socket(2, 1, 0) >= 0\n" + RIGHT).correct


def test_the_environment(limits, monkeypatch):
    monkeypatch.setenv("CANARY_TOKEN", "secret")
    with_it = "import os\nassert 'CANARY_TOKEN' in os.environ\n"
    assert not graded(with_it + RIGHT).correct
    for path in (f"/proc/{os.getpid()}/environ", "/proc/self/environ", "/proc/self/maps", "/etc/passwd"):
        assert not graded(f"open({path!r}).read()\n{RIGHT}").correct
    # Nor is there anything else in it than what the interpreter sets itself.
    assert graded(RIGHT, "import os\nassert set(os.environ) <= {'LC_CTYPE'}").correct


def test_other_processes_are_out_of_reach(limits):
    for attack in (
        "os.kill(os.getppid(), 0)",
        "os.kill(-1, 0)",
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
        "import resource; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (8, 8))",
        "import fcntl; fcntl.fcntl(1, fcntl.F_SETOWN, os.getppid())",
        "os.setsid()",
    ):
        assert not graded(f"import os\n{attack}\n{RIGHT}").correct


def test_limits_cannot_be_raised():
    code = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40))\n"
    assert run_code(code + RIGHT, TESTS).reason in ("OSError", "ValueError")


@pytest.mark.parametrize("how", FORGERIES)
def test_success_is_not_forged(limits, how):
    assert not graded(FORGERIES[how]).correct


def test_huge_output(limits):
    outcome = run_code("while True: print('x' * 1000)", TESTS, limits=QUICK)
    assert (outcome.passed, outcome.reason) == (False, "output")
    assert len(outcome.output) == QUICK.output_bytes
    assert graded("import sys\nsys.stderr.write('x' * 10000)\n" + RIGHT).correct


def test_a_daemon_left_behind(limits, tmp_path):
    """Detached twice over, as daemons do; nothing may live on to answer."""
    daemon = (
        "import os, time\ndef detach():\n    if os.fork(): os._exit(0)\n    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n    time.sleep(5)\ntry:\n    detach()\nexcept OSError:\n    pass\n"
    )
    before = children()
    outcome = run_code(daemon + RIGHT, TESTS)
    assert outcome.passed  # a daemon that was not made does no harm to the answer
    assert children() == before


def children() -> set[str]:
    """Processes in the sandbox, by their command line."""
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and b"inside.main(" in (folder / "cmdline").read_bytes():
                found.add(folder.name)
        except OSError:
            continue
    return found


def test_modules_that_answers_import_are_there():
    names = (
        "abc array base64 bisect calendar cmath collections contextlib copy csv dataclasses datetime decimal "
        "enum fractions functools hashlib heapq inspect io itertools json math numbers operator pickle queue "
        "random re statistics string struct sys textwrap threading time traceback typing unittest uuid zlib"
    )
    code = f"import {', '.join(names.split())}\nhashlib.md5(b'')\nrandom.random()\ntime.sleep(0.001)\n"
    outcome = run_code(code + "datetime.datetime.now()\ninput_given = None\n" + RIGHT, TESTS)
    assert outcome.passed, outcome.output
    assert run_code("input()", TESTS).reason == "EOFError"


def test_what_answers_mean_in_words_of_their_own_module():
    main = "if __name__ == '__main__':\n    raise ValueError\n"
    record = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'int' = 2\n"
    record += "def f(x): return P(x + 1).x\n"
    assert run_code(record + main, TESTS).passed


def test_where_nothing_can_be_contained_nothing_is_run(monkeypatch, tmp_path):
    monkeypatch.setattr(policy.sys, "platform", "darwin")
    monkeypatch.setattr(policy.platform, "system", lambda: "Darwin")
    with pytest.raises(GradeError, match="Darwin"):
        run_code(RIGHT, TESTS)


def test_a_missing_protection_is_named(monkeypatch):
    """A filter that lets everything through, as if the kernel had ignored ours."""
    monkeypatch.setattr(run, "seccomp_filter", lambda machine: struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))
    with pytest.raises(GradeError, match="a socket could be opened"):
        run_code(RIGHT, TESTS)
    monkeypatch.setattr(run, "seccomp_filter", lambda machine: b"")
    with pytest.raises(GradeError, match="seccomp"):
        run_code(RIGHT, TESTS)


LIBC = "libc = inside.ctypes.CDLL(None, use_errno=True); inside.ctypes.CDLL = lambda *_, **__: libc; "


@pytest.mark.parametrize(
    ("call", "part"),
    [
        ("capset", "capabilities"),
        ("capget", "capabilities"),
        ("prctl", "ending with its parent"),
        ("syscall", "Landlock"),
    ],
)
def test_a_protection_that_the_kernel_refuses_is_named_and_nothing_runs(monkeypatch, tmp_path, call, part):
    refused = f"import inside; {LIBC}libc.{call} = lambda *_: -1; "
    monkeypatch.setattr(run, "_START", run._START.replace("import inside; ", refused))
    with pytest.raises(GradeError, match=part):
        run_code(f"open({str(tmp_path / 'ran')!r}, 'w')", TESTS)
    assert not (tmp_path / "ran").exists()


def test_capabilities_that_are_left_are_seen(monkeypatch):
    """As where the call says that it did, and nothing was given up."""
    kept = f"import inside; {LIBC}libc.capset = lambda *_: 0; libc.capget = lambda *_: 0; "
    monkeypatch.setattr(run, "_START", run._START.replace("import inside; ", kept))
    with pytest.raises(GradeError, match="capabilities"):
        run_code(RIGHT, TESTS)


@pytest.mark.parametrize("machine", policy.ARCHITECTURES)
def test_the_filter_does_what_the_table_says(machine):
    """Run by an interpreter of BPF written for this test, over every call there is."""
    column, audit = policy.ARCHITECTURES[machine]
    program = policy.seccomp_filter(machine)
    allowed = {n[column] for n in policy.ALLOWED.values()} - {None}
    ruled = {r.numbers[column]: r for r in policy.RULES.values()} | {None: None}
    assert len(allowed) == sum(n[column] is not None for n in policy.ALLOWED.values())
    for number in range(600):
        assert verdict(program, number, audit) == (number in allowed) or number in ruled
    assert not verdict(program, 0x40000000 | min(allowed), audit)  # x32 calls of x86_64
    assert verdict(program, min(allowed), audit ^ 1) is None  # another architecture: killed
    opened = policy.RULES["openat"].numbers[column]
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_RDONLY | os.O_TRUNC):
        assert not verdict(program, opened, audit, (0, 0, flags))
    assert verdict(program, opened, audit, (0, 0, os.O_RDONLY | os.O_CLOEXEC))
    limit = policy.RULES["prlimit64"].numbers[column]
    assert verdict(program, limit, audit, (0, 0, 0, 2**40))
    assert not verdict(program, limit, audit, (0, 0, 2**40, 0))
    assert not verdict(program, limit, audit, (0, 0, 1, 0))


def verdict(program: bytes, number: int, audit: int, arguments: tuple[int, ...] = ()) -> bool | None:
    """True: allowed; False: refused with an error; None: killed."""
    data = struct.pack("=IIQ6Q", number, audit, 0, *arguments, *[0] * (6 - len(arguments)))
    steps, at, value = list(struct.iter_unpack("=HBBI", program)), 0, 0
    while True:
        code, yes, no, k = steps[at]
        at += 1
        if code == 0x20:
            value = struct.unpack_from("=I", data, k)[0]
        elif code == 0x15:
            at += yes if value == k else no
        elif code == 0x45:
            at += yes if value & k else no
        else:
            return {0x7FFF0000: True, 0x80000000: None}.get(k, False)


def test_the_numbers_are_this_kernels():
    """Against the system's own header, where it is installed."""
    headers = {
        "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
        "aarch64": "/usr/include/asm-generic/unistd.h",
    }
    checked = 0
    for machine, (column, _) in policy.ARCHITECTURES.items():
        path = Path(headers[machine])
        if not path.is_file():
            continue
        known = {}
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) == 3 and words[0] == "#define" and words[2].isdigit():
                name = words[1].removeprefix("__NR_").removeprefix("__NR3264_")
                known["newfstatat" if name == "fstatat" else name] = int(words[2])
        for name, numbers in policy.ALLOWED.items() | {n: r.numbers for n, r in policy.RULES.items()}.items():
            if numbers[column] is not None:
                assert known[name] == numbers[column], (machine, name)
                checked += 1
    if not checked:
        pytest.skip(f"no kernel headers here ({platform.machine()})")


HEAD = 'import math\n\ndef area(r):\n    """Of a circle."""\n'


@pytest.mark.parametrize(
    ("prefix", "code", "expected"),
    [
        ("", RIGHT, RIGHT),
        ("", RIGHT + "\nThis adds one to x.\n", RIGHT + ""),
        ("", RIGHT + "\ndef g(x):\n    return (x", RIGHT.rstrip("\n") + "\n"),
        ("", "Here you are.", None),
        ("", "", None),
        ("", "\0", None),
        ("", "(" * 10_000, None),
        (HEAD, "    return math.pi * r * r\n", HEAD + "    return math.pi * r * r\n"),
        (HEAD, "    return 1\n\nclass Cut:\n    def", HEAD + "    return 1\n"),
        (HEAD, "def area(r):\n    return 3 * r * r\n", HEAD + "\n\ndef area(r):\n    return 3 * r * r\n"),
        (HEAD, "I do not know.", None),
        (HEAD, "\n\n", None),
    ],
)
def test_what_an_answer_means(prefix, code, expected):
    made = inside.assemble(prefix, code, "area")
    assert made == expected if made is None or expected is None else made.rstrip() == expected.rstrip()


def test_answers_vote_by_syntax():
    same = [
        RIGHT,
        "def f( x ):\n    # one more\n    return (x + 1)",
        'def f(x):\n    "Adds."\n    return x+1',
    ]
    assert len({inside.normalized_syntax(code) for code in same}) == 1
    assert inside.normalized_syntax("def f(x):\n    return 1 + x") != inside.normalized_syntax(RIGHT)
    assert inside.normalized_syntax("x = " + "+".join("1" * 5000)) == ""
    assert graded(same[0]).answer == graded(same[1]).answer is not None
    assert graded("No.").answer is None
