"""``allcores.util``: finalizers, after-fork hooks and the logger.

This *is* the module ``multiprocessing.util``: their registries are one per process.
"""

import sys
from multiprocessing import util as _standard
from multiprocessing.util import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
