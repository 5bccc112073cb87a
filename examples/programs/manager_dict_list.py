"""A manager's dict and list, changed by ten processes.

Every process signs with its own process id, and the parent checks each signature.
"""

import os
from multiprocessing import Manager, Process

HIKERS = 10


def sign(summit_book, arrivals, hiker):
    """Leave a signature in the dict and a number in the list."""
    summit_book[hiker] = os.getpid()
    arrivals.append(hiker)


if __name__ == "__main__":
    with Manager() as manager:
        summit_book = manager.dict(founder="a marmot")
        arrivals = manager.list(["sun", "wind"])

        hikers = [Process(target=sign, args=(summit_book, arrivals, number)) for number in range(HIKERS)]
        for hiker in hikers:
            hiker.start()
        for hiker in hikers:
            hiker.join()

        genuine = sum(summit_book[number] == hiker.pid for number, hiker in enumerate(hikers))
        print(f"the book has {len(summit_book)} entries, founded by {summit_book['founder']}")
        print(f"genuine signatures: {genuine} of {HIKERS}")
        print("first up were", arrivals[:2], "then came, sorted,", sorted(arrivals[2:]))
        print("hiker 3 is in the book:", 3 in summit_book, "- hiker 99:", 99 in summit_book)
