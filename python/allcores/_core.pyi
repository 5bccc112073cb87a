"""The face of the native core, written by hand; ``tests/test_house_rules.py`` compares it with the binary."""

from collections.abc import Callable, Iterable, Sequence
from types import CodeType
from typing import Any, NoReturn, Self, SupportsIndex, TypeVar, final

from typing_extensions import Buffer, disjoint_base

__all__ = [
    "Ask",
    "Barrier",
    "Birth",
    "Blocked",
    "Channel",
    "Child",
    "Claim",
    "Condition",
    "Connection",
    "Event",
    "Held",
    "List",
    "Lock",
    "Memory",
    "Numbers",
    "Offer",
    "RLock",
    "Reducers",
    "Semaphore",
    "Table",
    "TableScan",
    "Way",
    "Work",
    "__version__",
    "acquire_site",
    "add_fast_channel_methods",
    "add_fast_methods",
    "add_number",
    "add_shared_attributes",
    "after_fork_in_parent",
    "arena_account",
    "arena_descriptor",
    "arena_is_kept_here_only",
    "before_fork",
    "block_signals",
    "claim_task",
    "close_all",
    "collect",
    "compile_program",
    "create_arena",
    "dumps",
    "dumps_by_name",
    "end_child",
    "end_cleanly",
    "exchange_number",
    "gathering",
    "has_given",
    "hear",
    "is_detached",
    "is_of_another_interpreter",
    "is_pickled_for_all",
    "join_arena",
    "leads_back",
    "loads",
    "name_embryo",
    "name_process_in_arena",
    "next_message",
    "note_main",
    "offer_failed",
    "offer_threaded",
    "process_ended",
    "process_state",
    "put_labelled",
    "put_parts",
    "read_abandoned_waits",
    "read_deadlocks",
    "reap",
    "receive_ask",
    "receive_message",
    "send_message",
    "set_process_name",
    "signals_of_state",
    "socket_pair",
    "stop_process",
    "sweep_arena",
    "take_back",
    "take_over_state",
    "wait_for_work",
    "with_handles",
    "without_gathering",
    "without_handles",
]

_T = TypeVar("_T")

__version__: str

def is_of_another_interpreter() -> bool:
    """Tell whether an interpreter of this process other than this one has asked that first."""

def compile_program(source: bytes, path: bytes, /) -> CodeType:
    """Compile a program, in no need of what ``compile`` gets ready at its first call: all classes of the module `ast`.

    ``path`` is the file's name as the system has it. ValueError for a NUL in either.
    """

def set_process_name(name: str, /) -> None:
    """Set the name that ``ps`` and ``top`` show for this process.

    At most 15 bytes, without NUL; otherwise OSError or ValueError.
    """

def socket_pair() -> tuple[int, int]:
    """Return two connected sockets of the kind SEQPACKET, closed on exec and numbered above the standard streams."""

def send_message(socket: int, data: bytes, descriptors: list[int], /, *, wait: bool = True) -> None:
    """Send one message with at most 253 descriptors, of which the receiver gets copies.

    BrokenPipeError when nobody can receive it; without ``wait`` BlockingIOError when there is no room. While it waits,
    other threads run, and signal handlers that raise end it; then nothing was sent.
    """

def receive_message(socket: int, size: int, /, *, wait: bool = True) -> tuple[bytes, list[int]]:
    """Receive one message of at most ``size`` bytes with its descriptors; empty bytes at the end.

    No descriptors at all when this process has no room for all of them. OSError for a longer message; without ``wait``
    BlockingIOError when there is none.
    """

def process_state(*, alone: bool) -> bytes:
    """Look at what a forked child inherits from the kernel: umask, niceness, limits, CPUs, signals, directory.

    To be compared and handed on, not read. ``alone`` says that no other thread makes files; the umask is then looked at
    by setting it, to a stricter one for a moment, which is a hundred times faster than asking.
    """

def take_over_state(state: bytes, /) -> None:
    """Have in this process what another one's look saw, signals apart, as far as the kernel lets it."""

