"""``allcores.dummy.connection``: Listener, Client and Pipe over queues between threads.

This *is* the module ``multiprocessing.dummy.connection``.
"""

import sys
from multiprocessing.dummy import connection as _standard
from multiprocessing.dummy.connection import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
