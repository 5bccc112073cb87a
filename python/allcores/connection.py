"""``allcores.connection``: Pipe, Listener, Client and wait().

The two ends of a pipe are connections as ``multiprocessing.connection`` has them, and instances of its class. Their
messages go through the session's shared memory (``src/channel/README.md``), many times faster; several processes and
threads may use the same end; an end can be sent to any process of the session. Everything else here is
``multiprocessing.connection`` itself: Listener and Client speak its wire protocol, with any program that does.

>>> from allcores import Pipe
>>> here, there = Pipe()
>>> here.send(["hello", 42])
>>> there.recv()
['hello', 42]
"""

from __future__ import annotations

import os
import socket
from multiprocessing import connection as _std
from multiprocessing.connection import Client, Listener, wait

from allcores import _pipe_connection as _ends  # not from it: it may be the one that imports this, under install()
from allcores._in_arena import Channel

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from multiprocessing.connection import (  # by __getattr__
        Connection as Connection,
        answer_challenge as answer_challenge,
        deliver_challenge as deliver_challenge,
    )
    from typing import Any

    from allcores._pipe_connection import PipeConnection as PipeConnection

__all__ = ["Client", "Listener", "Pipe", "wait"]


def Pipe(duplex: bool = True) -> tuple[PipeConnection, PipeConnection]:
    """Return the two ends of a pipe; unless ``duplex`` the first can only receive, and the second only send."""
    end, there = _ends.PipeConnection, Channel(max_bytes=_ends.MAX_BYTES)
    if not duplex:
        reader, writer = os.pipe()
        return end(reader, there, None), end(writer, None, there)
    back = Channel(max_bytes=_ends.MAX_BYTES)
    one, other = socket.socketpair()
    for side in (one, other):
        side.setblocking(True)  # whatever socket.setdefaulttimeout() said
    return end(one.detach(), back, there), end(other.detach(), there, back)


def __getattr__(name: str) -> Any:
    """Everything else, private names included, is the standard module's."""
    return _ends.PipeConnection if name == "PipeConnection" else getattr(_std, name)
