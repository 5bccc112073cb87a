"""``allcores.forkserver``: the server behind the ``forkserver`` start method.

This *is* the module ``multiprocessing.forkserver``: there is one server per program, whoever asks for it.
"""

import sys
from multiprocessing import forkserver as _standard
from multiprocessing.forkserver import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
