"""``allcores.heap``: anonymous shared memory for sharedctypes.

This *is* the module ``multiprocessing.heap``: its blocks belong to one heap per process.
"""

import sys
from multiprocessing import heap as _standard
from multiprocessing.heap import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
