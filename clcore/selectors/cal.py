"""CAL: the rows whose prediction differs most from those of their nearest neighbours.

Source: Margatina et al., "Active learning by acquiring contrastive examples", EMNLP 2021,
algorithm 1.

Formula: with N(x) the K rows nearest to x in feature space,

    s(x) = 1/K Σ_{z ∈ N(x)} KL( p(z) ‖ p(x) );

the largest are picked first. Neighbours are found exactly, in blocks: O(n m d) time for m rows to
choose neighbours from, O(n (C + K + d)) memory, no n × n matrix.

Defaults: K = 10. The neighbours are the labelled rows, as in the paper, that is the rows in
`given`; where nothing is given, the other rows of the pool, as in DeepCore's offline form
(`among="pool"` says so even with `given`). Probabilities are the softmax of `logits`, in double
precision. No balance between labels. `gains` are the scores. Fewer than K rows to choose from are
all taken.

Differences from reference codes: DeepCore takes the lowest scores, that is the rows that contrast
least; it uses half the symmetric divergence (`divergence="symmetric"`), looks for neighbours within
the label, and divides p by p, so that a probability that has become 0 gives NaN.

Expected numbers: on the digits with one label in ten wrong (tests/clcore/selectors/
test_noisy_digits.py) the first tenth holds 13 % of the wrong labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry import as_matrix
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.ranking import best_first, class_logits, column_of, in_turn, one_of
from clcore.selector import Selector
from clcore.selectors._neighbours import nearest_rows


@dataclass(frozen=True)
class Cal(Selector):
    """The rows whose prediction contrasts with their neighbours'.

    Args:
        neighbours: How many, K.
        among: The neighbours are `"given"` rows, or rows of the whole `"pool"`; None for the given
            ones where there are any, else the pool.
        divergence: `"kl"` from neighbour to row, or half the `"symmetric"` one.
        per_label: Take from each label its proportional share.
    """

    neighbours: int = 10
    among: Literal["given", "pool"] | None = None
    divergence: Literal["kl", "symmetric"] = "kl"
    per_label: bool = False

    signals: ClassVar[tuple[str, ...]] = ("features", "logits")
    greedy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole_number("neighbours", self.neighbours, least=1)
        if self.among is not None:
            one_of("among", self.among, ("given", "pool"))
        one_of("divergence", self.divergence, ("kl", "symmetric"))

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        features, logits = as_matrix(pool.signal("features")), class_logits(pool)
        labelled = len(given) > 0 if self.among is None else self.among == "given"
        if labelled and not len(given):
            raise ArgumentError("among = 'given' needs rows in given")
        others = features[given] if labelled else None
        _, places = nearest_rows(features, self.neighbours, others)
        scores = self._contrasts(logits.to(torch.float64), given[places] if labelled else places)
        order = best_first(scores)
        if self.per_label:
            order = in_turn(order, column_of(pool, "labels", "per_label"), given)
        picks = allowance.first(order, k)
        pairs = len(features) * (len(features) if others is None else len(others))
        return Coreset.of(picks, gains=scores[picks], distance_evaluations=pairs)

    def _contrasts(self, logits: Tensor, neighbours: Tensor) -> Tensor:
        """Return the mean divergence of each row from its neighbours `[n, c]`: `[n]`."""
        logs = logits.log_softmax(dim=1)
        total = torch.zeros(len(logs), dtype=logs.dtype, device=logs.device)
        for nearest in neighbours.unbind(dim=1):
            theirs = logs[nearest]
            weight = theirs.exp()
            if self.divergence == "symmetric":
                weight = (weight - logs.exp()) / 2
            total += (weight * (theirs - logs)).sum(dim=1)
        return total / max(1, neighbours.shape[1])
