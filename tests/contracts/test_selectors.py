"""Every registered selector keeps the contracts of the engine."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import Pool
from clcore.selectors import create, get, names
from clcore.testing import check_selector, known_signals

VARIANTS = [
    ("herding", {"normalise": False}),
    ("herding", {"per_label": False}),
    ("k-center", {"first": "random"}),
    ("k-means", {"starts": 3, "iterations": 10}),
]
# Options that make a slow method quick and leave what it promises as it is.
QUICK = {"pbcs": {"rounds": 15, "inner_steps": 5}}


@pytest.mark.parametrize("name", names())
def test_contracts(name):
    check_selector(create(name, **QUICK.get(name, {})))


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_contracts_with_other_options(name, options):
    check_selector(create(name, **options))


@pytest.mark.parametrize("name", names())
def test_traits_and_words(name):
    method = get(name)
    assert method.name == name
    assert method.__dataclass_params__.frozen
    module = __import__(method.__module__, fromlist=["__doc__"])
    assert module.__doc__
    for part in ("Formula:", "Defaults:", "Differences from reference codes:", "Expected numbers:"):
        assert part in module.__doc__, f"{name}: the docstring lacks {part!r}"
    assert method.__doc__


@pytest.mark.parametrize("name", names())
@settings(derandomize=True, deadline=None, max_examples=12)
@given(data=st.data())
def test_picks_are_exactly_what_the_rules_allow(name, data):
    labels = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=14), label="labels")
    rows = len(labels)
    # Few distinct values, so that ties and copies are the rule.
    values = data.draw(
        st.lists(st.integers(-1, 1), min_size=2 * rows, max_size=2 * rows), label="values"
    )
    taken = data.draw(st.sets(st.integers(0, rows - 1)), label="given")
    bounds = st.dictionaries(st.integers(0, 4), st.integers(0, 4))
    quotas = data.draw(st.none() | bounds, label="quotas")
    k = data.draw(st.integers(0, rows + 2), label="k")
    features = torch.tensor(values).double().reshape(rows, 2)
    logits = torch.cat([features, features.flip(1)], dim=1)
    generator = torch.Generator().manual_seed(rows)
    pool = Pool(labels=labels, **known_signals(features, torch.tensor(labels), logits, generator))
    coreset = create(name, **QUICK.get(name, {})).select(
        pool, k, given=sorted(taken), quotas=quotas
    )
    picks = coreset.indices.tolist()
    free = Counter(label for row, label in enumerate(labels) if row not in taken)
    due = sum(min(count, (quotas or {}).get(label, count)) for label, count in free.items())
    assert len(picks) == min(k, due) or get(name).stops_early
    assert len(set(picks)) == len(picks)
    assert not set(picks) & taken
    counts = Counter(labels[row] for row in picks)
    assert all(counts[label] <= bound for label, bound in (quotas or {}).items())
    assert bool(torch.isfinite(coreset.weights).all())
    assert bool(torch.isfinite(coreset.gains).all())
    if picks and get(name).weighted:
        assert float(coreset.weights.sum()) == pytest.approx(rows)
