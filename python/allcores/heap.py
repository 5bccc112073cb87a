"""``allcores.heap``: anonymous shared memory for sharedctypes.

This *is* the module ``multiprocessing.heap``: its blocks belong to one heap per process.
"""

import sys
from multiprocessing import heap as _standard
from multiprocessing.heap import *  # noqa: F403  (what an editor sees)

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # what an editor sees, besides
    from multiprocessing.heap import (
        Arena as Arena,
        Heap as Heap,
        rebuild_arena as rebuild_arena,
        reduce_arena as reduce_arena,
    )

sys.modules[__name__] = _standard
