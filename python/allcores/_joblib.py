"""joblib, and so scikit-learn, on allcores: `register_joblib`. joblib is imported when that is called."""

from __future__ import annotations

__all__ = ["register_joblib"]


def register_joblib(make_default: bool = False) -> None:
    """Make the backend ``"allcores"`` known to joblib, and with ``make_default`` what it uses where none is named.

    >>> import allcores, joblib
    >>> allcores.register_joblib()
    >>> with joblib.parallel_config(backend="allcores"):  # doctest: +SKIP
    ...     joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(number) for number in (-1, 2))
    [1, 2]

    What takes ``n_jobs`` (scikit-learn's estimators and functions, for instance) then runs in processes of allcores, in
    this block or, with ``make_default``, everywhere. Workers are kept for the next call, and end when there was none
    for five minutes. One that is killed costs the batch that it had, whose error is `WorkerDiedError`. Arrays of numpy
    of more than joblib's ``max_nbytes`` (1 MB) are copied once for a call and shared, read-only in workers, as joblib's
    other backends have them; ``mmap_mode`` None or ``max_nbytes`` None sends copies instead.

    ``parallel_config(backend="allcores", ...)`` takes ``inner_max_num_threads``, and ``start_method``, ``initializer``,
    ``initargs`` and the limits of `allcores.map`: ``max_memory_per_worker``, ``max_tasks_per_worker``, ``niceness`` and
    ``affinity``.

    ImportError when joblib is not installed.
    """
    try:
        from joblib import register_parallel_backend
    except ImportError:
        raise ImportError("register_joblib is for joblib, which is not installed: 'pip install joblib'") from None
    from allcores._joblib_backend import AllcoresBackend

    register_parallel_backend("allcores", AllcoresBackend, make_default=make_default)
