"""``allcores.dummy``: the interface of multiprocessing over threads.

This *is* the module ``multiprocessing.dummy``: it starts no process, so there is nothing to replace.
"""

import sys
from multiprocessing import dummy as _standard
from multiprocessing.dummy import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
# Found through the standard package's path otherwise, and loaded a second time.
sys.modules[f"{__name__}.connection"] = _standard.connection
