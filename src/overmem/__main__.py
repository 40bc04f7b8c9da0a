"""`python -m overmem`, the same as `overmem`.

Python puts the current folder first on the path for `-m`, and the console script does not. It may be a run
that somebody else shared, so it is taken off before anything else is imported.
"""

import sys

if not sys.flags.safe_path:
    del sys.path[0]

from overmem.cli import main

main()
