"""mmunotify: MMU notifiers, checked through every interleaving and run on real memory."""

__version__ = "0.1.0"

__all__ = ["__version__"]
