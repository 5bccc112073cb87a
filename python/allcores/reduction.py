"""``allcores.reduction``: ForkingPickler and its registry of reducers.

This *is* the module ``multiprocessing.reduction``: a reducer that a library registers must count for both packages.
"""

import sys
from multiprocessing import reduction as _standard
from multiprocessing.reduction import *  # noqa: F403  (what an editor sees)

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # what an editor sees, besides
    from multiprocessing.reduction import (
        ACKNOWLEDGE as ACKNOWLEDGE,
        HAVE_SEND_HANDLE as HAVE_SEND_HANDLE,
        AbstractReducer as AbstractReducer,
    )

sys.modules[__name__] = _standard
