import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.utils import estimator_checks

import clcore
from clcore import Pool, select
from clcore.errors import ArgumentError
from clcore.estimator import CoresetSelector
from clcore.selectors import registry

X, Y = load_digits(return_X_y=True)
X, Y = X[:300], Y[:300]


def test_the_picks_are_those_of_the_front_door():
    found = CoresetSelector("k-means", k=12, seed=2).fit(X, Y)
    expected = select("k-means", Pool(features=X, labels=Y), 12, seed=2)
    assert found.indices_.tolist() == expected.indices.tolist()
    assert found.weights_.tolist() == expected.weights.tolist()
    assert found.gains_.tolist() == expected.gains.tolist()
    assert found.weights_.sum() == len(X)
    assert (found.n_features_in_, found.n_rows_in_) == (64, 300)
    assert found.classes_.tolist() == list(range(10))
    assert not hasattr(found, "feature_names_in_")


def test_it_trains_another_estimator():
    found = CoresetSelector("k-means", k="10%").fit(X, Y)
    chosen = found.indices_
    model = LogisticRegression(max_iter=2000)
    model.fit(X[chosen], Y[chosen], sample_weight=found.weights_)
    assert model.score(X, Y) > 0.8


def test_transform_and_resample():
    selection = CoresetSelector("k-center", k=9)
    rows = selection.fit_transform(X, Y)
    assert np.array_equal(rows, X[selection.indices_])
    again, targets = clone(selection).fit_resample(X, Y)
    assert np.array_equal(again, rows)
    assert np.array_equal(targets, Y[selection.indices_])
    # What stands for the same rows will do, of any kind.
    assert selection.transform(list(range(300))) == selection.indices_.tolist()
    assert selection.transform(sparse.csr_matrix(X)).shape == (9, 64)
    with pytest.raises(ArgumentError, match="X has 299 rows and the table fitted had 300"):
        selection.transform(X[1:])
    with pytest.raises(NotFittedError):
        CoresetSelector().transform(X)


class Table:
    """As much of a data frame as is needed: values, column names, rows by number."""

    def __init__(self, values, columns):
        self.values, self.columns, self.shape = values, columns, values.shape

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)

    def __getitem__(self, rows):
        return Table(self.values[rows], self.columns)


def test_tables_with_names():
    table = Table(X[:, :3], ["a", "b", "c"])
    selection = CoresetSelector("k-center", k=5)
    rows = selection.fit_transform(table)
    assert isinstance(rows, Table)
    assert np.array_equal(rows.values, X[selection.indices_, :3])
    assert selection.feature_names_in_.tolist() == ["a", "b", "c"]
    selection.fit(X)
    assert not hasattr(selection, "feature_names_in_")
    assert not hasattr(selection.fit(Table(X, range(64))), "feature_names_in_")


def test_labels_of_any_sort_and_quotas_by_them():
    names = np.where(Y < 5, "low", "high")
    picks = CoresetSelector("k-center", k=10, quotas={"low": 2}).fit(X, names)
    assert (names[picks.indices_] == "low").sum() == 2
    assert picks.classes_.tolist() == ["high", "low"]
    by_group = CoresetSelector("k-center", k=10, quotas={"low": 3}, quota_by="groups")
    by_group.fit(X, groups=names)
    assert (names[by_group.indices_] == "low").sum() == 3
    with pytest.raises(ArgumentError, match="no row has 'none'; there are: 'high', 'low'"):
        CoresetSelector("k-center", quotas={"none": 2}).fit(X, names)
    with pytest.raises(ArgumentError, match="there are: none"):
        CoresetSelector("k-center", quotas={"low": 2}).fit(X)
    with pytest.raises(ArgumentError, match="groups mixes kinds"):
        CoresetSelector("k-center").fit(X, groups=np.array(["a", 1] * 150, dtype=object))


