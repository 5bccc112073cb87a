"""``allcores.popen_spawn_posix``: how ``spawn`` starts a process.

This *is* the module ``multiprocessing.popen_spawn_posix``: ``spawn`` keeps its meaning.
"""

import sys
from multiprocessing import popen_spawn_posix as _standard
from multiprocessing.popen_spawn_posix import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
