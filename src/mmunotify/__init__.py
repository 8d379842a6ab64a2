"""mmunotify: MMU notifiers, checked through every interleaving and run on real memory."""

from mmunotify.lang import *  # noqa: F403
from mmunotify.lang import __all__ as _language
from mmunotify.terms import VERSION as __version__

__all__ = ["__version__", *_language]
