"""``allcores.synchronize``: Lock, RLock, Semaphore, Condition, Event and Barrier.

This *is* the module ``multiprocessing.synchronize``: locks made through either package can be mixed.
"""

import sys
from multiprocessing import synchronize as _standard
from multiprocessing.synchronize import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
