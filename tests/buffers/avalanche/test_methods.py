"""Every replay method of Avalanche that takes, or can be given, a buffer; in both APIs.

The expected outcome is the table in docs/avalanche.md.
"""

import re
from pathlib import Path

import avalanche.training.plugins.bic as bic_module
import pytest
import torch
from avalanche.models import FeCAMClassifier, NCMClassifier, SCRModel
from avalanche.training.plugins import GDumbPlugin, MIRPlugin, ReplayPlugin
from avalanche.training.plugins.bic import BiCPlugin
from avalanche.training.plugins.cope import CoPEPlugin
from avalanche.training.plugins.rar import RARPlugin
from avalanche.training.plugins.update_fecam import MemoryFeCAMUpdate
from avalanche.training.plugins.update_ncm import MemoryNCMUpdate
from avalanche.training.supervised import (
    DER,
    ER_ACE,
    ER_AML,
    MER,
    SCR,
    FeatureReplay,
    GDumb,
    Naive,
)
from avalanche.training.supervised.lamaml_v2 import LaMAML
from torch import nn

from buffers.ring import RingBuffer
from buffers.substitute import use_buffer

SIZE = 36


def naive(kit, plugin, model=None):
    return Naive(**kit.settings(model), criterion=nn.CrossEntropyLoss(), plugins=[plugin])


def er_aml(kit, buffer):
    settings = kit.settings()
    encoder = settings["model"].features
    return use_buffer(ER_AML(**settings, feature_extractor=encoder, batch_size_mem=8), buffer)


def scr(kit, buffer):
    model = SCRModel(feature_extractor=kit.Encoder(), projection=nn.Linear(16, 8))
    return use_buffer(SCR(**kit.settings(model), batch_size_mem=8), buffer)


def rar(kit, buffer):
    plugin = RARPlugin(8, SIZE, storage_policy=buffer, name_ext_layer="features.layers.2")
    return naive(kit, plugin)


def bic(kit, buffer):
    plugin = BiCPlugin(SIZE, storage_policy=buffer, stage_2_epochs=1, val_percentage=0.3)
    return naive(kit, plugin)


def ncm(kit, buffer):
    return naive(kit, MemoryNCMUpdate(storage_policy=buffer), kit.WithPrototypes(NCMClassifier()))


def fecam(kit, buffer):
    return naive(
        kit, MemoryFeCAMUpdate(storage_policy=buffer), kit.WithPrototypes(FeCAMClassifier())
    )


def cope(kit, buffer):
    plugin = CoPEPlugin(n_classes=kit.classes, p_size=kit.classes)
    return naive(kit, use_buffer(plugin, buffer))


METHODS = {
    "ReplayPlugin": lambda kit, b: naive(kit, ReplayPlugin(SIZE, storage_policy=b)),
    "RARPlugin": rar,
    "BiCPlugin": bic,
    "MemoryNCMUpdate": ncm,
    "MemoryFeCAMUpdate": fecam,
    "ER_ACE": lambda kit, b: use_buffer(ER_ACE(**kit.settings(), batch_size_mem=8), b),
    "ER_AML": er_aml,
    "SCR": scr,
    "DER": lambda kit, b: use_buffer(DER(**kit.settings(), batch_size_mem=8), b),
    "MIRPlugin": lambda kit, b: naive(kit, use_buffer(MIRPlugin(8, subsample=20), b)),
    "GDumbPlugin": lambda kit, b: naive(kit, use_buffer(GDumbPlugin(), b)),
    "GDumb": lambda kit, b: use_buffer(GDumb(**kit.settings(), criterion=nn.CrossEntropyLoss()), b),
    "CoPEPlugin": cope,
    "MER": lambda kit, b: use_buffer(MER(**kit.settings(), batch_size_mem=4, n_inner_steps=1), b),
    "LaMAML": lambda kit, b: use_buffer(LaMAML(**kit.settings(), n_inner_updates=2), b),
    "FeatureReplay": lambda kit, b: use_buffer(
        FeatureReplay(**kit.settings(), batch_size_mem=8), b
    ),
}

# What Avalanche's own code can't do without task labels, whatever the buffer: BiC assigns to
# `experience.dataset`, which is read-only there; FeatureReplay unpacks (x, y, t) from the stream.
IMPOSSIBLE = {
    ("BiCPlugin", "class-incremental"): (AttributeError, "no setter"),
    ("FeatureReplay", "class-incremental"): (ValueError, "not enough values to unpack"),
}
FEATURES = {"FeatureReplay"}


