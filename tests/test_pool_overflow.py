"""Large arguments of `apply_async` and `map_async`: so many bytes are on their way, the rest waits for room."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import allcores
import pytest
from running import METHODS, guarded, program, run

HANG_LIMIT_SECONDS = 60
SIZE = 8 << 20
"""Seven of that are more than may be on their way."""


@pytest.fixture
def pool() -> Iterator[Any]:
    with allcores.Pool(2) as pool:
        yield pool
    pool.join()


def until(folder: str, name: str) -> None:
    while not Path(folder, name).exists():
        time.sleep(0.01)


def wait_for_go(folder: str, data: bytes, number: int) -> tuple[int, int]:
    until(folder, "go")
    return number, len(data)


def note(folder: str, data: bytes, number: int) -> None:
    with open(Path(folder, "order"), "a") as file:
        file.write(f"{number} ")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("call", "chunksize"), [("apply_async", None), ("starmap_async", None), ("starmap_async", 2)])
def test_what_does_not_fit_waits_and_all_of_it_is_done(
    method: str, call: str, chunksize: int | None, tmp_path: Path
) -> None:
    definitions = f"""
import allcores, os, time
def wait_for_go(data, number):
    while not os.path.exists("go"):
        time.sleep(0.01)
    return number, len(data)
SIZE = {SIZE}
"""
    main = f"""
with allcores.get_context({method!r}).Pool(2) as pool:
    data = bytes(SIZE)
    if {call!r} == "apply_async":
        results = [pool.apply_async(wait_for_go, (data, number)) for number in range(60)]
    else:
        items = [(data, number) for number in range(60)]
        result = pool.starmap_async(wait_for_go, items, {chunksize})
        items.clear()
    open("go", "w").close()  # who had waited for room in the calls above would never have come here
    done = [result.get() for result in results] if {call!r} == "apply_async" else result.get()
    assert done == [(number, SIZE) for number in range(60)]
    assert pool.apply(len, (data,)) == SIZE
    print("done")
