"""Suites of generative models: GANs, VAEs and diffusion, with chosen batches and chosen data.

A cell is one method with one batch size and one seed. What is common to all kinds of suites
(folders, locks, workers, event logs, resuming) is in `benchmarks.running`.
"""

from benchmarks.generative.record import Course, GenerativeResults, GenerativeRun, Measure
from benchmarks.generative.suite import GenerativeSuite, NetworkSettings, PublishedMeasure

__all__ = [
    "Course",
    "GenerativeResults",
    "GenerativeRun",
    "GenerativeSuite",
    "Measure",
    "NetworkSettings",
    "PublishedMeasure",
]
