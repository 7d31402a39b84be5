"""Offline coreset training as a kind of suite: cells, results, tables, pages, dashboards.

A suite of this kind (`OfflineSuite`) trains on one whole data set; a cell is one method with one
fraction, one optimiser and one seed. What is common to all kinds (folders, locks, workers, event
logs, resuming) is in `benchmarks.running`.
"""

from benchmarks.offline.record import Curves, OfflineResults, OfflineRun, SelectionRecord, Weights
from benchmarks.offline.suite import OfflineSuite, PublishedFraction

__all__ = [
    "Curves",
    "OfflineResults",
    "OfflineRun",
    "OfflineSuite",
    "PublishedFraction",
    "SelectionRecord",
    "Weights",
]
