"""install() and uninstall(): make ``multiprocessing`` itself ours, for this process and those it starts."""

from allcores._install.switch import install, installed_default, uninstall

__all__ = ["install", "installed_default", "uninstall"]
