"""What holds for all tests: each starts from the same global random state.

Workers take tests in an order of their own, so a test that draws from a global generator would
otherwise see other numbers each time.
"""

import random

import numpy as np
import pytest
import torch
from hypothesis import settings

settings.register_profile("same-examples", derandomize=True)
settings.load_profile("same-examples")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - what is tested may draw from the global generator
    torch.manual_seed(0)
