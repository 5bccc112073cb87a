"""``allcores.resource_sharer``: background hand-over of descriptors.

This *is* the module ``multiprocessing.resource_sharer``: there is one sharing thread per process.
"""

import sys
from multiprocessing import resource_sharer as _standard
from multiprocessing.resource_sharer import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
