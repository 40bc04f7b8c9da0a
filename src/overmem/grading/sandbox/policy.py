"""What code in the sandbox may ask of the kernel: the few calls that computing needs, as a seccomp filter.

A list of what is allowed, not of what is forbidden: a call that is not on it (a socket, a second process or
thread, a signal, a changed file, anything a newer kernel adds) fails as if the kernel had never heard of it.
"""

from __future__ import annotations

import platform
import struct
import sys
from dataclasses import dataclass

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Machine: (column of `ALLOWED`, its name in the kernel's audit records)."""

ALLOWED: dict[str, tuple[int | None, int | None]] = {
    # Open files: reading, and writing to the pipes that are there.
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "pread64": (17, 67),
    "readv": (19, 65), "writev": (20, 66), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "pipe": (22, None), "pipe2": (293, 59), "poll": (7, None), "ppoll": (271, 73), "select": (23, None),
    "pselect6": (270, 72),
    # Looking at files.
    "stat": (4, None), "fstat": (5, 80), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None),
    "readlinkat": (267, 78), "getcwd": (79, 17), "getdents64": (217, 61), "umask": (95, 166),
    # Memory.
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216),
    "madvise": (28, 233), "membarrier": (324, 283),
    # Its own signals and timers.
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigpending": (127, 136),
    "rt_sigreturn": (15, 139), "sigaltstack": (131, 132), "alarm": (37, None), "getitimer": (36, 102),
    "setitimer": (38, 103),
    # Time, chance, and who am I.
    "time": (201, None), "gettimeofday": (96, 169), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "nanosleep": (35, 101), "times": (100, 153), "getrandom": (318, 278),
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174),
    "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "uname": (63, 160),
    "sysinfo": (99, 179), "getrlimit": (97, 163), "getrusage": (98, 165), "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    # What the C library does for itself, and the end.
    "futex": (202, 98), "sched_yield": (24, 124), "set_tid_address": (218, 96), "arch_prctl": (158, None),
    "set_robust_list": (273, 99), "rseq": (334, 293), "restart_syscall": (219, 128), "exit": (60, 93),
    "exit_group": (231, 94),
}  # fmt: skip
"""Calls that are allowed with any arguments: numbers on x86_64 and aarch64, None where there is none."""


@dataclass(frozen=True)
class Rule:
    """A call that is allowed with some arguments only."""

    numbers: tuple[int | None, int | None]
    argument: int
    """Position of the argument that decides."""
    values: tuple[int, ...] = ()
    """Allowed if it is one of these (low 32 bits) ..."""
    no_bits: int = 0
    """... or, without values, if it has none of these bits."""


_WRITES = 0o3 | 0o100 | 0o1000 | 0o20000000
"""Of `open`: O_WRONLY, O_RDWR, O_CREAT, O_TRUNC and O_TMPFILE, alike on both architectures."""
RULES = {
    "open": Rule((2, None), 1, no_bits=_WRITES),
    "openat": Rule((257, 56), 2, no_bits=_WRITES),
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC; not F_SETOWN, which sends signals.
    "fcntl": Rule((72, 25), 1, values=(0, 1, 2, 3, 4, 1030)),
    # TCGETS (is it a terminal?), FIONREAD, FIONCLEX, FIOCLEX.
    "ioctl": Rule((16, 29), 1, values=(0x5401, 0x541B, 0x5450, 0x5451)),
    # Reading limits; a new limit is a pointer in the third argument.
    "prlimit64": Rule((302, 261), 2, no_bits=2**64 - 1),
}

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _DENY, _KILL = 0x7FFF0000, 0x00050000 | 38, 0x80000000
"""Go on; fail with ENOSYS, upon which C libraries try an older call; end the process."""


def unsupported_platform() -> str | None:
    """Why this platform can hold no sandbox; None when it may."""
    if sys.platform != "linux":
        return f"{platform.system()}, which has neither Landlock nor seccomp"
    if platform.machine() not in ARCHITECTURES or struct.calcsize("P") != 8:
        return f"Linux on {platform.machine()} ({8 * struct.calcsize('P')} bits)"
    return None


def seccomp_filter(machine: str) -> bytes:
    """The policy as a BPF program, which the kernel runs at every system call of the process.

    Args:
        machine: `x86_64` or `aarch64`.

    Returns:
        `struct sock_filter` after `struct sock_filter`, 8 bytes each.
    """
    column, architecture = ARCHITECTURES[machine]
    # `struct seccomp_data`: number at 0, architecture at 4, six arguments of 8 bytes from 16.
    program = [_step(_LOAD, 4), _step(_EQUAL, architecture, 1, 0), _step(_RETURN, _KILL), _step(_LOAD, 0)]
    for numbers in ALLOWED.values():
        if (number := numbers[column]) is not None:
            program += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ALLOW)]
    for rule in RULES.values():
        if (number := rule.numbers[column]) is not None:
            check = _check(rule)
            program += [_step(_EQUAL, number, 0, len(check)), *check]
    return b"".join([*program, _step(_RETURN, _DENY)])


def _check(rule: Rule) -> list[bytes]:
    low = 16 + 8 * rule.argument
    if rule.values:
        allowed = [step for v in rule.values for step in (_step(_EQUAL, v, 0, 1), _step(_RETURN, _ALLOW))]
        return [_step(_LOAD, low), *allowed, _step(_RETURN, _DENY)]
    return [
        _step(_LOAD, low),
        _step(_ANY_BIT, rule.no_bits & 0xFFFFFFFF, 2, 0),
        _step(_LOAD, low + 4),
        _step(_ANY_BIT, rule.no_bits >> 32, 0, 1),
        _step(_RETURN, _DENY),
        _step(_RETURN, _ALLOW),
    ]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
