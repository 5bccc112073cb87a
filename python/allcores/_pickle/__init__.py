"""Turning a process object into bytes for a child: by name where possible, by value where not."""

from allcores._pickle.payload import Payload

__all__ = ["Payload"]
