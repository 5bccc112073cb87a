"""``allcores.shared_memory``: SharedMemory and ShareableList.

This *is* the module ``multiprocessing.shared_memory``: segments are shared by name with any program.
"""

import sys
from multiprocessing import shared_memory as _standard
from multiprocessing.shared_memory import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
