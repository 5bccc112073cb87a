"""``allcores.popen_forkserver``: how ``forkserver`` starts a process.

This *is* the module ``multiprocessing.popen_forkserver``: ``forkserver`` keeps its meaning.
"""

import sys
from multiprocessing import popen_forkserver as _standard
from multiprocessing.popen_forkserver import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
