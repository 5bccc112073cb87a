"""Named shared memory that nobody forgets: who a segment belongs to, and who removes it. README.md has the protocol."""

__all__: list[str] = []
