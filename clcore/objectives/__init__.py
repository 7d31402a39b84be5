"""Set functions by name, one file each; the file name is the function's name.

Another package adds its own under the entry-point group `clcore.objectives`.
"""

from __future__ import annotations

from clcore.objective import Objective
from clcore.registry import Registry

registry = Registry[Objective](
    "objective", "clcore.objectives", Objective, entry_points="clcore.objectives"
)
names, get, create = registry.names, registry.get, registry.create

__all__ = ["Objective", "create", "get", "names", "registry"]
