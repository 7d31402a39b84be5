"""The contracts that every selection method keeps, as one check that plug-in authors can run.

from clcore.testing import check_selector

def test_mine():
    check_selector(Mine())
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor, nn

from clcore.coreset import Coreset
from clcore.errors import SignalError
from clcore.guard import guard
from clcore.pool import Pool
from clcore.probe import Probe
from clcore.selector import QuotaBy, Selector
from clcore.selectors import registry

PoolMaker = Callable[[int, int, torch.dtype], Pool]


def example_pool(rows: int = 60, seed: int = 0, dtype: torch.dtype = torch.float64) -> Pool:
    """Make a small pool with all signals and columns that the engine knows.

    Args:
        rows: How many candidates.
        seed: Of the data.
        dtype: Of the signals; the same numbers whatever it is, so float32 is float64 rounded.

    Returns:
        A pool with every signal of `known_signals`, labels 0 to 2, groups 0 to 1 and positive
        weights.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    labels = torch.randint(3, (rows,), generator=generator)
    features = normal(rows, 6) + 2 * labels.unsqueeze(1)
    signals = known_signals(features, labels, normal(rows, 3), generator)
    return Pool(
        labels=labels,
        groups=torch.arange(rows) % 2,
        weights=(normal(rows).abs() + 0.5).to(dtype),
        **{name: values.to(dtype) for name, values in signals.items()},
    )


