"""`python -m consent.cli`: the same as the command `audience-consent`."""

from consent.cli import main

main()
