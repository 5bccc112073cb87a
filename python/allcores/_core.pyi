"""The face of the native core, written by hand; ``tests/test_house_rules.py`` compares it with the binary."""

__all__ = [
    "__version__",
    "die_with_parent",
    "leads_back",
    "pending_signals",
    "process_state",
    "receive_message",
    "send_message",
    "set_process_name",
    "signals_of_state",
    "socket_pair",
    "take_over_state",
]

__version__: str

def die_with_parent(parent_pid: int, /) -> bool:
    """Bind this process to its parent: the kernel sends SIGKILL when the thread that forked it ends.

    False means that the parent, which should be ``parent_pid``, has ended already.
    """

def set_process_name(name: str, /) -> None:
    """Set the name that ``ps`` and ``top`` show for this process.

    At most 15 bytes, without NUL; otherwise OSError or ValueError.
    """

def pending_signals(signals: list[int], /) -> int:
    """Return a descriptor, closed on exec and never waiting, that is readable while one of these signals is pending.

    They have to be blocked; one that is not is delivered instead. ``os.read`` takes it off.
    """

def socket_pair() -> tuple[int, int]:
    """Return two connected sockets of the kind SEQPACKET, closed on exec and numbered above the standard streams."""

def send_message(socket: int, data: bytes, descriptors: list[int], /, *, wait: bool = True) -> None:
    """Send one message with at most 253 descriptors, of which the receiver gets copies.

    BrokenPipeError when nobody can receive it; without ``wait`` BlockingIOError when there is no room. While it waits,
    other threads run, and signal handlers that raise end it; then nothing was sent.
    """

def receive_message(socket: int, size: int, /, *, peek: bool = False, wait: bool = True) -> tuple[bytes, list[int]]:
    """Receive one message of at most ``size`` bytes with its descriptors; empty bytes at the end.

    With ``peek`` it stays there, for others to receive. No descriptors at all when this process has no room for all of
    them. OSError for a longer message; without ``wait`` BlockingIOError when there is none.
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
