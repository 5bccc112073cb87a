"""``allcores.resource_tracker``: the process that unlinks leaked names.

This *is* the module ``multiprocessing.resource_tracker``: there is one tracker per program.
"""

import sys
from multiprocessing import resource_tracker as _standard
from multiprocessing.resource_tracker import *  # noqa: F403  (what an editor sees)

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # what an editor sees, besides
    from multiprocessing.resource_tracker import (
        ResourceTracker as ResourceTracker,
        getfd as getfd,
        main as main,
    )

sys.modules[__name__] = _standard
