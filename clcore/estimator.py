"""Selections in the manner of scikit-learn: fit, `indices_`, `weights_`, transform.

Importing this module imports scikit-learn; `import clcore` does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import _safe_indexing, check_array, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from clcore.errors import ArgumentError
from clcore.pool import Pool
from clcore.selection import select
from clcore.selector import QuotaBy, Selector


class CoresetSelector(TransformerMixin, BaseEstimator):  # type: ignore[misc] # untyped there
    """Choose rows of a table, with weights, to train other estimators on.

    Args:
        method: A registered name such as `"facility-location"`, or a selector.
        k: How many rows: a whole number, or a share such as `0.1` or `"10%"`.
        seed: Seed of the randomness, where the method has any.
        quotas: From label (as it stands in `y`) or group to the most picks of it.
        quota_by: Whether the quotas are per `"labels"` or per `"groups"`.
        options: The method's options; only with a name.

    Attributes:
        indices_: int64 `[k]`: the rows picked, in pick order.
        weights_: Float `[k]`: how much data each pick stands for.
        gains_: Float `[k]`: what each pick added to the method's objective.
        n_features_in_: Columns of the table fitted.
        feature_names_in_: Their names, where the table had names.
        n_rows_in_: Rows of the table fitted.
        classes_: The labels, sorted, where `y` held labels.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> selection = CoresetSelector("k-center", k=0.05).fit(X, y)
        >>> selection.transform(X).shape, len(selection.weights_)
        ((90, 64), 90)
    """

    def __init__(
        self,
        method: str | Selector = "facility-location",
        k: int | float | str = 0.1,
        *,
        seed: int = 0,
        quotas: Mapping[Any, int] | None = None,
        quota_by: QuotaBy = "labels",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        # scikit-learn's clone and set_params rely on arguments being stored as they are.
        self.method, self.k, self.seed = method, k, seed
        self.quotas, self.quota_by, self.options = quotas, quota_by, options

    def fit(
        self,
        X: Any,  # noqa: N803 # scikit-learn's name
        y: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
        signals: Mapping[str, Any] | None = None,
    ) -> Self:
        """Choose rows.

        Args:
            X: `[n, d]`: numbers, dense and finite.
            y: `[n]`: labels of any sort, used by methods that go by class and for quotas. A
                continuous target is not used.
            sample_weight: `[n]`, none negative: how much each row counts.
            groups: `[n]`: of any sort, for quotas by group.
            signals: Further signals by name, `[n, ...]`: for example `{"logits": ...}`.

        Returns:
            This object, fitted.

        Raises:
            ValueError: If the table or an argument is wrong; the message names it.
        """
        # The default is to refuse NaN, infinity and sparse tables, each in a sentence.
        rows = check_array(X, dtype=(np.float64, np.float32), estimator=self, input_name="X")
        check_consistent_length(rows, y, sample_weight, groups)
        labels, classes = _labels(y)
        sources, found = (None, None) if groups is None else _codes("groups", groups)
        pool = Pool(
            features=rows,
            labels=labels,
            groups=sources,
            weights=None if sample_weight is None else column_or_1d(sample_weight),
            **(signals or {}),
        )
        coreset = select(
            self.method,
            pool,
            self.k,
            seed=self.seed,
            quotas=_by_code(self.quotas, found if self.quota_by == "groups" else classes),
            quota_by=self.quota_by,
            **(self.options or {}),
        )
        self.n_features_in_ = rows.shape[1]
        self._remember_names(X)
        if classes is not None:
            self.classes_ = classes
        self.n_rows_in_ = len(rows)
        self.indices_ = coreset.indices.cpu().numpy()
        self.weights_ = coreset.weights.cpu().numpy()
        self.gains_ = coreset.gains.cpu().numpy()
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Return the picked rows of the table that was fitted.

        Args:
            X: The table fitted, or another with the same rows: the raw images, say, whose
                features were fitted. An array, a data frame, a sparse matrix or a list.

        Returns:
            Its picked rows, in pick order, of the same kind.

        Raises:
            NotFittedError: Before `fit`.
            ArgumentError: If it has not as many rows as the table fitted.
        """
        check_is_fitted(self, "indices_")
        table = X if hasattr(X, "shape") or hasattr(X, "__len__") else np.asarray(X)
        rows = table.shape[0] if hasattr(table, "shape") else len(table)
        if rows != self.n_rows_in_:
            raise ArgumentError(
                f"X has {rows} rows and the table fitted had {self.n_rows_in_}: a selection is of "
                "the rows that were fitted and of no others"
            )
        return _safe_indexing(table, self.indices_)

    def fit_resample(self, X: Any, y: Any, **fit_params: Any) -> tuple[Any, Any]:  # noqa: N803
        """Choose rows and return them with their targets, as imbalanced-learn's samplers do.

        Args:
            X: `[n, d]`.
            y: `[n]`: labels or numbers.
            **fit_params: Further arguments of `fit`.

        Returns:
            The picked rows of `X` and of `y`, in pick order.

        Raises:
            ValueError: If the table or an argument is wrong; the message names it.
        """
        self.fit(X, y, **fit_params)
        return self.transform(X), _safe_indexing(y, self.indices_)

    def _remember_names(self, table: Any) -> None:
        """Keep the column names, as scikit-learn's estimators do, where all are texts."""
        names = list(getattr(table, "columns", []))
        if names and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_


def _labels(y: Any) -> tuple[Any, Any]:
    """Return the labels as codes, and what each code stands for; None for a continuous target."""
    if y is None or type_of_target(y, input_name="y") not in ("binary", "multiclass"):
        return None, None
    return _codes("y", y)


def _codes(name: str, values: Any) -> tuple[Any, Any]:
    """Number the values of a column from 0, in sorted order."""
    try:
        found, codes = np.unique(column_or_1d(values), return_inverse=True)
    except TypeError:
        raise ArgumentError(f"{name} mixes kinds of values that have no order") from None
    return codes, found


def _by_code(quotas: Mapping[Any, int] | None, found: Any) -> dict[int, int] | None:
    """Translate quotas by label as it stands in the column into quotas by code."""
    if quotas is None:
        return None
    codes = {} if found is None else {value: code for code, value in enumerate(found.tolist())}
    unknown = [key for key in quotas if key not in codes]
    if unknown:
        there = ", ".join(map(repr, codes)) or "none"
        raise ArgumentError(f"quotas: no row has {unknown[0]!r}; there are: {there}")
    return {codes[key]: bound for key, bound in quotas.items()}
