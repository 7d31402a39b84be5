"""The registry: names by folder listing, one class or object a module, clear errors."""

import sys
import textwrap

import pytest

from clcore import ArgumentError, Registry, UnknownNameError
from clcore.registry import RegistryError
from clcore.selector import Selector
from clcore.selectors import registry

OWN = ["herding", "k-center", "k-means", "k-means-plus-plus", "random"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `plants` with a base class and a few entries, good and bad."""
    folder = tmp_path / "plants"
    (folder / "kinds").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "base.py": """
            class Plant:
                def __init__(self, height=1): self.height = height
        """,
        "kinds/__init__.py": "",
        "kinds/_helper.py": "raise RuntimeError('private modules are not entries')\n",
        "kinds/tall_tree.py": """
            from plants.base import Plant
            class _Hidden(Plant): ...
            class TallTree(Plant): ...
        """,
        "kinds/moss.py": "from plants.base import Plant\nMOSS = Plant(0)\nALIAS = MOSS\n",
        "kinds/any_way.py": """
            from plants.base import Plant
            class AnyWay(Plant):
                def __init__(self, **options): self.options = options
        """,
        "kinds/nothing.py": "from plants.base import Plant\n",
        "kinds/twins.py": """
            from plants.base import Plant
            class One(Plant): ...
            class Two(Plant): ...
        """,
        "kinds/imported.py": "from plants.kinds.tall_tree import TallTree\n",
    }
    for name, text in files.items():
        (folder / name).write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    yield "plants.kinds"
    for name in [name for name in sys.modules if name.partition(".")[0] == "plants"]:
        del sys.modules[name]


@pytest.fixture
def plants(package):
    import plants.base

    return Registry("plant", package, plants.base.Plant)


def test_lists_without_importing(plants):
    assert plants.names() == [
        "any-way", "imported", "moss", "nothing", "tall-tree", "twins",
    ]  # fmt: skip
    assert list(plants) == plants.names()
    assert "tall_tree" in plants
    assert "TALL-TREE" in plants
    assert "weed" not in plants
    assert not [name for name in sys.modules if name.startswith("plants.kinds.")]


def test_gets_a_class_and_makes_objects(plants):
    tree = plants.get("tall_tree")
    assert tree is plants.get("tall-tree")
    assert tree.__name__ == "TallTree"
    assert plants.create("tall-tree", height=9).height == 9
    assert plants.create("any-way", leaves=3).options == {"leaves": 3}
    assert plants.origin("tall_tree") == "plants.kinds.tall_tree"


def test_ready_made_objects(plants):
    assert plants.create("moss").height == 0
    assert plants.create("moss") is plants.create("moss")
    with pytest.raises(ArgumentError, match="'moss' takes no options"):
        plants.create("moss", height=3)
    with pytest.raises(RegistryError, match=r"ready-made object: use create\('moss'\)"):
        plants.get("moss")


def test_unknown_names_and_options_suggest(plants):
    with pytest.raises(
        UnknownNameError, match="unknown plant 'tall-three'; did you mean tall-tree"
    ):
        plants.get("tall_three")
    with pytest.raises(UnknownNameError, match="known are: any-way"):
        plants.origin("qqq")
    with pytest.raises(ArgumentError, match=r"'tall-tree' has no option 'hight'; its .* height"):
        plants.create("tall_tree", hight=1)


@pytest.mark.parametrize(("name", "count"), [("nothing", 0), ("twins", 2), ("imported", 0)])
def test_a_module_must_hold_exactly_one(plants, name, count):
    with pytest.raises(RegistryError, match=f"exactly one public Plant, not {count}"):
        plants.get(name)


def test_a_module_is_no_package(package):
    with pytest.raises(RegistryError, match=r"plants\.base is not a package"):
        Registry("plant", "plants.base", object).names()


def test_the_engines_own_selectors():
    assert [name for name in OWN if name not in registry] == []
    for name in OWN:
        method = registry.get(name)
        assert issubclass(method, Selector)
        assert method.name == name
        assert registry.get(name.replace("-", "_")) is method
        assert registry.origin(name) == f"clcore.selectors.{name.replace('-', '_')}"
    assert registry.get("k-means++") is registry.get("k-means-plus-plus")
    with pytest.raises(UnknownNameError, match="did you mean k-center"):
        registry.get("k-centre")
