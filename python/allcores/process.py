"""``allcores.process``: BaseProcess, current_process() and the table of children.

This *is* the module ``multiprocessing.process``: both packages must agree on who the current process is.
"""

import sys
from multiprocessing import process as _standard
from multiprocessing.process import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
