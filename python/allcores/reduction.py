"""``allcores.reduction``: ForkingPickler and its registry of reducers.

This *is* the module ``multiprocessing.reduction``: a reducer that a library registers must count for both packages.
"""

import sys
from multiprocessing import reduction as _standard
from multiprocessing.reduction import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
