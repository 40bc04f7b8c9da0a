'''Tiny Python functions made by rule: code to write that needs no download, and whose truth is known.

A problem is one to three steps over a list of whole numbers and what becomes of them, in a docstring:

    def solve(values):
        """Keep the even numbers, then square each number, and return their sum."""

The solution is one of many: a loop, a comprehension a line, `map` and `filter`, or one nested expression,
with equivalent conditions and names. A model that memorizes bets on the one it saw. Splits share no
problem: the hash of what is done, in which order, however it is said, decides which split may hold it.
The same function may be reached by other steps or in another order, and then stands in two splits.

    steps.py      the steps and ends: how each is said, written, and what it means
    problems.py   a problem in words, in code and as tests
    splits.py     the splits and their examples
'''

from overmem.synthetic.pocketcode.problems import FORMS, GRADER, Problem, write_solution
from overmem.synthetic.pocketcode.splits import SPLITS, load_split

__all__ = [
    "FORMS",
    "GRADER",
    "SPLITS",
    "Problem",
    "load_split",
    "write_solution",
]
