"""``allcores map``: see the README beside this file."""

__all__: list[str] = []
