"""``allcores.queues``: Queue, JoinableQueue and SimpleQueue.

This *is* the module ``multiprocessing.queues``: queues made through either package can be mixed.
"""

import sys
from multiprocessing import queues as _standard
from multiprocessing.queues import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