def known_signals(
    features: Tensor, labels: Tensor, logits: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Make every signal that the methods of the engine read, consistent where they depend.

    Args:
        features: float64 `[n, d]`.
        labels: int64 `[n]`, from 0 to C − 1.
        logits: float64 `[n, C]`.
        generator: What the free ones are drawn from.

    Returns:
        The signals by name, `[n, ...]`.
    """
    rows, classes = logits.shape

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    residuals = logits.softmax(dim=1) - nn.functional.one_hot(labels, classes)
    lengths = (1 + features.square().sum(dim=1)).sqrt()
    return {
        "features": features,
        "logits": logits,
        "losses": nn.functional.cross_entropy(logits, labels, reduction="none"),
        "logit_gradients": residuals,
        "gradient_norms": residuals.norm(dim=1) * lengths,
        "projected_gradients": normal(rows, 5),
        "perturbed_logits": logits.unsqueeze(1) + 0.3 * normal(rows, 4, classes),
        "boundary_distances": normal(rows).abs(),
        "loss_trajectories": normal(rows, 5).abs(),
        "forgetting_events": torch.randint(9, (rows,), generator=generator).double(),
        "scores": normal(rows),
        "costs": normal(rows).abs() + 0.1,
    }


def probed_pool(rows: int = 24, seed: int = 0) -> tuple[Pool, nn.Module]:
    """Make a pool with a probe on a model that a careless selection would change.

    Args:
        rows: How many candidates.
        seed: Of data and model.

    Returns:
        The pool, whose signals are not computed yet, and its model: BatchNorm and dropout, in
        training mode except for one frozen part, with gradients.
    """
    generator = torch.Generator().manual_seed(seed)
    hidden = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout())
    model = nn.Sequential(hidden, nn.Linear(8, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    model.train()
    hidden[1].eval()
    x = torch.randn(rows, 5, generator=generator)
    return Pool.of(x, Probe(model, batch_size=7), labels=torch.arange(rows) % 3), model


def check_selector(
    selector: str | Selector, *, make_pool: PoolMaker = example_pool, picks: int = 7
) -> None:
    """Check a selector against the contracts of the engine.

    1. Picks are unique, in range, disjoint from `given`, exactly min(k, available); quotas kept.
    2. The same seed gives the same picks, whatever the global random state; permuting the pool
       permutes the picks (not asked of randomised methods).
    3. Greedy methods: the first `j` of `k` picks are the picks for `j`.
    4. Selection is pure: gradients, training modes, BatchNorm statistics and the global random
       state are as before (asked of methods whose signals a probe gives).
    5. float32 gives the picks of float64 (not asked of randomised methods); NaN and infinity in a
       signal are an error that names the signal and the row.
    7. A selector made again from its options, with the generator's state restored, goes on with
       the same picks.

    Weights are finite, not negative and ones or, for weighted methods, sum to the weight of the
    pool; gains are finite.

    Args:
        selector: A selector, or a registered name.
        make_pool: `make_pool(rows, seed, dtype)` for methods that need other signals than
            features, logits and losses.
        picks: How many to pick in most checks; the pools have at least four times as many rows.

    Raises:
        AssertionError: If a contract is broken; says which.

    Example:
        >>> check_selector("herding")
    """
    method = registry.create(selector) if isinstance(selector, str) else selector
    _check_picks(method, make_pool, picks)
    _check_seeds(method, make_pool, picks)
    _check_permutation(method, make_pool, picks)
    _check_prefixes(method, make_pool, picks)
    _check_purity(method, picks)
    _check_numbers(method, make_pool, picks)
    _check_state(method, make_pool, picks)


def _check_picks(method: Selector, make_pool: PoolMaker, picks: int) -> None:
    rows = 4 * picks
    pool = make_pool(rows, 1, torch.float64)
    given = [0, 3, rows - 1]
    for k in (0, 1, picks, rows - 1, rows, rows + 5):
        _check_coreset(method, pool, method.select(pool, k), min(k, rows), ())
        taken = method.select(pool, k, given=given)
        _check_coreset(method, pool, taken, min(k, rows - len(given)), given)
    everything = method.select(pool, rows, given=list(range(rows)))
    _require(len(everything) == 0, "1: nothing is left to pick, yet something was picked")
    columns: dict[QuotaBy, Tensor | None] = {"labels": pool.labels, "groups": pool.groups}
    for quota_by, keys in columns.items():
        if keys is None:
            continue
        first = int(keys[0])
        quotas = dict.fromkeys(keys.tolist(), 2) | {first: 1}
        kept = method.select(pool, rows, quotas=quotas, quota_by=quota_by, given=given)
        free = torch.ones(rows, dtype=torch.bool)
        free[given] = False
        due = sum(min(quota, int((keys[free] == key).sum())) for key, quota in quotas.items())
        few = len(kept) < due and method.stops_early
        _require(
            len(kept) == due or few, f"1: {len(kept)} picks under quotas by {quota_by}, {due} due"
        )
        for key, quota in quotas.items():
            count = int((keys[kept.indices] == key).sum())
            _require(count <= quota, f"1: {count} picks of {key}, whose quota is {quota}")


def _check_coreset(
    method: Selector, pool: Pool, coreset: Coreset, k: int, given: tuple[int, ...] | list[int]
) -> None:
    rows = coreset.indices.tolist()
    few = len(rows) < k and method.stops_early
    _require(len(rows) == k or few, f"1: {len(rows)} picks where {k} were due")
    _require(len(set(rows)) == len(rows), "1: a row was picked twice")
    _require(not set(rows) & set(given), "1: a given row was picked")
    _require(all(0 <= row < len(pool) for row in rows), "1: a pick is out of range")
    weights, gains = coreset.weights, coreset.gains
    _require(bool(torch.isfinite(weights).all() and (weights >= 0).all()), "weights are wrong")
    _require(bool(torch.isfinite(gains).all()), "a gain is NaN or infinite")
    if rows and method.weighted:
        total = float(len(pool) if pool.weights is None else pool.weights.sum())
        _require(abs(float(weights.sum()) / total - 1) < 1e-4, "weights do not sum to the pool's")
    elif rows:
        _require(bool((weights == 1).all()), "weights must be ones: weighted is False")
    _require(coreset.cost.seconds >= 0, "the cost is negative")


def _check_seeds(method: Selector, make_pool: PoolMaker, picks: int) -> None:
    pool = make_pool(4 * picks, 2, torch.float64)
    answers = []
    for world, seed in ((1, 5), (2, 5), (3, 6)):
        with guard(seed=world):
            before = _global_state()
            answers.append(_select(method, pool, picks, seed))
            same = _global_state() == before
        _require(same, "4: the global random state was changed")
    _require(answers[0] == answers[1], "2: the same seed gave other picks")
    if not method.randomised:
        _require(answers[0] == answers[2], "2: picks depend on the seed: randomised is False")


def _check_permutation(method: Selector, make_pool: PoolMaker, picks: int) -> None:
    if method.randomised:
        return
    pool = make_pool(4 * picks, 3, torch.float64)
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(0))
    shuffled = _select(method, pool.subset(order), picks, 0)
    back = order[torch.tensor(shuffled)].tolist()
    _require(back == _select(method, pool, picks, 0), "2: permuting the pool changed the picks")


def _check_prefixes(method: Selector, make_pool: PoolMaker, picks: int) -> None:
    if not method.greedy:
        return
    pool = make_pool(4 * picks, 4, torch.float64)
    longest = _select(method, pool, picks, 0)
    for j in range(1, picks):
        _require(_select(method, pool, j, 0) == longest[:j], f"3: {j} picks are no prefix")


def _check_purity(method: Selector, picks: int) -> None:
    pool, model = probed_pool(4 * picks)
    if not all(pool.has(name) for name in method.signals):
        return
    gradients = [p.grad for p in model.parameters()]
    values = [torch.zeros(0) if grad is None else grad.clone() for grad in gradients]
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    before = _global_state()
    method.select(pool, picks)
    _require(_global_state() == before, "4: the global random state was changed")
    _require([m.training for m in model.modules()] == modes, "4: a training mode was changed")
    for parameter, gradient, was in zip(model.parameters(), gradients, values, strict=True):
        kept = gradient is not None and parameter.grad is gradient and torch.equal(gradient, was)
        _require(kept, "4: a gradient was changed")
    for name, value in model.state_dict().items():
        _require(torch.equal(value, state[name]), f"4: {name} of the model was changed")


def _check_numbers(method: Selector, make_pool: PoolMaker, picks: int) -> None:
    rows = 4 * picks
    if not method.randomised:
        double = _select(method, make_pool(rows, 5, torch.float64), picks, 0)
        single = _select(method, make_pool(rows, 5, torch.float32), picks, 0)
        _require(single == double, "5: float32 gave other picks than float64")
    for name in method.signals:
        for bad in (torch.nan, torch.inf):
            pool = make_pool(rows, 6, torch.float64)
            signals = {n: pool.signal(n).clone() for n in pool.names}
            signals[name][3] = bad
            try:
                method.select(Pool(labels=pool.labels, **signals), picks)
            except SignalError as error:
                told = name in str(error) and "3" in str(error)
                _require(told, f"5: the error names neither signal nor row: {error}")
            else:
                raise AssertionError(f"5: {bad} in {name} was not refused")


def _check_state(method: Selector, make_pool: PoolMaker, picks: int) -> None:
    pool = make_pool(4 * picks, 7, torch.float64)
    generator = torch.Generator().manual_seed(1)
    method.select(pool, picks, generator=generator)
    saved = generator.get_state()
    options = {field.name: getattr(method, field.name) for field in fields(method)}
    expected = method.select(pool, picks, generator=generator)
    resumed = torch.Generator()
    resumed.set_state(saved)
    again = type(method)(**options).select(pool, picks, generator=resumed)
    same = torch.equal(again.indices, expected.indices)
    _require(same, "7: made again from its options and the generator's state, it picks otherwise")
    _require(torch.equal(again.weights, expected.weights), "7: the weights differ after resuming")


def _global_state() -> tuple[object, ...]:
    """Return the state of every global generator, in a form that can be compared."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), random.getstate(), kind, np.asarray(keys).tolist(), rest


def _select(method: Selector, pool: Pool, k: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    picks: list[int] = method.select(pool, k, generator=generator).indices.tolist()
    return picks


def _require(kept: bool, broken: str) -> None:
    if not kept:
        raise AssertionError(f"contract broken: {broken}")