def test_a_continuous_target_is_no_label():
    selection = CoresetSelector("k-center", k=5)
    rows, targets = selection.fit_resample(X, Y + 0.5)
    assert not hasattr(selection, "classes_")
    assert targets.tolist() == (Y[selection.indices_] + 0.5).tolist()
    assert len(rows) == 5


def test_weights_signals_and_options_reach_the_method():
    weights = np.ones(300)
    weights[:20] = 5
    weighed = CoresetSelector("k-means", k=6).fit(X, sample_weight=weights)
    assert weighed.weights_.sum() == 380
    first = CoresetSelector("k-center", k=3, options={"first": 17}).fit(X)
    assert first.indices_[0] == 17
    ready = CoresetSelector(registry.create("k-center", first=17), k=3).fit(X)
    assert ready.indices_.tolist() == first.indices_.tolist()
    scores = np.arange(300.0)
    top = CoresetSelector("top-k", k=2, options={"by": "losses"}).fit(
        X, signals={"losses": torch.from_numpy(scores)}
    )
    assert sorted(top.indices_.tolist()) == [298, 299]


@pytest.mark.parametrize(
    ("table", "error", "said"),
    [
        (sparse.csr_matrix(X), TypeError, "dense data is required"),
        (np.where(X[3, 3] == X, np.nan, X), ValueError, "X contains NaN"),
        (X[0], ValueError, "Expected 2D array"),
        (X[:0], ValueError, "0 sample"),
        ([["a", "b"]], ValueError, "could not convert"),
    ],
)
def test_wrong_tables(table, error, said):
    with pytest.raises(error, match=said):
        CoresetSelector("k-center", k=1).fit(table)


def test_wrong_lengths_and_shares():
    for given in ({"y": Y[1:]}, {"sample_weight": np.ones(3)}, {"groups": Y[1:]}):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            CoresetSelector("k-center").fit(X, **given)
    with pytest.raises(ArgumentError, match="strictly between 0 and 1"):
        CoresetSelector("k-center", k=1.0).fit(X)


def test_parameters():
    selection = CoresetSelector("k-center", 0.2, seed=3, options={"first": 1})
    assert selection.get_params() == {
        "method": "k-center", "k": 0.2, "seed": 3, "quotas": None, "quota_by": "labels",
        "options": {"first": 1},
    }  # fmt: skip
    copy = clone(selection).set_params(k=4, options=None)
    assert (copy.k, copy.options, selection.k) == (4, None, 0.2)
    assert "k-center" in repr(copy)


# A selection keeps fewer rows than it was given, and knows only the rows that were fitted; these
# checks want as many rows back, or hand over others, or tables that are only to be indexed.
NOT_FOR_SELECTIONS = dict.fromkeys(
    [
        "check_estimators_nan_inf", "check_fit2d_predict1d", "check_fit_idempotent",
        "check_methods_sample_order_invariance", "check_methods_subset_invariance",
        "check_n_features_in_after_fitting", "check_sample_weight_equivalence_on_dense_data",
        "check_transformer_data_not_an_array", "check_transformer_general",
    ],
    "a selection returns some of the rows that were fitted",
)  # fmt: skip


def test_scikit_learns_own_checks():
    done = estimator_checks.check_estimator(
        CoresetSelector("k-center", k=0.5),
        expected_failed_checks=NOT_FOR_SELECTIONS,
        on_skip=None,
    )
    passed = {check["check_name"] for check in done if check["status"] == "passed"}
    assert {
        "check_estimator_sparse_array", "check_set_params", "check_fit_score_takes_y",
        "check_n_features_in", "check_estimators_pickle", "check_readonly_memmap_input",
    } <= passed  # fmt: skip
    assert len(passed) > 35


def test_scikit_learn_is_imported_only_here():
    code = (
        "import sys, clcore; print('sklearn' in sys.modules); "
        "from clcore import CoresetSelector; print(CoresetSelector.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "clcore.estimator"]
    assert not hasattr(clcore, "Nothing")