def leads_back(one: bytes, other: bytes, /) -> bool:
    """Whether a process without privileges that goes from the state ``one`` to ``other`` could come back."""

def signals_of_state(state: bytes, /) -> tuple[int, int]:
    """Return the signals that are blocked and ignored in a look, one bit each; bit 0 is signal 1."""

def block_signals(signals: int, /) -> None:
    """Block these signals, one bit each, and no others. Those that came meanwhile are delivered at the end of this."""

def end_child(code: int, /) -> NoReturn:
    """End a child of the zygote as `os._exit` does; where nobody can tell the difference, ahead of its memory."""

@final
class Birth:
    """What a spare and its zygote share. Made before the fork; parent and child each take what is theirs, once."""

    def __new__(cls) -> Self: ...
    def offer(self, pid: int, events: int, offers: int, version: tuple[int, int] | None, /) -> tuple[int, int, int]:
        """In the zygote: have ``events``, an epoll, watch the spare's pidfd, and offer it.

        Returns the pidfd, the line and the account. OSError when that fails; then the spare is no more.
        """

    def begin(self, zygote: int, zygotes: list[int], account: int, /) -> tuple[int, int]:
        """In the spare: be bound to the zygote's life, let go of what is the zygote's, have the account at this number.

        Returns the line and the bell. EOFError when the zygote has ended.
        """

@final
class Held:
    """A descriptor that is kept for long. Programs close what they do not know, and its number may be reused."""

    number: int
    def __new__(cls, number: int, /) -> Held: ...
    def is_ours(self) -> bool:
        """Whether the number still means what it meant, as far as that can be told."""

@final
class Way:
    """A way to a zygote, which it owns, and the credentials that its children will have."""

    def __new__(cls, requests: int, offers: int, bell: int, /) -> Way: ...
    def is_good(self) -> bool:
        """Whether the zygote can be asked for children of this process."""

    def take_offer(self, *, timeout: float) -> Offer | None:
        """Take an offer; None when there is none for ``timeout`` seconds. EOFError when none will come.

        OSError EMFILE when this process has no room for its descriptors; the spare then ends by itself.
        """

    def need(self, surroundings: bytes, tracker: int | None, /) -> None:
        """Ask for an offer, and for a resource tracker that reads from ``tracker``. The standard streams go along.

        ConnectionError when nobody is there.
        """

    def stale(self) -> None:
        """Tell the zygote that its main module is not what it was."""

@final
class Offer:
    """A spare for whoever took it, or why there is none. One that is dropped ends."""

    error_number: int
    """For which the kernel forked none, else 0."""
    threaded: bool
    """Whether there is none since importing the main module started threads."""
    def is_of(self, version: tuple[int, int] | None, /) -> bool:
        """Whether the spare has this version of the main module, or no main module at all."""

    def wake(self, way: Way, /) -> None:
        """Wake the spare, if it is one, and leave word that it is taken; its work is being made ready."""

    def hand_over(
        self,
        way: Way,
        parent: int,
        tracker: int,
        descriptors: list[int],
        surroundings: bytes,
        process: bytes,
        /,
    ) -> Child | None:
        """Give the spare its work; None when it is gone, which is then all that happened.

        ``way`` is what the child will ask for children of its own with. ``parent`` is a pidfd of this process,
        ``tracker`` the write end of the resource tracker's pipe. The pickled ``process`` refers to ``descriptors`` by
        index. The standard streams go along.
        """

@final
class Child:
    """A child that was started, as its caller holds it."""

    pid: int
    sentinel: int
    """A pidfd, which is this object's."""
    def wait(self, timeout: float | None, /) -> tuple[int, str, bytes] | None:
        """Wait until it has ended; None when it still runs after ``timeout`` seconds (None: for ever).

        Returns its exit code, evidence of a shortage of memory, and its account. A zygote that died took its children
        with it: that is code -9, as the kernel did it. 255 when the program has closed what the child is known by.
        """

    def send_signal(self, number: int, /) -> None:
        """Send it a signal; one that has ended gets none."""

    def detach(self, way: Way | None, /) -> None:
        """Let it outlive the session; ``way`` leads to its zygote, if there still is one."""

