"""Selectors at a few labels: the digits of scikit-learn and logistic regression.

`python -m benchmarks.low_budget` prints two tables of test accuracies, each with random picks and
training on all rows beside every method. In the first (`labelling`) no label is known before it is
bought: the budget grows in rounds, the picks of earlier rounds are given, and methods that read
predictions get those of the model trained on the labels so far, or random rows in the first round.
In the second (`coreset`) all labels and a model trained on all rows are there, and a subset is
chosen once for each budget; weights of the method weight the loss.

The pixels are centred and scaled to length 1; 1,300 rows are the pool and 497 the test set of each
split; the classifier is logistic regression with C = 10.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from clcore import Coreset, Pool, Selector, selectors

BUDGETS = (10, 20, 30, 50, 100)
CLASSES = 10
TRAIN = 1300


@dataclass(frozen=True)
class Contestant:
    """A selector with options.

    Attributes:
        name: The registered name.
        options: Its options, where they are not the defaults.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join([self.name, *(f"{key}={value}" for key, value in self.options.items())])


LABELLING = (
    Contestant("random"),
    Contestant("k-center"),
    Contestant("k-means"),
    Contestant("k-means-plus-plus"),
    Contestant("k-medoids"),
    Contestant("herding", {"per_label": False}),
    Contestant("kernel-herding"),
    Contestant("facility-location"),
    Contestant("graph-cut"),
    Contestant("dpp"),
    Contestant("max-herding"),
    Contestant("prob-cover", {"classes": CLASSES}),
    Contestant("cluster-round-robin"),
    Contestant("cluster-round-robin", {"within": "nearest"}),
    Contestant("least-confidence"),
    Contestant("entropy"),
    Contestant("margin"),
    Contestant("contextual-diversity"),
    Contestant("cal"),
    Contestant("cal", {"among": "pool"}),
    Contestant("badge"),
)

CORESET = (
    Contestant("random"),
    Contestant("stratified", {"shares": "even"}),
    Contestant("herding"),
    Contestant("k-means"),
    Contestant("k-center"),
    Contestant("facility-location"),
    Contestant("max-herding"),
    Contestant("craig"),
    Contestant("gradmatch"),
    Contestant("glister"),
    Contestant("moderate", {"per_label": True}),
    Contestant("coverage-centric"),
    Contestant("top-k", {"by": "losses", "higher_is_better": False, "per_label": True}),
    Contestant("el2n", {"per_label": True}),
    Contestant("grand", {"per_label": True}),
    Contestant("margin", {"per_label": True}),
)


