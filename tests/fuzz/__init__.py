"""A seeded fuzzer over the command line: hostile files, values, names and answers of servers.

`python -m tests.fuzz --cases 5000 --seed 0` runs it by hand, `tests/fuzz/test_fuzz.py` a few hundred in CI.
"""