@final
class Ask:
    """What a caller tells the zygote."""

    kind: str
    """'need' (offer a spare), 'taken' (it has work), 'stale' (the main module has changed) or 'detach'."""
    pid: int
    """Of which child; 0 where none is meant."""
    surroundings: bytes
    """The caller's, where it needs a spare."""
    streams: list[int]
    """The caller's, where it needs a spare; -1 for one that it has closed."""
    complete: bool
    """False when its descriptors found no room in this process."""
    tracker: int | None
    """What a resource tracker is to read from; None when the session has one."""
    def close(self) -> None:
        """Close the streams, and what the tracker reads from."""

def hear(bell: int, /) -> None:
    """Hear a bell; one that does not wait need not have been rung."""

def receive_ask(requests: int, /) -> Ask | None:
    """Receive what a caller tells the zygote, None when there is nothing. EOFError when nobody is left."""

def offer_failed(offers: int, error_number: int, /) -> None:
    """Say that the kernel forked none, by the number of its error."""

def offer_threaded(offers: int, /) -> None:
    """Say that there will be none, since importing the main module started threads."""

def take_back(callers_offers: int, offers: int, /) -> bool:
    """Take a spare back that was offered; false when there is none. What else was offered stays."""

def reap(pid: int, descriptors: tuple[int, int, int], shortage: Callable[[], str], /) -> None:
    """Reap a child that has ended, give back what it held, and tell its caller how it ended, and what its account says.

    ``descriptors`` are those of `Birth.offer`; ``shortage`` says, when it was killed, whether memory was short.
    """

def is_detached(line: int, /) -> bool:
    """Whether the caller of a child lets it outlive the session."""

@final
class Work:
    """What a spare is to become. Whoever reads the numbers owns the descriptors."""

    way: Way
    """To the zygote."""
    parent: int
    """A pidfd of the caller."""
    tracker: int
    """The write end of the resource tracker's pipe."""
    descriptors: list[int]
    """Those to which the arguments refer, by index."""
    surroundings: bytes
    """The caller's."""
    process: bytes
    """The pickled process object."""

    def take_place(self, spares: list[int], open_files: tuple[int, int], /) -> tuple[list[bool], bool]:
        """Once: close what only a spare has, limit the open files, make the caller's standard streams this process's.

        Returns which of them are open, and whether standard output is a terminal.
        """

def wait_for_work(line: int, bell: int, signals: list[int], rehearsal: list[Callable[[], object]], /) -> Work:
    """Wait for work: for the bell, and for the end of the line. EOFError when none will come.

    When the bell has rung, each part of ``rehearsal`` is called, once, as long as no work is there. ``signals`` are
    blocked: one that comes while there is no work is not for the process that this one will become, and is taken off.
    """

def close_all(descriptors: Sequence[int], /) -> None:
    """Close these descriptors; one that is closed already is no error."""

_Address = tuple[int, int, int]
"""Session, offset and generation: what a pickle says of an object in the arena."""

def create_arena(name: str, limit: int | None, /) -> None:
    """Make the arena of a new session, which may grow to ``limit`` bytes; this process, by name, is its first."""

def join_arena(name: str, descriptor: int, /) -> None:
    """Join the session whose arena a descriptor is; it is this process's from now on."""

def arena_descriptor() -> int | None:
    """Return the arena's descriptor, which stays the arena's; None when this process is in no session.

    OSError when the program has closed it.
    """

def arena_is_kept_here_only() -> bool:
    """Say whether another process is in the session, and none but this one has the arena's descriptor."""

def before_fork() -> None:
    """Before a fork: enter the child."""

def after_fork_in_parent() -> None:
    """After a fork, in the parent."""

def name_embryo(pid: int, /) -> None:
    """Say which pid the last child has that this thread has forked."""

