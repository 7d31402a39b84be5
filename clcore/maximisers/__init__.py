"""Orders of evaluation by name, one file each; the file name is the maximiser's name.

Another package adds its own under the entry-point group `clcore.maximisers`.
"""

from __future__ import annotations

from clcore.maximiser import Maximiser
from clcore.registry import Registry

registry = Registry[Maximiser](
    "maximiser", "clcore.maximisers", Maximiser, entry_points="clcore.maximisers"
)
names, get, create = registry.names, registry.get, registry.create

__all__ = ["Maximiser", "create", "get", "names", "registry"]
