"""What the mark beside a message says: what kind of task it is, or of reply."""

__all__ = [
    "BREAKING",
    "BROKEN",
    "BY_VALUE",
    "CALL",
    "DIED",
    "FAILURE",
    "HEALING",
    "HELPED",
    "HELPING",
    "INITIALIZER_EXIT_CODE",
    "IS_PICKLE",
    "MAP",
    "POOL",
    "RESULT",
    "STARMAP",
    "WAKE",
]

CALL, MAP, STARMAP = 0, 1, 2
"""Of a task: ``function(*arguments)``, or that of each item of a part, which is the argument or the arguments."""

BY_VALUE = 16
"""Besides: the task is bytes, a pickle by value of the task itself."""

RESULT, FAILURE, DIED, BROKEN, WAKE, HELPING, HELPED = 0, 1, 2, 3, 4, 5, 6
"""Of a reply: what the task returned; what it raised; its worker has died; no worker can be started; nothing at all;
and of a lent pool: a worker comes to help; it has found no further task."""

IS_PICKLE = 128
"""Besides, from `_core.collect`: the object is a pickle still."""

POOL, HEALING, BREAKING = 0, 1, 2
"""Whose worker it is: a pool's; an executor's; that of an executor that the death of a worker breaks."""

INITIALIZER_EXIT_CODE = 178
"""Of a worker whose initializer has raised; what it raised was told."""