def process_ended(pid: int, wait_status: int | None, /) -> None:
    """Say that a process of the session has ended, how if that is known: what it held is given back."""

def end_cleanly() -> None:
    """Say that this process is about to end: what it holds it leaves on purpose."""

def name_process_in_arena(name: str, /) -> None:
    """Say by which name others know this process."""

def sweep_arena() -> None:
    """Give back what processes held that have ended."""

def arena_account() -> tuple[int, int, int, int, int]:
    """Walk the heap; return live blocks, objects, their bytes, spans of 64 KB and references.

    ArenaCorruptError when the walk does not find what the arena's own numbers say.
    """

@disjoint_base
class Lock:
    """A lock that any process of the session may release."""

    def __new__(cls, name: str | None = None, recover: bool = True, address: _Address | None = None) -> Self: ...
    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquire it; False when it was not free in time."""

    def _acquire_at(self, site: int, block: bool, timeout: float | None, /) -> bool:
        """As ``acquire``, and record at which site that is."""

    def release(self) -> None:
        """Release it, whoever has it. ValueError when nobody has."""

    def __enter__(self) -> bool: ...
    def __exit__(self, _kind: object = None, _value: object = None, _traceback: object = None) -> None: ...
    def _is_mine(self) -> bool: ...
    def _count(self) -> int: ...
    def _get_value(self) -> int: ...
    def _is_zero(self) -> bool: ...
    def _address(self) -> _Address: ...
    def _name(self) -> str | None: ...
    def _holder(self) -> tuple[int, str] | None: ...
    def _waiters(self) -> int: ...

@disjoint_base
class RLock:
    """A lock that its thread may acquire again."""

    def __new__(cls, name: str | None = None, recover: bool = True, address: _Address | None = None) -> Self: ...
    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquire it, perhaps once more; False when it was not free in time."""

    def _acquire_at(self, site: int, block: bool, timeout: float | None, /) -> bool:
        """As ``acquire``, and record at which site that is."""

    def release(self) -> None:
        """Release it once. AssertionError when it is not this thread's."""

    def __enter__(self) -> bool: ...
    def __exit__(self, _kind: object = None, _value: object = None, _traceback: object = None) -> None: ...
    def _is_mine(self) -> bool: ...
    def _count(self) -> int: ...
    def _get_value(self) -> int: ...
    def _is_zero(self) -> bool: ...
    def _address(self) -> _Address: ...
    def _name(self) -> str | None: ...
    def _holder(self) -> tuple[int, str] | None: ...
    def _waiters(self) -> int: ...

@disjoint_base
class Semaphore:
    """A semaphore, which cannot be released above its `maximum`."""

    def __new__(
        cls,
        value: int = 1,
        maximum: int = 2147483647,
        name: str | None = None,
        recover: bool = False,
        address: _Address | None = None,
    ) -> Self: ...
    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquire it; False when its value was not above zero in time."""

    def release(self) -> None:
        """Release it. ValueError when its value would be above the largest."""

    def __enter__(self) -> bool: ...
    def __exit__(self, _kind: object = None, _value: object = None, _traceback: object = None) -> None: ...
    def _is_mine(self) -> bool: ...
    def _count(self) -> int: ...
    def _get_value(self) -> int: ...
    def _is_zero(self) -> bool: ...
    @property
    def maxvalue(self) -> int: ...
    def _address(self) -> _Address: ...
    def _name(self) -> str | None: ...
    def _waiters(self) -> int: ...

@disjoint_base
class Event:
    """A flag that can be waited for."""

    def __new__(cls, name: str | None = None, address: _Address | None = None) -> Self: ...
    def is_set(self) -> bool:
        """Whether it is set."""

    def set(self) -> None:
        """Set it: everybody who waits goes on."""

    def clear(self) -> None:
        """Clear it: who waits from now on waits."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; False when that took longer than ``timeout`` seconds."""

    def _address(self) -> _Address: ...
    def _name(self) -> str | None: ...
    def _waiters(self) -> int: ...

