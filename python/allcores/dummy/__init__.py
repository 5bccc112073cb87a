"""``allcores.dummy``: the interface of multiprocessing over threads.

This *is* the module ``multiprocessing.dummy``: it starts no process, so there is nothing to replace.
"""

import sys
from multiprocessing import dummy as _standard
from multiprocessing.dummy import *  # noqa: F403  (what an editor sees)

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # what an editor sees, besides
    from multiprocessing.dummy import (
        Array as Array,
        DummyProcess as DummyProcess,
        Namespace as Namespace,
        Value as Value,
        shutdown as shutdown,
    )

sys.modules[__name__] = _standard
# Found through the standard package's path otherwise, and loaded a second time.
sys.modules[f"{__name__}.connection"] = _standard.connection