@dataclass(frozen=True)
class Split:
    """One split of the digits: float64 `[n, 64]` and int64 `[n]`."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor


def split(seed: int) -> Split:
    """Make a random split.

    Args:
        seed: Which.

    Returns:
        1,300 rows to choose from and 497 to test on.
    """
    pixels, digits = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels), torch.tensor(digits, dtype=torch.int64)
    x = x - x.mean(dim=0)
    x = x / x.norm(dim=1, keepdim=True)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    train, test = order[:TRAIN], order[TRAIN:]
    return Split(x[train], y[train], x[test], y[test])


class Classifier:
    """Logistic regression that may have seen fewer than all classes.

    Args:
        x: float64 `[m, d]`.
        y: int64 `[m]`.
        weights: `[m]`: how much each row counts; None for alike.
    """

    def __init__(self, x: Tensor, y: Tensor, weights: Tensor | None = None) -> None:
        self._model: LogisticRegression | None = None
        self._seen = torch.unique(y)
        if len(self._seen) > 1:
            self._model = LogisticRegression(C=10, max_iter=2000)
            counts = None if weights is None else (weights / weights.mean()).numpy()
            self._model.fit(x.numpy(), y.numpy(), sample_weight=counts)

    def logits(self, x: Tensor) -> Tensor:
        """Return log-probabilities `[n, 10]`; a class not seen has a small one."""
        logits = torch.full((len(x), CLASSES), -20.0, dtype=torch.float64)
        if self._model is None:
            logits[:, self._seen] = 0.0
        else:
            logits[:, self._seen] = torch.tensor(self._model.predict_log_proba(x.numpy()))
        return logits

    def accuracy(self, data: Split) -> float:
        """Return the share of the test rows that are classified rightly, in per cent."""
        right = self.logits(data.test_x).argmax(dim=1) == data.test_y
        return 100 * float(right.double().mean())


def labelling(contestant: Contestant, data: Split, seed: int) -> tuple[list[float], float]:
    """Buy labels in rounds.

    Args:
        contestant: Who chooses.
        data: The split.
        seed: Of the selections.

    Returns:
        The accuracy at each budget, and the processor seconds of all selections.
    """
    method = selectors.create(contestant.name, **contestant.options)
    generator = torch.Generator().manual_seed(seed)
    random = selectors.create("random")
    reads_predictions = set(method.signals) - {"features"}
    taken = torch.empty(0, dtype=torch.int64)
    accuracies, seconds = [], 0.0
    for budget in BUDGETS:
        chooser, pool = method, Pool(features=data.x)
        if reads_predictions:
            chooser = method if len(taken) else random
            logits = Classifier(data.x[taken], data.y[taken]).logits(data.x) if len(taken) else None
            pool = pool if logits is None else _predicted(data.x, logits)
        coreset, spent = _timed(chooser, pool, budget - len(taken), generator, given=taken)
        seconds += spent
        taken = torch.cat([taken, coreset.indices])
        accuracies.append(Classifier(data.x[taken], data.y[taken]).accuracy(data))
    return accuracies, seconds


def coreset(contestant: Contestant, data: Split, seed: int) -> tuple[list[float], float]:
    """Choose a subset for each budget, all labels known.

    Args:
        contestant: Who chooses.
        data: The split.
        seed: Of the selections.

    Returns:
        The accuracy at each budget, and the processor seconds of all selections.
    """
    method = selectors.create(contestant.name, **contestant.options)
    generator = torch.Generator().manual_seed(seed)
    logits = Classifier(data.x, data.y).logits(data.x)
    pool = Pool(
        features=data.x,
        labels=data.y,
        logits=logits,
        losses=-logits.log_softmax(dim=1).gather(1, data.y.unsqueeze(1)).squeeze(1),
    )
    accuracies, seconds = [], 0.0
    for budget in BUDGETS:
        chosen, spent = _timed(method, pool, budget, generator)
        seconds += spent
        rows = chosen.indices
        weights = chosen.weights.double() if method.weighted else None
        accuracies.append(Classifier(data.x[rows], data.y[rows], weights).accuracy(data))
    return accuracies, seconds


SETTINGS = {"labelling": (labelling, LABELLING), "coreset": (coreset, CORESET)}


def _predicted(x: Tensor, logits: Tensor) -> Pool:
    """Make a pool whose labels are the predicted ones, for there are no others."""
    return Pool(features=x, labels=logits.argmax(dim=1), logits=logits)


def _timed(
    method: Selector, pool: Pool, k: int, generator: torch.Generator, **rules: Any
) -> tuple[Coreset, float]:
    started = time.process_time()
    chosen = method.select(pool, k, generator=generator, **rules)
    return chosen, time.process_time() - started


def table(setting: str, splits: int, only: Sequence[str] = ()) -> str:
    """Measure and lay out one setting.

    Args:
        setting: `"labelling"` or `"coreset"`.
        splits: How many random splits.
        only: Registered names to measure; empty for all of the setting.

    Returns:
        A markdown table: mean ± standard deviation over the splits.
    """
    measure, contestants = SETTINGS[setting]
    registered = set(selectors.names())
    lines = [
        "| selector | " + " | ".join(f"{budget}" for budget in BUDGETS) + " | seconds |",
        "|---" * (len(BUDGETS) + 2) + "|",
    ]
    for contestant in contestants:
        if contestant.name not in registered or (only and contestant.name not in only):
            continue
        runs = [measure(contestant, split(seed), seed) for seed in range(splits)]
        scores = np.array([accuracies for accuracies, _ in runs])
        cells = [
            f"{mean:.1f} ± {deviation:.1f}"
            for mean, deviation in zip(scores.mean(axis=0), scores.std(axis=0, ddof=1), strict=True)
        ]
        seconds = float(np.mean([spent for _, spent in runs]))
        lines.append(f"| {contestant} | " + " | ".join(cells) + f" | {seconds:.3f} |")
    return "\n".join([*lines, _everything(splits)])


def _everything(splits: int) -> str:
    """Return the line of training on all rows with all labels."""
    data = [split(seed) for seed in range(splits)]
    scores = np.array([Classifier(one.x, one.y).accuracy(one) for one in data])
    cell = f"{scores.mean():.1f} ± {scores.std(ddof=1):.1f}"
    return f"| all {TRAIN:,} rows" + f" | {cell}" * len(BUDGETS) + " | 0 |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables.

    Args:
        arguments: Of the command line; those of the process if left out.
    """
    parser = argparse.ArgumentParser(description="Selectors at a few labels, on digits.")
    parser.add_argument("settings", nargs="*", help=f"of {', '.join(SETTINGS)}; both if left out")
    parser.add_argument("--splits", type=int, default=6, help="random splits, at least 2")
    parser.add_argument("--only", nargs="*", default=[], help="names of selectors")
    given = parser.parse_args(arguments)
    unknown = [setting for setting in given.settings if setting not in SETTINGS]
    if unknown:
        parser.error(f"there is no setting {unknown[0]!r}; there are {', '.join(SETTINGS)}")
    if given.splits < 2:
        parser.error("--splits must be at least 2")
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few labels: warnings of scikit-learn about small classes
        for setting in given.settings or SETTINGS:
            print(f"{setting}: accuracy in per cent at a number of labels\n")
            print(table(setting, given.splits, given.only), end="\n\n")


if __name__ == "__main__":
    main()