@pytest.fixture(autouse=True)
def bic_runs(monkeypatch):
    """BiC passes `verbose`, which PyTorch's scheduler no longer has; nothing else is changed."""
    scheduler = bic_module.MultiStepLR
    monkeypatch.setattr(
        bic_module, "MultiStepLR", lambda *args, verbose, **kwargs: scheduler(*args, **kwargs)
    )


@pytest.mark.filterwarnings("ignore:Avalanche is transitioning")  # LaMAML, to its own base
@pytest.mark.filterwarnings("ignore:.*torch.tensor.*:UserWarning")  # FeCAM copies a tensor so
@pytest.mark.filterwarnings("ignore:.*before_training_exp.*:DeprecationWarning")  # FeatureReplay
@pytest.mark.parametrize("api", ["classic", "class-incremental"])
@pytest.mark.parametrize("name", METHODS)
def test_method_trains_and_evaluates_with_our_memory(kit, name, api):
    benchmark = kit.stream(api)
    buffer = RingBuffer(SIZE)
    strategy = METHODS[name](kit, buffer)
    if (name, api) in IMPOSSIBLE:
        error, message = IMPOSSIBLE[name, api]
        with pytest.raises(error, match=message):
            strategy.train(benchmark.train_stream)
        return
    held = []
    for experience in benchmark.train_stream:
        strategy.train(experience)
        held.append(sorted(buffer.class_counts()))
    strategy.eval(benchmark.test_stream)
    assert len(buffer) == SIZE
    assert [len(classes) for classes in held] == [2, 4, 6]
    if name in FEATURES:
        assert buffer.store.x.dtype == torch.float32
        return
    assert buffer.store.x.dtype == torch.uint8
    rows = kit.identities(buffer.store.x)
    assert len(set(rows)) == SIZE, "no row is stored twice"
    assert buffer.store.y.tolist() == [row % kit.classes for row in rows]


def test_the_documented_table_is_what_is_tested():
    page = Path(__file__).parents[3] / "docs" / "avalanche.md"
    rows = re.findall(
        r"^\| `(\w+)` \|[^|]*\| (yes|no)[^|]*\| (yes|no)[^|]*\|", page.read_text(), re.M
    )
    documented = {name: (classic == "yes", new == "yes") for name, classic, new in rows}
    assert documented == {
        name: tuple((name, api) not in IMPOSSIBLE for api in ("classic", "class-incremental"))
        for name in METHODS
    }


@pytest.mark.parametrize("api", ["classic", "class-incremental"])
def test_der_replays_the_outputs_of_the_model_that_saw_the_sample(kit, api):
    buffer = RingBuffer(SIZE)
    strategy = METHODS["DER"](kit, buffer)
    first = kit.stream(api).train_stream[0]
    strategy.train(first)
    x = buffer.store.x[: len(buffer)].float() / 255
    strategy.model.eval()
    with torch.no_grad():
        expected = strategy.model(x)
    assert torch.allclose(buffer.store.extra["logits"][: len(buffer)], expected, atol=1e-6)
    sample = buffer.buffer[3]
    assert len(sample) == 4
    assert torch.equal(sample[3], buffer.store.extra["logits"][3])


@pytest.mark.parametrize("data", ["Mnist", "Vectors"])
def test_one_benchmark_from_data_sets(kit, data):
    benchmark = kit.stream("datasets", getattr(kit, data))
    model = kit.Classifier(64 if data == "Mnist" else 8)
    buffer = RingBuffer(SIZE)
    strategy = naive(kit, ReplayPlugin(SIZE, storage_policy=buffer), model)
    for _ in range(2):
        strategy.train(benchmark.train_stream)
    assert len(buffer) == SIZE
    assert len(buffer.buffer[0]) == 2


def test_replayed_samples_are_the_stream_s(kit):
    """What the model sees of an exemplar is what it saw of the sample."""
    benchmark = kit.stream("class-incremental", kit.Vectors)
    seen = []

    class Watch(ReplayPlugin):
        def before_forward(self, strategy, **kwargs):
            seen.extend(zip(strategy.mb_x.tolist(), strategy.mb_y.tolist(), strict=True))

    strategy = naive(kit, Watch(SIZE, storage_policy=RingBuffer(SIZE)), kit.Classifier(8))
    for experience in benchmark.train_stream:
        strategy.train(experience)
    data = kit.Vectors(120)
    assert len(seen) > 150
    for x, y in seen:
        assert x == data.tensors[0][int(x[0])].tolist()
        assert y == data.targets[int(x[0])]
