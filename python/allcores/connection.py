"""``allcores.connection``: Listener, Client, Pipe and wait().

This *is* the module ``multiprocessing.connection``: connections made through either package can be mixed.
"""

import sys
from multiprocessing import connection as _standard
from multiprocessing.connection import *  # noqa: F403  (what an editor sees)

sys.modules[__name__] = _standard
