"""``allcores.util``: finalizers, after-fork hooks and the logger.

This *is* the module ``multiprocessing.util``: their registries are one per process.
"""

import sys
from multiprocessing import util as _standard
from multiprocessing.util import *  # noqa: F403  (what an editor sees)

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # what an editor sees, besides
    from multiprocessing.util import (
        DEBUG as DEBUG,
        DEFAULT_LOGGING_FORMAT as DEFAULT_LOGGING_FORMAT,
        INFO as INFO,
        LOGGER_NAME as LOGGER_NAME,
        MAXFD as MAXFD,
        NOTSET as NOTSET,
        abstract_sockets_supported as abstract_sockets_supported,
        is_abstract_socket_namespace as is_abstract_socket_namespace,
        spawnv_passfds as spawnv_passfds,
    )

sys.modules[__name__] = _standard
