"""What managers hand out that lives in the session's shared memory, and not in a server."""

__all__: list[str] = []
