"""Methods by name: the folder listing is the list, other packages add theirs by entry point."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from clcore.errors import ArgumentError, ClcoreError, UnknownNameError

T = TypeVar("T")


class RegistryError(ClcoreError, ImportError):
    """A registered module or entry point does not hold what its name promises."""


class Registry(Generic[T]):
    """Classes (or ready-made objects) of one kind, found by file name.

    Each module of `package` holds exactly one public subclass, or exactly one public instance, of
    `base`; its name is the file's, with hyphens. Nothing is imported to list names; a module is
    imported when its name is first used. Modules whose name begins with `_` are passed over.

    Args:
        kind: What is registered, for messages: `"selector"`, `"suite"`.
        package: The package whose modules are the entries, for example `"clcore.selectors"`.
        base: The class that each entry derives from or is an instance of.
        entry_points: Group under which other distributions add entries; None for none.

    Example:
        >>> from clcore.selectors import registry
        >>> "k-center" in registry, registry.create("k_center").name
        (True, 'k-center')
    """

    def __init__(
        self, kind: str, package: str, base: type[Any], entry_points: str | None = None
    ) -> None:
        self.kind, self.package, self.base, self.group = kind, package, base, entry_points
        self._loaded: dict[str, type[T] | T] = {}

    def names(self) -> list[str]:
        """List all names, sorted, without importing any of the modules."""
        return sorted({*self._modules, *self._plugins})

    def __contains__(self, name: str) -> bool:
        return _hyphenated(name) in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def get(self, name: str) -> type[T]:
        """Return a registered class.

        Args:
            name: With hyphens or underscores.

        Returns:
            The class, imported now if it was not before.

        Raises:
            UnknownNameError: If there is no such name; suggests the nearest.
            RegistryError: If two distributions claim the name, or its module holds no such class.
        """
        entry = self._load(name)
        if not isinstance(entry, type):
            raise RegistryError(
                f"{self.kind} {name!r} is a ready-made object: use create({name!r})"
            )
        return cast(type[T], entry)

    def create(self, name: str, **options: Any) -> T:
        """Make a registered object.

        Args:
            name: With hyphens or underscores.
            **options: Arguments of the class. A ready-made object takes none.

        Returns:
            A new instance, or the registered object itself where one is registered.

        Raises:
            UnknownNameError: If there is no such name; suggests the nearest.
            ArgumentError: If it has no such option; names those that it has.
            RegistryError: If the name is claimed twice, or its module holds no such class.
        """
        entry = self._load(name)
        if not isinstance(entry, type):
            if options:
                raise ArgumentError(f"{self.kind} {name!r} takes no options, not {sorted(options)}")
            return entry
        parameters = inspect.signature(entry).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            unknown = sorted(set(options) - set(parameters))
            if unknown:
                raise ArgumentError(
                    f"{self.kind} {_hyphenated(name)!r} has no option {unknown[0]!r}; "
                    f"its options are: {', '.join(parameters) or 'none'}"
                )
        return cast(T, entry(**options))

    def origin(self, name: str) -> str:
        """Say where a name comes from, without importing it.

        Args:
            name: With hyphens or underscores.

        Returns:
            For example `"clcore.selectors.k_center"`, or for an entry point
            `"their_package.module:Class (their-dist)"`.

        Raises:
            UnknownNameError: If there is no such name.
            RegistryError: If two distributions claim the name.
        """
        found = self._find(_hyphenated(name))
        return found if isinstance(found, str) else f"{found.value} ({_distribution(found)})"

    @cached_property
    def _modules(self) -> dict[str, str]:
        """Return module paths by name."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.submodule_search_locations is None:
            raise RegistryError(f"{self.package} is not a package")
        found = (module.name for module in pkgutil.iter_modules(spec.submodule_search_locations))
        public = (name for name in found if not name.startswith("_"))
        return {_hyphenated(name): f"{self.package}.{name}" for name in public}

    @cached_property
    def _plugins(self) -> dict[str, list[EntryPoint]]:
        """Return entry points by name; more than one only where distributions collide."""
        plugins: dict[str, list[EntryPoint]] = {}
        if self.group is not None:
            for point in entry_points(group=self.group):
                plugins.setdefault(_hyphenated(point.name), []).append(point)
        return plugins

    def _find(self, name: str) -> str | EntryPoint:
        """Return the module path or the entry point of a name."""
        module, points = self._modules.get(name), self._plugins.get(name, [])
        if module is None and not points:
            raise UnknownNameError(self.kind, name, self.names())
        claims = [self.package.partition(".")[0]] if module else []
        claims += [_distribution(point) for point in points]
        if len(claims) > 1:
            raise RegistryError(
                f"{self.kind} {name!r} is claimed by {' and by '.join(claims)}: "
                "uninstall one of them, or have it register another name"
            )
        return module or points[0]

    def _load(self, name: str) -> type[T] | T:
        name = _hyphenated(name)
        if name not in self._loaded:
            found = self._find(name)
            if isinstance(found, str):
                self._loaded[name] = self._inside(found)
            else:
                self._loaded[name] = self._from_plugin(name, found)
        return self._loaded[name]

    def _inside(self, module_name: str) -> type[T] | T:
        """Import a module and return the one entry that is defined there."""
        module = importlib.import_module(module_name)
        public = {id(v): v for k, v in vars(module).items() if not k.startswith("_")}
        entries = [value for value in public.values() if self._is_entry(value, module_name)]
        if len(entries) != 1:
            raise RegistryError(
                f"{module_name} must define exactly one public {self.base.__name__}, "
                f"not {len(entries)}"
            )
        return cast("type[T] | T", entries[0])

    def _is_entry(self, value: object, module_name: str) -> bool:
        if isinstance(value, type):
            own = value.__module__ == module_name and not inspect.isabstract(value)
            return own and issubclass(value, self.base)
        return isinstance(value, self.base)

    def _from_plugin(self, name: str, point: EntryPoint) -> type[T] | T:
        where = f"{self.kind} {name!r} of {_distribution(point)}"
        try:
            value = point.load()
        except (ImportError, AttributeError) as error:
            raise RegistryError(f"{where} cannot be loaded from {point.value}: {error}") from error
        is_class = isinstance(value, type) and issubclass(value, self.base)
        if not is_class and not isinstance(value, self.base):
            raise RegistryError(f"{where} is {value!r}, which is no {self.base.__name__}")
        return cast("type[T] | T", value)


def _hyphenated(name: str) -> str:
    """Bring a name into its registered form; `k-means++` is spelled out."""
    return name.strip().lower().replace("_", "-").replace("+", "-plus")


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unnamed distribution"
