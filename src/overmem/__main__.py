"""`python -m overmem`, the same as `overmem`."""

from overmem.cli import main

main()
