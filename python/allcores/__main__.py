"""``python -m allcores``: the command line."""

import sys

import allcores
from allcores.cli import main

if __name__ == "__main__":
    sys.exit(main(allcores._blocked_before))
