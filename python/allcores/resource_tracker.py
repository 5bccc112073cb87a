"""``allcores.resource_tracker``: the process that unlinks leaked names.

This *is* the module ``multiprocessing.resource_tracker``: there is one tracker per program.
"""

import sys
from multiprocessing import resource_tracker as _standard
from multiprocessing.resource_tracker import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
