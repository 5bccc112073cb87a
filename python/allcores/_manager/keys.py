"""Which plain object a key of a shared dict is equal to: that one's bytes are the key's."""

from __future__ import annotations

from typing import Any

__all__ = ["canonical"]

_BIG, _SURROGATES, _TUPLE = 10, 12, 13
"""Kinds of keys (``src/py/plain.rs``) that are compared as bytes, and made of a pickle beside these."""

_Canonical = tuple[Any] | tuple[int, bytes] | None


def canonical(key: Any) -> _Canonical:
    """Return something plain in a tuple, or a kind and bytes; None for what is not equal to anything plain.

    Called for what is not of exactly a plain type, or does not fit into its encoding.
    """
    if isinstance(key, tuple):
        return _of_tuple(key)
    if isinstance(key, (str, bytes)):
        plain: Any = str.__str__(key) if isinstance(key, str) else bytes(memoryview(key))
        return _of_plain(plain) if key == plain and hash(key) == hash(plain) else None
    for convert in (int, float, _real):
        try:
            number = convert(key) if _is_number(key) else None
        except (TypeError, ValueError, OverflowError):
            continue
        if number is not None and key == number and hash(key) == hash(number):
            return _of_plain(number)
    return None


def _real(key: Any) -> float:
    return complex(key).real


def _is_number(key: Any) -> bool:
    """Whether an object may be equal to an int or float. (int and float read strings, too.)"""
    return any(hasattr(type(key), name) for name in ("__index__", "__int__", "__float__", "__complex__"))


def _of_plain(plain: Any) -> _Canonical:
    if isinstance(plain, str):
        try:
            plain.encode()
        except UnicodeEncodeError:
            return _SURROGATES, plain.encode("utf-8", "surrogatepass")
    elif isinstance(plain, int) and not -(1 << 63) <= plain < 1 << 63:
        try:
            real = float(plain)
        except OverflowError:
            return _BIG, b"%x" % plain
        return (real,) if real == plain else (_BIG, b"%x" % plain)
    return (plain,)


def _of_tuple(key: tuple[Any, ...]) -> _Canonical:
    parts = [_part(item) for item in key]
    if None in parts or (type(key) is not tuple and (tuple(key) != key or hash(key) != hash(tuple(key)))):
        return None
    if all(part is not None and len(part) == 1 for part in parts):
        return (tuple(part[0] for part in parts if part is not None),)
    return _TUPLE, repr(parts).encode("ascii", "backslashreplace")


def _part(item: Any) -> _Canonical:
    kind = type(item)
    if item is None:
        return (None,)
    if kind is bool or (kind is float and item.is_integer()):
        return _of_plain(int(item))
    if kind is float:
        return None if item != item else (item,)
    if kind in (int, str, bytes):
        return _of_plain(item)
    return canonical(item)
