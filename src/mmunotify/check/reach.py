"""Which objects a world consists of: whatever can be reached from its threads.

Invariant: the order is that of discovery, breadth first, so it is the same in every run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from types import FunctionType, MethodType, ModuleType
from typing import Any

from mmunotify.lang.table import Table

__all__ = ["reachable_objects"]

_PLAIN = (str, int, float, Enum, type, ModuleType)


def reachable_objects(
    roots: Iterable[Any], within: Callable[[Any], bool] | None = None
) -> Iterator[Any]:
    """Yield every object with attributes that `roots` lead to, each once.

    What `within` refuses is neither yielded nor looked into.
    """
    seen: dict[int, Any] = {}
    queue = deque(roots)
    while queue:
        found = queue.popleft()
        if found is None or id(found) in seen or isinstance(found, _PLAIN):
            continue
        seen[id(found)] = found
        parts = _inside(found)
        if parts is not None:
            queue.extend(parts)
        elif hasattr(found, "__dict__") and (within is None or within(found)):
            yield found
            queue.extend(vars(found).values())
            if isinstance(found, Table):
                queue.extend((*found.keys, *found.values.values()))


def _inside(found: Any) -> list[Any] | None:
    """Return what a container or function holds; None for anything else."""
    if isinstance(found, list | tuple | set | frozenset):
        return list(found)
    if isinstance(found, dict):
        return [*found, *found.values()]
    if isinstance(found, MethodType):
        return [found.__self__]
    if isinstance(found, FunctionType):
        return [cell.cell_contents for cell in found.__closure__ or ()]
    return None
