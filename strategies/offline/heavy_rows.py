"""Weights so uneven that single rows rule the steps: said once, with what to do instead.

A step on a batch B goes along (1/|B|) Σ_{j ∈ B} γ_j ∇f_j, the γ of mean 1. A row with γ_j > |B|
outweighs an average batch all by itself, so that its step is one on a single row at γ_j / |B| times
the rate. Coresets of a trained model's gradients have such rows: where most gradients are next to
nothing, one pick stands for them all.

Threshold: a row that weighs as much as one and a half batches. Measured on a tenth of Fashion-MNIST
that a trained network chose (kd-tree and CRAIG; an MLP from scratch, rate 0.05, momentum 0.9;
weights clipped to vary them): with a row of 1.6 to 13 batches 16 of 21 networks ended below 75 %,
14 of them at chance; with one of at most 0.8 batches 2 of 27. Networks that had trained on all data
before bore up to 6.5 batches. It is the batch that counts: weights up to 205 times the mean
left all networks at chance in batches of 16, one of three in batches of 64, none in batches of 256.
The effective number of rows, (Σγ)² / Σγ², does not tell: it was 4 % of the coreset on MNIST,
which went well, and 5 % here.
"""

from __future__ import annotations

import warnings

from clcore.coreset import Coreset

LIMIT = 1.5
"""How many average batches a row may weigh without a warning."""


def warn_of_heavy_rows(
    coreset: Coreset, name: str | None, batch_size: int, *, stacklevel: int = 2
) -> bool:
    """Warn of a coreset with a row that weighs more than `LIMIT` batches.

    Args:
        coreset: What is trained on, by weights in the loss; one of them at least above zero.
        name: What chose it; None where that isn't known.
        batch_size: Rows a step, of all processes together.
        stacklevel: Where the warning points to, as in `warnings.warn`; 2 is who calls this.

    Returns:
        Whether it was warned of.
    """
    weights = coreset.weights.double()
    heaviest = float(weights.max() / weights.mean())
    if heaviest <= LIMIT * batch_size:
        return False
    effective = float(weights.sum() ** 2 / weights.square().sum())
    which = "of the coreset" if name is None else f"that {name} chose"
    warnings.warn(
        f"weights: a row {which} weighs {heaviest:.0f} times the mean, as much as "
        f"{heaviest / batch_size:.1f} batches of {batch_size}, and the {len(coreset):,} rows count "
        f"as {effective:,.0f} of equal weight: steps on such rows can throw a network off, "
        "above all one that starts from scratch. "
        'CoresetTrainer(weighted="sampling") trains on each row as often as it weighs, in steps '
        "of even length; "
        "or lower the learning rate, or take larger batches",
        stacklevel=stacklevel,
    )
    return True