@disjoint_base
class Channel:
    """A queue of messages."""

    def __new__(
        cls, capacity: int, max_bytes: int = 0, name: str | None = None, address: _Address | None = None
    ) -> Self: ...
    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an object; queue.Full when there was no room in ``timeout`` seconds, or at once unless ``block``."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Get an object; queue.Empty when there was none in ``timeout`` seconds, or at once unless ``block``."""

    def put_many(self, objects: Iterable[Any], block: bool = True, timeout: float | None = None) -> int:
        """Put objects, in their order; return how many were put, less than all when there was no room in time."""

    def get_many(self, most: int | None = None, block: bool = True, timeout: float | None = None) -> list[Any]:
        """Get what there is, ``most`` objects at most, when there is something; queue.Empty as for `get`."""

    def _poll(self, timeout: float | None, /) -> bool: ...
    def _length(self) -> int: ...
    def _max_bytes(self) -> int: ...
    def _shut(self) -> None: ...
    def _drop_message(self) -> bool: ...
    def _listen(self, for_room: bool, /) -> int: ...
    def _is_shut(self) -> bool: ...
    def _is_full(self) -> bool: ...
    def _task_done(self) -> bool: ...
    def _unfinished(self) -> int: ...
    def _join(self) -> None: ...
    def _address(self) -> _Address: ...
    def _name(self) -> str | None: ...
    def _waiters(self) -> int: ...

@disjoint_base
class Table:
    """A dict in shared memory."""

    def __new__(cls, name: str | None = None, address: _Address | None = None, end: Event | None = None) -> Self: ...
    def __len__(self) -> int: ...
    def __contains__(self, key: Any, /) -> bool: ...
    def __getitem__(self, key: Any, /) -> Any: ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...
    def __delitem__(self, key: Any, /) -> None: ...
    def get(self, key: Any, default: Any = None, /) -> Any:
        """Return a key's value, or ``default``."""

    def pop(self, key: Any, /, *default: Any) -> Any:
        """Delete a key and return its value; without one ``default``, or KeyError."""

    def popitem(self) -> tuple[Any, Any]:
        """Delete the key that was inserted last; return it and its value. KeyError when there is none."""

    def setdefault(self, key: Any, default: Any = None, /) -> Any:
        """Return a key's value; without one insert ``default``, and return that."""

    def compare_and_set(self, key: Any, old: Any, new: Any, /) -> bool:
        """Set a key to ``new`` if its value equals ``old``; whether it did. A key that is not there has no value."""

    def clear(self) -> None:
        """Delete all keys."""

    def keys(self) -> list[Any]:
        """Return a list of the keys."""

    def values(self) -> list[Any]:
        """Return a list of the values."""

    def items(self) -> list[tuple[Any, Any]]:
        """Return a list of the keys with their values."""

    def _add(self, key: Any, number: int, /) -> int | None:
        """Add to the int that a key has, 0 without one, and return the sum; None when that is not done here."""

    def _apply(
        self,
        changes: Sequence[tuple[Any, ...]],
        seen: Sequence[tuple[Any, bytes | None]] | None = None,
        version: int | None = None,
        /,
    ) -> bool:
        """Set keys (tuples of key and value) and delete others (tuples of a key), all or none.

        None, and False, unless the version is this one, and keys have what was `_seen` (None: they are not there).
        """

    def _seen(self, key: Any, /) -> tuple[bytes, Any] | None:
        """Return what a key's value is known by, for `_apply`, and the value; None without one."""

    def _version(self) -> int:
        """Return a number that changes with whatever is changed."""

    def _turn(self) -> RLock:
        """Return the lock that transactions have one after another."""

    def _scan(self) -> TableScan: ...
    def _address(self) -> _Address: ...
    def _name(self) -> str | None: ...

@final
class TableScan:
    """Reads the keys of a table a part at a time."""

    def next_part(self) -> list[Any] | None:
        """Return what comes next; None when that is nothing."""

