"""Which names of which submodules of ``multiprocessing`` install() replaces."""

__all__ = ["REPLACED"]

REPLACED: dict[str, tuple[str, tuple[str, ...]]] = {
    # submodule: (module that has ours, names)
    "connection": ("allcores.connection", ("Pipe",)),
    "managers": ("allcores.managers", ("BaseManager", "SharedMemoryManager", "SyncManager")),
    "pool": ("allcores.pool", ("Pool", "ThreadPool")),
    "queues": ("allcores.queues", ("JoinableQueue", "Queue", "SimpleQueue")),
    "shared_memory": ("allcores.shared_memory", ("ShareableList", "SharedMemory")),
    "sharedctypes": (
        "allcores.sharedctypes",
        ("Array", "RawArray", "RawValue", "Value", "copy", "synchronized"),
    ),
    "synchronize": (
        "allcores.synchronize",
        ("Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"),
    ),
    "spawn": ("allcores._install.announce", ("get_preparation_data",)),
}
"""The package's own names, those of ``multiprocessing.__all__``, are replaced besides."""
