"""The contracts of the engine for options other than the defaults."""

import pytest

from clcore.selectors import create
from clcore.testing import check_selector


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("top-k", {"by": "losses", "higher_is_better": False, "per_label": True}),
        ("top-k", {"by": "forgetting_events", "ties": "random"}),
        ("margin", {"per_label": True}),
        ("moderate", {"per_label": True, "centre": "median"}),
        ("stratified", {"shares": "even"}),
        ("coverage-centric", {"by": "scores", "harder": "lower", "prune": 0.0}),
        ("contextual-diversity", {"per_label": True}),
        ("contextual-diversity", {"first": "random"}),
        ("cal", {"among": "pool", "divergence": "symmetric", "per_label": True}),
        ("cluster-round-robin", {"clusters": 5, "within": "scores", "order": "smallest"}),
        ("cluster-round-robin", {"within": "farthest", "minimum_size": 0}),
        ("cluster-round-robin", {"clusters": 3, "within": "random"}),
        ("sem-de-dup", {"clusters": 2, "keep": "random"}),
        ("sem-de-dup", {"epsilon": 0.0, "keep": "easy"}),
        ("importance-resampling", {"by": "losses", "scale": "linear", "inclusion_weights": True}),
    ],
)
def test_contracts_with_other_options(name, options):
    check_selector(create(name, **options))