@disjoint_base
class List:
    """A list in shared memory; not to be used any more when the event ``end`` is set."""

    def __new__(cls, name: str | None = None, address: _Address | None = None, end: Event | None = None) -> Self: ...
    def __len__(self) -> int: ...
    def __contains__(self, value: Any, /) -> bool: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> Any: ...
    def __setitem__(self, index: SupportsIndex | slice, value: Any, /) -> None: ...
    def __delitem__(self, index: SupportsIndex | slice, /) -> None: ...
    def append(self, value: Any, /) -> None:
        """Have one item more, behind the last one."""

    def extend(self, iterable: Iterable[Any], /) -> None:
        """Have all items of an iterable behind the last one, at once."""

    def insert(self, index: SupportsIndex, value: Any, /) -> None:
        """Have one item more, before the one of an index."""

    def pop(self, index: SupportsIndex | None = None, /) -> Any:
        """Delete an item, the last one by default, and return it. IndexError when there is none."""

    def remove(self, value: Any, /) -> None:
        """Delete the first item that equals a value. ValueError when there is none."""

    def reverse(self) -> None:
        """Have the items in the opposite order."""

    def clear(self) -> None:
        """Delete all items."""

    def _repeat(self, times: int, /) -> None:
        """Have the items so many times, one after another."""

    def _find(self, value: Any, start: int, stop: int, /) -> int | None:
        """Return the index of the first item that equals a value, of those between two indices."""

    def _snapshot(self) -> tuple[int, list[Any]]:
        """Return a number that is another one when the list has changed, and the items, of one moment."""

    def _arrange(self, version: int, order: Sequence[int], /) -> bool:
        """Have the items in the order of these indices, if nothing has changed since a snapshot; whether it did."""

    def _part(self, start: int, /) -> list[Any]:
        """Return some thousand items, from an index on; an empty list at the end."""

    def _address(self) -> _Address: ...
    def _name(self) -> str | None: ...

@disjoint_base
class Claim:
    """Which task a worker has."""

    def __new__(cls, address: _Address | None = None) -> Self: ...
    def _noted(self) -> tuple[int, int] | None:
        """Return None before the worker has looked for a task; else numbers of its task and of the message, or 0, 0."""

    def _noted_since(self) -> tuple[int, int, int] | None:
        """Return the numbers of the worker's task and its message, and when it was taken (CLOCK_BOOTTIME, in ns)."""

    def _clear(self) -> None: ...
    def _address(self) -> _Address: ...
    def _name(self) -> str | None: ...

@final
class Numbers:
    """Numbers of tasks, each given once until all were."""

    def __new__(cls) -> Self: ...
    def take(self, count: int, /) -> int:
        """Return the first of so many that follow one another; none is 0."""

def put_labelled(channel: Channel, obj: Any, number: int, mark: int, by_name: bool, /) -> int:
    """Put an object with a number, and a mark below 128; return how many bytes it has in a block of its own, or 0.

    With a mark above 127 it is a pickle as `collect` has given it, and is put as it is.
    """

def stop_process(channel: Channel, pidfd: int, pid: int, /) -> bool:
    """Stop a process where it has no lock that others need who look at the channel; False: it goes on, try again."""

def put_parts(
    channel: Channel, head: bytes, items: list[Any], start: int, lengths: Sequence[int], number: int, mark: int, /
) -> int:
    """Put ``(head, part)`` for parts of these lengths, while they have natural encodings; return how many were put."""

def claim_task(channel: Channel, claim: Claim, timeout: float | None = None, /) -> tuple[int, int, Any] | None:
    """Get number, mark and object of the next task, which the claim has noted before; None when none comes in time."""

def collect(channel: Channel, into: list[tuple[int, int, Any]], timeout: float | None, /) -> bool:
    """Append what there is, when there is something, pickles with a mark above 127; False when nothing came in time."""

def has_given(channel: Channel, number: int, /) -> bool:
    """Return whether somebody has taken the message of this number."""

