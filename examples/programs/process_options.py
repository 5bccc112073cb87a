"""Process with name, kwargs, daemon; terminate, close.

A closed process object refuses further questions with a ValueError.
"""

import signal
from multiprocessing import Event, Process, current_process


def introduce(greeting, *, to):
    """Greet somebody with this process's name."""
    me = current_process()
    print(f"{greeting}, {to}! I am {me.name}, daemon: {me.daemon}")


def stay(arrived, never):
    """Arrive, then wait for what never comes."""
    arrived.set()
    never.wait()


if __name__ == "__main__":
    courier = Process(
        group=None,
        target=introduce,
        name="courier",
        args=("Good day",),
        kwargs={"to": "neighbour"},
        daemon=True,
    )
    courier.start()
    courier.join()
    print(f"{courier.name} ended with exit code {courier.exitcode}")

    arrived, never = Event(), Event()
    guest = Process(target=stay, args=(arrived, never), name="guest", daemon=True)
    guest.start()
    arrived.wait(timeout=30)
    guest.terminate()
    guest.join()
    print(f"{guest.name} was ended by {signal.Signals(-guest.exitcode).name}")

    courier.close()
    try:
        courier.is_alive()
    except ValueError as error:
        print("ValueError:", error)
