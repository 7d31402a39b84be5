"""Lets the tests import the modules of cases beside them, with assertions that explain."""

import sys
from pathlib import Path

import pytest

pytest.register_assert_rewrite("buffer_cases", "learning_cases")
sys.path.append(str(Path(__file__).parent))
