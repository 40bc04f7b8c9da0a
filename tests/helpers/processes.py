"""The environment of a child process: one thread, and this tree's package."""

import os

from tests.helpers.paths import SRC

ALONE = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SRC)}
