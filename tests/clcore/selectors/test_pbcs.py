"""PBCS: its gradient against enumeration, its batched training against one model at a time."""

import itertools

import pytest
import torch

from clcore import ArgumentError, Pool, select
from clcore.selectors import create
from clcore.selectors._adam import Adam
from clcore.selectors._proxy import Point, Proxy
from clcore.selectors.pbcs import PBCS, _Models, policy_gradient
from clcore.testing import check_selector

QUICK = {"rounds": 6, "inner_steps": 5}


def data(n=60, classes=3, d=5, seed=0, **columns):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    features = torch.randn(n, d, generator=generator, dtype=torch.float64) + labels[:, None]
    return Pool(features=features, labels=labels, **columns)


def test_policy_gradient_is_unbiased():
    """The mean over all pairs of masks is the gradient of the exact expectation."""
    chances = torch.tensor([0.2, 0.5, 0.7], dtype=torch.float64)
    masks = torch.tensor(list(itertools.product((False, True), repeat=3)))
    losses = torch.tensor([3.0, 1.0, 2.5, 0.5, 2.0, -1.0, 4.0, 0.25], dtype=torch.float64)

    def likelihood(s):
        return torch.where(masks, s, 1 - s).prod(dim=1)

    exact = torch.autograd.functional.jacobian(lambda s: likelihood(s) @ losses, chances)
    odds = likelihood(chances)
    mean = torch.zeros(3, dtype=torch.float64)
    for one, other in itertools.product(range(8), repeat=2):
        both = torch.tensor([one, other])
        mean += odds[one] * odds[other] * policy_gradient(losses[both], masks[both], chances)
    assert torch.allclose(mean, exact)


def test_policy_gradient_stays_finite_at_the_ends():
    chances = torch.tensor([0.0, 1.0, 1e-12])
    found = policy_gradient(
        torch.tensor([1.0, 2.0]),
        torch.tensor([[False, True, True], [False, True, False]]),
        chances,
    )
    assert found[:2].tolist() == [0, 0]
    assert abs(float(found[2])) <= 0.5 / 0.01 + 1


def test_adam_is_torchs():
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(7, generator=generator)
    other = torch.nn.Parameter(start.clone())
    optimiser, ours, value = torch.optim.Adam([other], lr=0.03), Adam(0.03), start
    for _ in range(20):
        other.grad = torch.randn(7, generator=generator)
        optimiser.step()
        value = ours.step(value, other.grad)
    assert torch.allclose(value, other.detach(), atol=1e-6)


@pytest.mark.parametrize("hidden", [0, 4])
def test_models_trained_at_once_are_those_trained_one_by_one(hidden):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (20,), generator=generator)
    proxy = Proxy((3, 4, 3) if hidden else (3, 3))
    shares = torch.full((20,), 0.05, dtype=torch.float64)
    method = PBCS(hidden=hidden, inner_steps=12)
    given = torch.tensor([19])
    models = _Models(method, proxy, x, y, shares, given)
    free = torch.arange(0, 18, 2)
    masks = torch.rand(3, 9, generator=generator) < 0.5
    masks[2] = False
    anchor = proxy.start(generator, x)
    thetas, losses = models._train(anchor, free, masks)
    for mask, theta, loss in zip(masks, thetas, losses, strict=True):
        rows = torch.cat((given, free[mask]))
        parameter = torch.nn.Parameter(anchor.clone())
        rate = method.inner_rate
        optimiser = torch.optim.Adam([parameter], lr=rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 12)
        for _ in range(12):
            slope = Point(proxy, parameter.detach(), x[rows], y[rows]).gradient(
                torch.full((len(rows),), 1 / len(rows), dtype=torch.float64)
            )
            parameter.grad = slope + method.decay * parameter.detach()
            optimiser.step()
            schedule.step()
        assert torch.allclose(theta, parameter.detach(), atol=1e-8)
        assert float(loss) == pytest.approx(float(Point(proxy, theta, x, y).losses.mean()))


def test_budget_is_annealed_cubically():
    models = _Models(
        PBCS(rounds=100), Proxy((2, 2)), torch.zeros(4, 2), torch.zeros(4), torch.ones(4), None
    )
    assert models._budget(10, 50, 10) == 50
    assert models._budget(38, 50, 10) == pytest.approx(10 + 40 * 0.5**3)
    assert models._budget(60, 50, 10) == models._budget(99, 50, 10) == 10


