"""``allcores.dummy.connection``: Listener, Client and Pipe over queues between threads.

This *is* the module ``multiprocessing.dummy.connection``.
"""

import sys
from multiprocessing.dummy import connection as _standard
from multiprocessing.dummy.connection import *  # noqa: F403  (what an editor sees)

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # what an editor sees, besides
    from multiprocessing.dummy.connection import (
        Connection as Connection,
        families as families,
    )

sys.modules[__name__] = _standard