def next_message(channel: Channel, /) -> int:
    """Return the number of the message that is put next; what was put before has lower ones, modulo 2**32."""

@disjoint_base
class Connection:
    """One end of a pipe: the channels from and to the other one, and a descriptor, which is this object's to close."""

    def __new__(cls, handle: int, incoming: Channel | None, outgoing: Channel | None, /) -> Self: ...
    def send(self, obj: Any) -> None:
        """Send an object."""

    def send_bytes(self, buf: Buffer, offset: int = 0, size: int | None = None) -> None:
        """Send ``size`` bytes (default: all the rest) of an object that has bytes, from the ``offset``th on."""

    def recv(self) -> Any:
        """Receive an object; EOFError when there is none, and nobody has the other end."""

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Wait ``timeout`` seconds at most until there is something to receive, or the end; True when there is."""

    def fileno(self) -> int:
        """Return the descriptor, readable when there may be a message, or the end."""

    def close(self) -> None:
        """Close this end, in this process."""

    @property
    def _handle(self) -> int | None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def readable(self) -> bool: ...
    @property
    def writable(self) -> bool: ...
    def _close(self) -> None: ...
    def _receive_bytes(self) -> bytes: ...
    def _stop_reading(self) -> None: ...
    def _channels(self) -> tuple[Channel | None, Channel | None]: ...

@disjoint_base
class Condition:
    """A place to wait until somebody says that something has changed; ``lock`` belongs to it."""

    def __new__(cls, lock: Any, name: str | None = None, address: _Address | None = None) -> Self: ...
    @property
    def _lock(self) -> Any: ...
    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, wait for a notification, and acquire the lock again; False when none came in time."""

    def notify(self, n: int = 1) -> None:
        """Wake up to ``n`` of those who wait, the longest waiting first."""

    def notify_all(self) -> None:
        """Wake everybody who waits."""

    def _address(self) -> _Address: ...
    def _name(self) -> str | None: ...
    def _waiters(self) -> int: ...

@disjoint_base
class Barrier:
    """A place where ``parties`` meet."""

    def __new__(cls, parties: int, name: str | None = None, address: _Address | None = None) -> Self: ...
    def _pass(self, timeout: float | None, action: Callable[[], object] | None, /) -> int: ...
    def reset(self) -> None:
        """Begin anew; who waits is told that the barrier is broken."""

    def abort(self) -> None:
        """Break it."""

    @property
    def parties(self) -> int:
        """How many have to come."""

    @property
    def n_waiting(self) -> int:
        """How many wait."""

    @property
    def broken(self) -> bool:
        """Whether it is broken."""

    def _address(self) -> _Address: ...
    def _name(self) -> str | None: ...
    def _waiters(self) -> int: ...

@final
class Blocked:
    """A thread that waits for a lock which the next one of its deadlock has."""

    process_name: str
    pid: int
    thread_id: int
    """The kernel's number of the thread."""
    waited_seconds: float
    has_timeout: bool
    """Whether it waits for a limited time."""
    waiting_at: str | None
    """The site of the call that waits, where that was recorded."""
    recursive: bool
    """Whether the lock is an RLock."""
    lock_name: str | None
    lock_handle: int
    acquired_at: str | None
    """The site at which who has the lock has acquired it, where that was recorded."""

def read_deadlocks() -> list[list[Blocked]]:
    """Return the deadlocks of the session; in each, who is blocked: the lock that one waits for the next one has."""

def read_abandoned_waits() -> list[tuple[Blocked, int, str]]:
    """Return who waits for a lock whose owner has ended with it: with that one's pid and name, 0 and "" if unknown."""

def acquire_site(text: str, /) -> int:
    """Return the number by which a place in the program is known in the session; 0 when there is no room for it."""

