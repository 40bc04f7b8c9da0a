"""Run code that models write, in a process that can do nothing but compute.

A guard against accidents and model-written mischief, not against an attacker who has a hole in the kernel:
see docs/code.md for what is contained and what is not.

    policy.py   which system calls are allowed
    inside.py   the program inside: it locks itself in, checks the lock, and runs answer and tests
    run.py      the outside: starts it, feeds it, bounds it, and reads what it says
"""

from overmem.grading.sandbox.run import Limits, Outcome, check_sandbox, run_code

__all__ = ["Limits", "Outcome", "check_sandbox", "run_code"]
