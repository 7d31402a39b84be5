"""The page that lists the selectors lists all of them, and says of each what its class says."""

import re
from pathlib import Path

import pytest

from clcore import selectors

PAGE = (Path(__file__).parents[2] / "docs" / "selectors.md").read_text()
HEADER = "| name | when | signals | weights | prefix | randomised | time | memory | source |"


def rows():
    """Return the cells of the table of all selectors, row by row."""
    lines = PAGE.split(HEADER)[1].splitlines()[2:]
    end = next(place for place, line in enumerate(lines) if not line.startswith("|"))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:end]]
    assert all(len(row) == HEADER.count("|") - 1 for row in cells)
    return cells


def table():
    """Return the cells by name."""
    return {row[0].strip("`"): row[1:] for row in rows()}


def test_every_name_stands_in_the_table_once_and_is_registered():
    # Entries of other packages are theirs to describe.
    ours = {
        name for name in selectors.names() if selectors.registry.origin(name).startswith("clcore.")
    }
    assert set(table()) == ours
    assert len(rows()) == len(ours)
    assert list(table()) == sorted(table()), "by name"


@pytest.mark.parametrize("name", sorted(table()))
def test_columns_agree_with_the_class(name):
    _, signals, weights, prefix, randomised, *words = table()[name]
    method = selectors.get(name)
    assert weights == ("yes" if method.weighted else "no")
    assert prefix == ("yes" if method.greedy else "no")
    assert randomised == ("yes" if method.randomised else "no")
    assert set(re.findall(r"`([a-z_]+)`", signals)) == set(method.signals)
    assert all(words)
    # What holds a matrix of all pairs says so.
    assert ("n²" in words[1]) == method.quadratic_memory


def test_names_in_the_text_are_registered():
    named = set(re.findall(r'(?:select|create)\("([a-z0-9-]+)"', PAGE))
    assert named
    assert named <= set(selectors.names())
