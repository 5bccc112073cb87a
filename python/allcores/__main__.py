"""``python -m allcores``: the command line."""

import sys

from allcores.cli import main

if __name__ == "__main__":
    sys.exit(main())
