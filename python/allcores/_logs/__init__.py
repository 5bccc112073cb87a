"""Log records of children, in the handlers of their parent.

A record for which a child has no handler goes to the parent, which handles it as if it had been made there. Children
that set up handlers of their own keep to those, so nothing is written twice; children of ``fork`` have copies of the
parent's. `line.py` is what a child is given, `forwarder.py` the child's side, `receiver.py` the parent's. Nothing here
imports logging unless the program has, and a program without handlers gets neither a thread nor a socket.
"""

from allcores._logs.line import Line, drain, line_for_child, log_to_parent

__all__ = ["Line", "drain", "line_for_child", "log_to_parent"]