@final
class Reducers:
    """What `ForkingPickler` looks reducers up in, as one mapping; they may be registered at any time.

    The first dict has those that were registered for travel between processes, the second one `copyreg`'s.
    ``repeatable``: types of the first ones whose reducers make nothing for a single receiver.
    """

    def __new__(
        cls,
        registered: dict[type, Callable[[Any], Any]],
        others: dict[type, Callable[[Any], Any]],
        repeatable: frozenset[type] | None = None,
        /,
    ) -> Self: ...
    @property
    def is_for_one(self) -> bool:
        """Whether one was looked up that may make something for a single receiver."""

    def __getitem__(self, kind: type, /) -> Callable[[Any], Any]:
        """Look where they are registered. KeyError for a type without one."""

def dumps(obj: Any, longest: int, /) -> bytes | Memory:
    """Pickle an object: by name, or by value what cannot be by name. Raises what pickling it by name raises.

    A Memory when it is longer than ``longest`` bytes, or has large buffers.
    """

def dumps_by_name(obj: Any, longest: int, reducers: Reducers | None = None, /) -> bytes | Memory:
    """Pickle an object by name; with other reducers than usual, if any are given.

    What has no name in its receiver raises what pickling raises.
    """

def loads(pickle: bytes, again: bool = False, /) -> Any:
    """Make the object that a pickle is of, as `pickle.loads` does; faster the third time, if it comes ``again``."""

def gathering() -> dict[_Address, Any] | None:
    """Return the handles that are kept beside what this thread pickles just now, by the addresses of what they are to.

    None where who sends a handle keeps what it is to.
    """

def is_pickled_for_all() -> bool:
    """Whether what this thread pickles just now is kept where any number of processes may read it."""

def with_handles(dumps: Callable[[], bytes | Memory], /) -> bytes | Memory:
    """Have a pickle that a function makes live together with what the handles in it are to: then it is a Memory."""

def without_handles(call: Callable[[], _T], /) -> _T:
    """Call something that pickles, and return what it returns; the handles in it are nobody's."""

def without_gathering(call: Callable[[], _T], /) -> _T:
    """Call something that pickles for somebody else than this thread does just now, if it does."""

def note_main(found: bool, /) -> None:
    """Note whether children find what the main module defines under its name."""

@final
class Memory:
    """Memory that every process of the session may have; anything may be in it unless it is ``zeroed``."""

    def __new__(
        cls, size: int, address: _Address | None = None, writable: bool = True, zeroed: bool = True
    ) -> Self: ...
    @property
    def address(self) -> int:
        """Where it begins in this process, as long as this object lives; to be read only, unless it is writable."""

    @property
    def size(self) -> int:
        """How long it is, in bytes."""

    @property
    def position(self) -> int:
        """Where it begins in the arena's file, in bytes."""

    @property
    def is_apart(self) -> bool:
        """Whether it has pages of its own, which nothing else lies in."""

    def fill(self, at: int, buffer: Buffer, /) -> None:
        """Copy a buffer that lies in one piece to where this is writable, from ``at`` bytes on.

        ValueError where it does not fit.
        """

    def _address(self) -> _Address: ...

def add_number(memory: Memory, at: int, code: str, number: float, /) -> float:
    """Add to a number of this type code, ``at`` bytes from the beginning, in one instruction; return the sum."""

def add_shared_attributes(cls: type, /) -> None:
    """Put ``__getattribute__`` and ``__setattr__`` into a class whose objects stand for a shared dict.

    They have it as ``_object``; attributes that begin with an underscore are their own. What is rare is asked of the
    class's ``_get_attribute(name)`` and ``_set_attribute(name, value)``; ``_lacks_attribute(name)`` raises that there
    is none.
    """

def exchange_number(memory: Memory, at: int, code: str, expected: float, replacement: float, /) -> bool:
    """Replace a number of this type code if it equals ``expected``, in one instruction; return whether it did."""

def add_fast_channel_methods(channel: type[Channel], /) -> None:
    """Put the fast ``put`` and ``get`` into a class derived from Channel."""

def add_fast_methods(lock: type[Lock], rlock: type[RLock], semaphore: type[Semaphore], /) -> None:
    """Put the fast ``acquire``, ``release``, ``__enter__`` and ``__exit__`` into classes derived from these."""
