"""Large buffers are copied into blocks of shared memory, and nothing beside them."""

import pytest
from allcores import _core, get_context
from allcores._memory_view import view_of

LARGE_BYTES = 4 << 20
"""From here on a copy goes past the caches (`src/sys/copying.rs`)."""


@pytest.mark.parametrize("length", [LARGE_BYTES - 1, LARGE_BYTES, 2 * LARGE_BYTES + 77])
def test_large_messages_arrive_as_they_were_sent(length: int) -> None:
    pattern = bytes(range(251)) * (length // 251 + 1)
    sent = bytearray(pattern[:length])
    queue = get_context("fork").Queue()
    queue.put((sent, sent[1:]))
    sent[:] = bytes(length)
    whole, part = queue.get()
    assert whole == pattern[:length]
    assert part == pattern[1:length]


def test_a_block_is_filled_where_it_is_said_and_nowhere_else() -> None:
    block = _core.Memory(3 * LARGE_BYTES)
    view = view_of(block).cast("B")
    block.fill(5, b"x" * (2 * LARGE_BYTES + 3))
    block.fill(3 * LARGE_BYTES - 2, b"yz")
    assert bytes(view[:5]) == bytes(5)
    assert bytes(view[5 : 2 * LARGE_BYTES + 8]) == b"x" * (2 * LARGE_BYTES + 3)
    assert bytes(view[2 * LARGE_BYTES + 8 :]) == bytes(LARGE_BYTES - 10) + b"yz"


def test_what_does_not_fit_into_a_block_is_refused() -> None:
    block = _core.Memory(100)
    to_read = _core.Memory(100, block._address(), False)
    for memory, at, buffer in (
        (block, 0, bytes(101)),
        (block, 100, b"x"),
        (block, 2**64 - 1, b"xx"),
        (block, 1, view_of(block).cast("B")[:50]),
        (block, 0, memoryview(bytes(40))[::2]),
        (to_read, 0, b"x"),
    ):
        with pytest.raises(ValueError, match="does not fit"):
            memory.fill(at, buffer)
    assert bytes(view_of(block)) == bytes(100)
