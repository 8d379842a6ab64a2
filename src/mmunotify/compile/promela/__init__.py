"""Export of a program to Promela, the language of Spin."""

from mmunotify.compile.promela.expression import Unexportable
from mmunotify.compile.promela.model import promela

__all__ = ["Unexportable", "promela"]
