"""``allcores clean``: removing what programs left behind when they were killed."""

from __future__ import annotations

from allcores.cli import complain, show_usage, usage_error

__all__ = ["clean"]


def clean(words: list[str]) -> int:
    """Remove abandoned segments of shared memory, and print the name and size of each; return the exit status."""
    if words in (["-h"], ["--help"]):
        return show_usage()
    if words:
        return usage_error(f"clean takes no arguments, and was given {words[0]!r}")
    from allcores._segments.sweep import sweep

    removed = sorted(sweep(), key=lambda one: one.name)
    lines = [f"removed {one.name}, {one.size_bytes} bytes" for one in removed]
    try:
        print("\n".join(lines or ["nothing was left behind"]), flush=True)
    except OSError as error:
        complain(f"allcores: what was removed could not be written: {error.strerror}")
        return 1
    return 0
