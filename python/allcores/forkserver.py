"""``allcores.forkserver``: the server behind the ``forkserver`` start method.

This *is* the module ``multiprocessing.forkserver``: there is one server per program, whoever asks for it.
"""

import sys
from multiprocessing import forkserver as _standard
from multiprocessing.forkserver import *  # noqa: F403  (what an editor sees)

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # what an editor sees, besides
    from multiprocessing.forkserver import (
        MAXFDS_TO_SEND as MAXFDS_TO_SEND,
        SIGNED_STRUCT as SIGNED_STRUCT,
        ForkServer as ForkServer,
        main as main,
        read_signed as read_signed,
        write_signed as write_signed,
    )

sys.modules[__name__] = _standard
