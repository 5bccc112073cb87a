"""What one backlog of messages has had is there for everything else afterwards."""

from pathlib import Path

from lock_programs import prints


def test_after_a_backlog_up_to_the_limit_all_kinds_of_objects_can_be_made(tmp_path: Path) -> None:
    main = """
os.environ["ALLCORES_ARENA_BYTES"] = str(24 << 20)
queue = mp.Queue()
for _ in range(3):
    count = 0
    try:
        while True:
            queue.put(bytes(1000))
            count += 1
    except MemoryError:
        pass
    assert count > 10_000, count
    assert sum(len(queue.get()) for _ in range(count)) == 1000 * count
    made = [mp.Lock(), mp.Event(), mp.Value("i"), mp.Queue(), mp.Pipe(), mp.Barrier(2), mp.Array("d", 1000)]
    process = mp.Process(target=made[3].put, args=("there",))
    process.start()
    print(made[3].get(timeout=30))
    process.join()
"""
    assert prints(tmp_path, "", main, "fork") == "there\n" * 3


def test_the_memory_of_a_backlog_is_there_for_large_objects_where_it_is_limited(tmp_path: Path) -> None:
    main = """
os.environ["ALLCORES_ARENA_BYTES"] = str(64 << 20)
queue = mp.Queue()
for _ in range(2):
    for _ in range(40_000):
        queue.put(bytes(1000))
    while not queue.empty():
        queue.get()
    large = mp.RawArray("b", 48 << 20)
    print(len(large))
    try:
        for count in range(40_000):
            queue.put(bytes(1000))
    except mp.errors.ArenaFullError:
        print("full")
    del large
    gc.collect()
    while not queue.empty():
        queue.get()
"""
    assert prints(tmp_path, "", main, "fork") == f"{48 << 20}\nfull\n" * 2
