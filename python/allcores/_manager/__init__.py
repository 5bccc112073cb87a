"""What managers hand out, and proxies of what is in their servers (README.md)."""

# First: a pickle may name any module of these. Under install() the first import of the standard library's managers
# brings ours, which needs these whole.
import allcores.managers  # noqa: F401

__all__: list[str] = []
