"""Which names of which standard modules install() replaces."""

__all__ = ["REPLACED"]

REPLACED: dict[str, tuple[str, tuple[str, ...]]] = {
    # standard module: (module that has ours, names)
    "concurrent.futures.process": ("allcores.futures", ("ProcessPoolExecutor",)),
    "multiprocessing.connection": ("allcores.connection", ("Pipe",)),
    "multiprocessing.managers": (
        "allcores.managers",
        (
            "AcquirerProxy",
            "ArrayProxy",
            "AutoProxy",
            "BarrierProxy",
            "BaseListProxy",
            "BaseManager",
            "BasePoolProxy",
            "BaseProxy",
            "ConditionProxy",
            "DictProxy",
            "EventProxy",
            "IteratorProxy",
            "ListProxy",
            "MakeProxyType",
            "NamespaceProxy",
            "PoolProxy",
            "Server",
            "SharedMemoryManager",
            "SyncManager",
            "ValueProxy",
        ),
    ),
    "multiprocessing.pool": ("allcores.pool", ("Pool", "ThreadPool")),
    "multiprocessing.queues": ("allcores.queues", ("JoinableQueue", "Queue", "SimpleQueue")),
    "multiprocessing.shared_memory": ("allcores.shared_memory", ("ShareableList", "SharedMemory")),
    "multiprocessing.sharedctypes": (
        "allcores.sharedctypes",
        ("Array", "RawArray", "RawValue", "Value", "copy", "synchronized"),
    ),
    "multiprocessing.synchronize": (
        "allcores.synchronize",
        ("Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"),
    ),
    "multiprocessing.spawn": ("allcores._install.announce", ("get_preparation_data",)),
}
"""The package's own names, those of ``multiprocessing.__all__``, are replaced besides; and what ``concurrent.futures``,
which loads a name when it is asked for, has loaded."""
