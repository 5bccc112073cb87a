"""``allcores.spawn``: what a fresh child does before it runs.

This *is* the module ``multiprocessing.spawn``: its executable and its list of old main modules are one per process.
"""

import sys
from multiprocessing import spawn as _standard
from multiprocessing.spawn import *  # noqa: F403  (what an editor sees)

TYPE_CHECKING = __name__ == ""
if TYPE_CHECKING:  # what an editor sees, besides
    from multiprocessing.spawn import (
        WINEXE as WINEXE,
        WINSERVICE as WINSERVICE,
        is_forking as is_forking,
        old_main_modules as old_main_modules,
        prepare as prepare,
        spawn_main as spawn_main,
    )

sys.modules[__name__] = _standard
