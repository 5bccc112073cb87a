"""The decisions about spares, on plain numbers."""

from allcores._zygote.spares import SpareKeeper


def settled(keeper: SpareKeeper, now: float) -> int:
    """Fork as often as is asked at this moment; return how many."""
    count = 0
    while keeper.seconds_to_fork(now) == 0:
        keeper.forked()
        count += 1
    return count


def test_a_quiet_session_has_two_spares_and_then_waits_for_nothing() -> None:
    keeper = SpareKeeper()
    assert settled(keeper, 100.0) == 2
    assert keeper.seconds_to_fork(100.0) is None
    assert keeper.seconds_to_shrink(100.0) is None


def test_a_spare_that_was_taken_is_replaced_when_it_is_quiet() -> None:
    keeper = SpareKeeper()
    settled(keeper, 100.0)
    keeper.taken(200.0)
    wait = keeper.seconds_to_fork(200.0)
    assert wait is not None and 0 < wait < 0.1
    assert settled(keeper, 200.0 + wait) == 1


def test_a_burst_is_served_at_once_and_with_more_spares() -> None:
    keeper = SpareKeeper()
    settled(keeper, 100.0)
    for _ in range(2):
        keeper.taken(200.0)
    assert not keeper.in_burst(200.0)
    for _ in range(5):
        keeper.missed(200.001)
        keeper.forked()
        keeper.taken(200.001)
    assert keeper.in_burst(200.002)
    assert settled(keeper, 200.002) == 4


def test_after_a_burst_spares_are_let_go() -> None:
    keeper = SpareKeeper()
    for _ in range(5):
        keeper.missed(200.0)
        keeper.forked()
        keeper.taken(200.0)
    settled(keeper, 200.0)
    assert keeper.surplus(200.1) == 0
    wait = keeper.seconds_to_shrink(200.1)
    assert wait is not None and wait > 0
    assert keeper.surplus(200.1 + wait) == 2
    for _ in range(2):
        keeper.lost(200.1 + wait)
    assert keeper.surplus(300.0) == 0
    assert keeper.seconds_to_shrink(300.0) is None
    assert keeper.seconds_to_fork(300.0) is None


def test_spares_that_cannot_live_and_forks_that_fail_are_not_insisted_on() -> None:
    keeper = SpareKeeper()
    settled(keeper, 100.0)
    keeper.lost(200.0)
    wait = keeper.seconds_to_fork(200.0)
    assert wait is not None and wait > 1
    assert keeper.seconds_to_fork(200.0 + wait) == 0
    keeper.failed(300.0)
    wait = keeper.seconds_to_fork(300.0)
    assert wait is not None and wait > 1


def test_the_count_never_falls_below_nothing() -> None:
    keeper = SpareKeeper()
    keeper.taken(1.0)
    keeper.lost(1.0)
    assert keeper.idle == 0
