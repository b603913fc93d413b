"""`python -m irtkit` is the command line."""

from irtkit.cli import main

main()