"""
    command = ["env", "-C", tmp_path, "ALLCORES_ARENA_BYTES=150000000", sys.executable]
    outcome = run([*command, program(tmp_path, guarded(definitions, main))])
    assert (outcome.status, outcome.out, outcome.err) == (0, "done\n", "")


def test_they_are_done_in_their_order_and_small_ones_wait_their_turn(tmp_path: Path) -> None:
    with allcores.Pool(1) as pool:
        first = pool.apply_async(wait_for_go, (str(tmp_path), bytes(SIZE), 0))
        for number in range(30):
            pool.apply_async(note, (str(tmp_path), bytes(SIZE if number % 3 else 1), number))
        (tmp_path / "go").touch()
        assert first.get(HANG_LIMIT_SECONDS) == (0, SIZE)
        pool.close()
        pool.join()
    assert (tmp_path / "order").read_text().split() == [str(number) for number in range(30)]


def test_callbacks_are_called_and_errors_told_of_what_had_to_wait(pool: Any, tmp_path: Path) -> None:
    called: list[Any] = []
    arguments = str(tmp_path), bytes(SIZE)
    results = [
        pool.apply_async(wait_for_go, (*arguments, number), callback=called.append, error_callback=called.append)
        for number in range(20)
    ]
    with open(os.devnull) as file:
        bad = pool.apply_async(wait_for_go, (*arguments, file), error_callback=called.append)
        (tmp_path / "go").touch()
        with pytest.raises(TypeError, match="TextIOWrapper"):
            bad.get(HANG_LIMIT_SECONDS)
    assert [result.get(HANG_LIMIT_SECONDS) for result in results] == [(number, SIZE) for number in range(20)]
    pool.close()
    pool.join()
    assert sorted(item[0] for item in called if isinstance(item, tuple)) == list(range(20))
    assert sum(isinstance(item, TypeError) for item in called) == 1


def test_nobody_has_to_wait_for_a_result_for_the_rest_to_be_sent(pool: Any, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    for number in range(30):
        pool.apply_async(note, (str(tmp_path), bytes(SIZE), number))
    deadline = time.monotonic() + HANG_LIMIT_SECONDS
    while not (tmp_path / "order").exists() or len((tmp_path / "order").read_text().split()) < 30:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_pool_that_is_terminated_tells_those_that_wait_for_room(tmp_path: Path) -> None:
    pool = allcores.Pool(2)
    results = [pool.apply_async(wait_for_go, (str(tmp_path), bytes(SIZE), number)) for number in range(20)]
    caught: list[BaseException] = []

    def wait_for_the_last() -> None:
        try:
            results[-1].get(HANG_LIMIT_SECONDS)
        except allcores.PoolTerminatedError as error:
            caught.append(error)

    waiting = threading.Thread(target=wait_for_the_last)
    waiting.start()
    pool.terminate()
    pool.join()
    waiting.join(HANG_LIMIT_SECONDS)
    assert len(caught) == 1
    for result in results:
        with pytest.raises(allcores.PoolTerminatedError):
            result.get(HANG_LIMIT_SECONDS)


def size_after_go(item: tuple[str, Any]) -> int:
    until(item[0], "go")
    return len(item[1])


def test_a_map_s_parts_wait_their_turn_and_calls_behind_them(tmp_path: Path) -> None:
    large = [(str(tmp_path), bytes(SIZE), number) for number in range(20)]
    with allcores.Pool(1) as pool:
        first = pool.apply_async(wait_for_go, large[0])
        pool.starmap_async(note, large[1:], 1)
        pool.starmap_async(note, [(str(tmp_path), b"", number) for number in range(20, 25)])
        pool.apply_async(note, (str(tmp_path), b"", 25))
        (tmp_path / "go").touch()
        assert first.get(HANG_LIMIT_SECONDS) == (0, SIZE)
        pool.close()
        pool.join()
    assert (tmp_path / "order").read_text().split() == [str(number) for number in range(1, 26)]


def test_an_item_that_cannot_be_pickled_later_fails_its_map(pool: Any, tmp_path: Path) -> None:
    called: list[Any] = []
    folder = str(tmp_path)
    with open(os.devnull) as file:
        items = [(folder, bytes(SIZE)) for _ in range(20)] + [(folder, file)]
        bad = pool.map_async(size_after_go, items, 1, error_callback=called.append)
        good = pool.map_async(size_after_go, items[:-1], 1, callback=called.append)
        (tmp_path / "go").touch()
        with pytest.raises(TypeError, match="TextIOWrapper"):
            bad.get(HANG_LIMIT_SECONDS)
        assert good.get(HANG_LIMIT_SECONDS) == [SIZE] * 20
    assert len(called) == 2


def test_a_pool_that_is_terminated_tells_maps_that_wait_for_room(tmp_path: Path) -> None:
    pool = allcores.Pool(2)
    results = [pool.map_async(size_after_go, [(str(tmp_path), bytes(SIZE))] * 20, 1) for _ in range(2)]
    pool.terminate()
    pool.join()
    for result in results:
        with pytest.raises(allcores.PoolTerminatedError):
            result.get(HANG_LIMIT_SECONDS)


def test_a_map_of_a_pool_that_is_lent_waits_for_room_too(pool: Any, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    assert pool.apply(map_with, (pool, str(tmp_path))) == [SIZE] * 20


def map_with(pool: Any, folder: str) -> list[int]:
    sizes: list[int] = pool.map_async(size_after_go, [(folder, bytes(SIZE))] * 20, 1).get(HANG_LIMIT_SECONDS)
    return sizes


def die_once(folder: str, data: bytes, number: int) -> int:
    until(folder, "go")
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_dies_frees_the_room_of_its_task(pool: Any, tmp_path: Path) -> None:
    results = [pool.apply_async(die_once, (str(tmp_path), bytes(SIZE), number)) for number in range(30)]
    (tmp_path / "go").touch()
    for number, result in enumerate(results):
        if number == 3:
            with pytest.raises(allcores.WorkerDiedError, match="SIGKILL"):
                result.get(HANG_LIMIT_SECONDS)
        else:
            assert result.get(HANG_LIMIT_SECONDS) == number
    parts = pool.starmap_async(die_once, [(str(tmp_path), bytes(SIZE), number) for number in range(30)], 1)
    with pytest.raises(allcores.WorkerDiedError, match="SIGKILL"):
        parts.get(HANG_LIMIT_SECONDS)
    assert pool._engine.overflow._room._sizes == {}


def test_one_that_does_not_fit_at_all_is_a_clear_error_and_the_pool_goes_on(tmp_path: Path) -> None:
    main = """
with allcores.Pool(2) as pool:
    try:
        pool.apply_async(len, (bytes(200 << 20),))
    except allcores.ArenaFullError as error:
        print("ALLCORES_ARENA_BYTES" in str(error))
    print(pool.apply(len, (bytes(8 << 20),)))
"""
    command = ["env", "ALLCORES_ARENA_BYTES=150000000", sys.executable]
    outcome = run([*command, program(tmp_path, guarded("import allcores", main))])
    assert (outcome.status, outcome.out, outcome.err) == (0, f"True\n{8 << 20}\n", "")