def trained_loss(pool, rows):
    """The loss on all rows of softmax regression that was trained on some."""
    x, y = pool.signal("features"), pool.labels
    model = torch.nn.Linear(x.shape[1], 4)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03, weight_decay=1e-3)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimiser.step()
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(model(x), y))


def test_learned_coresets_teach_more_than_random_ones():
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(4, (240,), generator=generator)
    features = torch.randn(240, 10, generator=generator) + 2.5 * torch.eye(4, 10)[labels]
    wrong = torch.rand(240, generator=generator) < 0.3
    pool = Pool(features=features, labels=torch.where(wrong, (labels + 1) % 4, labels))
    random = [trained_loss(pool, torch.randperm(240, generator=generator)[:30]) for _ in range(10)]
    for seed in range(2):
        drawn = torch.Generator().manual_seed(seed)
        picks = select("pbcs", pool, 30, generator=drawn).indices
        assert trained_loss(pool, picks) < 0.9 * sum(random) / len(random)


def test_picks_beyond_the_mask_and_quotas():
    pool = data()
    assert len(select("pbcs", pool, 50, **QUICK)) == 50
    coreset = select("pbcs", pool, 12, quotas={0: 2, 1: 3}, **QUICK)
    counts = torch.bincount(pool.labels[coreset.indices], minlength=3).tolist()
    assert len(coreset) == 12
    assert counts[0] <= 2
    assert counts[1] <= 3
    assert bool((coreset.weights == 1).all())


def test_pool_weights_weigh_the_loss():
    counts = torch.zeros(60)
    counts[:5] = 1.0
    weighted = select("pbcs", data(weights=counts), 10, **QUICK)
    plain = select("pbcs", data(), 10, **QUICK)
    assert weighted.report["loss_first"] != plain.report["loss_first"]


def test_divergence_is_told():
    with pytest.warns(UserWarning, match="models diverged and were left out"):
        coreset = select("pbcs", data(), 5, inner_rate=1e200, hidden=3, **QUICK)
    assert len(coreset) == 5


def test_presets():
    paper, quick = create("pbcs", preset="paper"), create("pbcs")
    assert (paper.draws, paper.rounds, paper.inner_steps) == (5, 2000, 300)
    assert quick.rounds < paper.rounds
    assert create("pbcs", preset="paper", rounds=3).rounds == 3
    assert len(select("pbcs", data(), 5, preset="paper", rounds=3, inner_steps=4)) == 5


def test_one_class_and_equal_rows():
    for pool in (
        Pool(
            features=torch.randn(9, 2, generator=torch.Generator().manual_seed(0)), labels=[4] * 9
        ),
        Pool(features=torch.full((9, 2), 0.1), labels=[0, 1, 2] * 3),
        Pool(features=torch.zeros(1, 2), labels=[0]),
    ):
        assert len(select("pbcs", pool, 4, hidden=3, **QUICK)) == min(4, len(pool))


def test_refuses_bad_options():
    with pytest.raises(ArgumentError, match="the pool needs labels"):
        select("pbcs", Pool(features=torch.ones(3, 2)), 1)
    for options, words in (
        ({"preset": "best"}, "preset"),
        ({"hidden": -1}, "hidden"),
        ({"draws": 1}, "draws must be a whole number of at least 2"),
        ({"rounds": 0}, "rounds"),
        ({"inner_steps": 0}, "inner_steps"),
        ({"inner_rate": 0}, "inner_rate"),
        ({"rate": -1}, "rate"),
        ({"start": 1.5}, "start is a fraction"),
        ({"decay": float("nan")}, "decay"),
        ({"final_draws": 0}, "final_draws"),
    ):
        with pytest.raises(ArgumentError, match=words):
            create("pbcs", **options)


@pytest.mark.parametrize(
    "options", [{"hidden": 4}, {"start": 0.5, "draws": 2}, {"preset": "paper"}]
)
def test_contracts_with_other_options(options):
    check_selector(create("pbcs", **{**options, **QUICK}))
