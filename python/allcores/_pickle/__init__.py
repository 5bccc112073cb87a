"""Turning objects into bytes for another process: by name where possible, by value where not."""

__all__: list[str] = []
