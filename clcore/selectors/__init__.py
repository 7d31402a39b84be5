"""Named selection methods, one file each; the file name is the method's name.

`names()` lists them without importing any, `get(name)` gives the class and
`create(name, **options)` a selector. Another package adds its own under the entry-point group
`clcore.selectors`.
"""

from __future__ import annotations

from clcore.registry import Registry
from clcore.selector import Selector

registry = Registry[Selector](
    "selector", "clcore.selectors", Selector, entry_points="clcore.selectors"
)
names, get, create = registry.names, registry.get, registry.create

__all__ = ["create", "get", "names", "registry"]
