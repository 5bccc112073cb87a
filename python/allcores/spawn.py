"""``allcores.spawn``: what a fresh child does before it runs.

This *is* the module ``multiprocessing.spawn``: its executable and its list of old main modules are one per process.
"""

import sys
from multiprocessing import spawn as _standard
from multiprocessing.spawn import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
