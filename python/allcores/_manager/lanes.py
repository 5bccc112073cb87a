"""Lanes: calls between a proxy and its server by the session's shared memory, where both are in the same session.

A proxy connects, and proves who it is, as the standard library's does. Then it asks for a lane: the socket stays, for
what it tells about the other side's end, and messages go by two channels: together a pipe of ours. A
server of the standard library does not know that request, and one of another session does not know the channels: both
are talked to by the socket, in the standard library's protocol.
"""

from __future__ import annotations

import contextlib
import os
import threading
from multiprocessing import connection as _connection, managers as _std

from allcores import _core
from allcores._in_arena import Channel
from allcores._pipe_connection import MAX_BYTES, PipeConnection
from allcores.errors import HandleError

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs as much as multiprocessing itself
    from collections.abc import Callable
    from typing import Any

__all__ = ["ServesLanes", "connect", "with_request"]

_REQUEST = "accept_lane"

_without: set[Any] = set()
"""Addresses of servers that do not know the request."""

_dispatch: Callable[..., Any] = vars(_std)["dispatch"]


class ServesLanes:
    """Mixed into a server: it gives lanes, if that is among its `public` requests."""

    if TYPE_CHECKING:
        serve_client: Callable[[Any], None]

    def accept_lane(self, c: Any, name: str, incoming: _core._Address, outgoing: _core._Address) -> None:
        """Serve a client as ``accept_connection`` does, by these channels, or by its socket when they are not here."""
        lane = None
        with contextlib.suppress(HandleError):
            lane = _over(c, Channel(address=incoming), Channel(address=outgoing))
        threading.current_thread().name = name
        try:
            c.send(("#RETURN", lane is not None))
            self.serve_client(lane or c)
        finally:
            if lane is not None:
                lane.close()


def with_request(public: list[str]) -> list[str]:
    """Return a server's requests and the one for a lane."""
    return [*public, _REQUEST]


def connect(client: Callable[..., Any], address: Any, authkey: bytes, name: str) -> Any:
    """Return a connection on which a server serves this client, by a lane if that can be."""
    connection = client(address, authkey=authkey)
    try:
        if _may_have_lane(client, address):
            back, there = Channel(max_bytes=MAX_BYTES), Channel(max_bytes=MAX_BYTES)
            connection.send((None, _REQUEST, (name, there._address(), back._address()), {}))
            kind, has_lane = connection.recv()
            if kind == "#RETURN":
                if not has_lane:
                    return connection
                lane = _over(connection, back, there)
                connection.close()
                return lane
            _without.add(address)
            connection.close()
            connection = client(address, authkey=authkey)
        _dispatch(connection, None, "accept_connection", (name,))
    except BaseException:
        connection.close()
        raise
    return connection


def _may_have_lane(client: Any, address: Any) -> bool:
    """Only sockets of this machine tell at once that the other side has gone; a process in no session shares none."""
    return (
        client is _connection.Client
        and _connection.address_type(address) == "AF_UNIX"  # type: ignore[attr-defined]
        and address not in _without
        and _core.arena_descriptor() is not None
    )


def _over(connection: Any, incoming: Channel, outgoing: Channel) -> PipeConnection:
    return PipeConnection(os.dup(connection.fileno()), incoming, outgoing)
