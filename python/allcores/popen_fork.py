"""``allcores.popen_fork``: how ``fork`` starts a process.

This *is* the module ``multiprocessing.popen_fork``: ``fork`` stays a real fork.
"""

import sys
from multiprocessing import popen_fork as _standard
from multiprocessing.popen_fork import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
