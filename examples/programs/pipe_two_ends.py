"""A pipe with two ends: send, recv, poll, end of file.

When every copy of the far end is closed, recv() says so with an EOFError.
"""

from multiprocessing import Pipe, Process


def echo(cave):
    """Answer each shout twice, until an empty one comes."""
    shout = cave.recv()
    while shout:
        cave.send([shout.upper(), shout.lower()])
        shout = cave.recv()
    cave.close()


if __name__ == "__main__":
    cliff, cave = Pipe()
    mountain = Process(target=echo, args=(cave,))
    mountain.start()
    cave.close()  # the parent's copy; the child has its own

    for shout in ("Holdrio", "Is anybody there?"):
        cliff.send(shout)
        print("an answer came:", cliff.poll(timeout=30))
        for reply in cliff.recv():
            print("  ", reply)

    cliff.send("")
    try:
        cliff.recv()
    except EOFError:
        print("the mountain hung up")
    mountain.join()
