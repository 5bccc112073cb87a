"""A child process made by a call: Process(target=...).

Then start() and join(). The child waits behind a door that its parent opens, so the parent sees it
alive first.
"""

from multiprocessing import Event, Process


def visit(guest, door):
    """Wait for the door to open, then greet."""
    door.wait(timeout=30)
    print(f"Good morning, {guest}!")


if __name__ == "__main__":
    door = Event()
    visitor = Process(target=visit, args=("Ada", door))
    print("before start: alive", visitor.is_alive(), "exit code", visitor.exitcode)

    visitor.start()
    print("after start:  alive", visitor.is_alive(), "exit code", visitor.exitcode, flush=True)

    door.set()
    visitor.join()
    print("after join:   alive", visitor.is_alive(), "exit code", visitor.exitcode)
