"""A pool: apply, map, imap, starmap, callbacks, errors.

A task's exception comes back to whoever asked for its result; a closed pool takes no new tasks.
"""

import os
from multiprocessing import Pool

WORKERS = 3


def letters(word):
    """Count the letters of a word."""
    return len(word)


def box(width, height):
    """Give the area of a box."""
    return width * height


def complain(about):
    """Fail, with a message."""
    raise LookupError(f"no {about} today")


def worker_pid(_task):
    """Say which process does the task."""
    return os.getpid()


if __name__ == "__main__":
    words = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"]
    boxes, complaints = [], []

    with Pool(processes=WORKERS) as pool:
        print("apply:         ", pool.apply(letters, ("hippopotamus",)))
        print("map:           ", pool.map(letters, words))
        print("imap:          ", list(pool.imap(letters, words, chunksize=2)))
        print("imap_unordered:", sorted(pool.imap_unordered(letters, words)))
        print("starmap:       ", pool.starmap(box, [(1, 2), (3, 4), (5, 6)]))
        print("map_async:     ", pool.map_async(letters, words[:3]).get(timeout=30))

        asked = pool.apply_async(box, (6, 7), callback=boxes.append)
        print("apply_async:   ", asked.get(timeout=30), "callback got", boxes)

        refused = pool.apply_async(complain, ("tea",), error_callback=complaints.append)
        refused.wait(timeout=30)
        print("error callback:", [str(error) for error in complaints], refused.successful())

        try:
            pool.map(complain, ["coffee"])
        except LookupError as error:
            print("LookupError:   ", error)

        crew = set(pool.map(worker_pid, range(50), chunksize=1))
        print("own processes: ", os.getpid() not in crew and len(crew) <= WORKERS)

        try:
            pool.join()
        except ValueError as error:
            print("join too early:", error)
        pool.close()
        try:
            pool.apply(letters, ("late",))
        except ValueError as error:
            print("apply too late:", error)
        pool.join()
