"""What an invalidation costs: flushes, lock acquisitions, callbacks, refills of an array."""

from mmunotify.cost.forms import FORMS, Form
from mmunotify.cost.meter import Cost, Meter

__all__ = ["FORMS", "Cost", "Form", "Meter"]
