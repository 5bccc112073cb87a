"""One lock for one screen: every line stays whole.

Each line is written in pieces, and each piece at once; only the lock keeps them together.
"""

import sys
from multiprocessing import Lock, Process

SINGERS = 10


def sing(screen, singer):
    """Write one line in five pieces while the screen is ours."""
    with screen:
        for piece in ("singer ", str(singer), " sings ", "la " * 3, "to the end\n"):
            sys.stdout.write(piece)
            sys.stdout.flush()


if __name__ == "__main__":
    screen = Lock()
    choir = [Process(target=sing, args=(screen, singer)) for singer in range(SINGERS)]
    for singer in choir:
        singer.start()
    for singer in choir:
        singer.join()
