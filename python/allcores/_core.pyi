"""The face of the native core, written by hand; ``tests/test_house_rules.py`` compares it with the binary."""

__all__ = ["__version__", "die_with_parent", "set_process_name"]

__version__: str

def die_with_parent(parent_pid: int, /) -> bool:
    """Bind this process to its parent: the kernel sends SIGKILL when the thread that forked it ends.

    False means that the parent, which should be ``parent_pid``, has ended already.
    """

def set_process_name(name: str, /) -> None:
    """Set the name that ``ps`` and ``top`` show for this process.

    At most 15 bytes, without NUL; otherwise OSError or ValueError.
    """
