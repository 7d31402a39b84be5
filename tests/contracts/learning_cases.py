"""Buffers that ask the learner, with the options to ask it in each way, and images to learn."""

import inspect

import torch

import buffers
from clcore.selectors.greedy_coreset import GreedyCoreset

CLASSES = {
    name: value
    for name in buffers.__all__
    if inspect.isclass(value := getattr(buffers, name))
    and issubclass(value, buffers.Buffer)
    and not inspect.isabstract(value)
}
QUICK_PBCS = {"rounds": 2, "inner_steps": 2}
# Options under which a buffer asks the learner, one for each way of asking.
ASKING = {
    "AutoBuffer": [{"smallest_choice": 10}],
    "BCSRBuffer": [{}, {"proxy": "last_layer"}],
    "CSReLBuffer": [{"rounds": 4}, {"rounds": 4, "features": "model"}],
    "GCRBuffer": [{}, {"preset": "reference", "correct_only": False}],
    "GSSBuffer": [
        {},
        {"signal": "last_layer", "preset": "reference", "threshold": 1.0},
        {"signal": "projection", "threshold": 1.0},
        {"variant": "iqp", "recent": 20},
        {"variant": "cluster", "recent": 20},
    ],
    "GreedyCoresetBuffer": [{"features": None}, {"features": None, "streaming": True, "slots": 2}],
    "LossAwareReservoirBuffer": [{"refresh": "all"}, {"balanced": True}],
    "OCSBuffer": [
        {"picks": 4, "batch_size": 16},
        {"picks": 4, "batch_size": 16, "signal": "last_layer", "preset": "reference"},
        {"picks": 4, "batch_size": 16, "signal": "projection"},
    ],
    "PBCSBuffer": [{**QUICK_PBCS}, {**QUICK_PBCS, "proxy": "whole_network"}],
    "RainbowBuffer": [{}, {"perturbation": "dropout"}, {"perturbation": "weight-noise"}],
    "SelectorBuffer": [{"selector": "k-center"}, {"selector": "gradmatch", "quota": "task"}],
}
CASES = [(name, options) for name in CLASSES for options in ASKING.get(name, [{}])]
# What makes a choice quick.
CHEAP = {
    "PBCSBuffer": QUICK_PBCS,
    "CSReLBuffer": {"rounds": 4},
    "GreedyCoresetBuffer": {"selector": GreedyCoreset(refits=0)},
}


def shown(case):
    name, options = case
    return "-".join([name, *(f"{k}={v}" for k, v in options.items())])


def images(n, classes, seed=0):
    """uint8 images [n, 1, 4, 4] whose brightness tells their class."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    noise = torch.randint(0, 60, (n, 1, 4, 4), generator=generator)
    return (noise + (y * 190 // (classes - 1)).view(-1, 1, 1, 1)).to(torch.uint8), y
