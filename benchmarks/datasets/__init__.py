"""Data sets, one file each; the file name is the name.

`load("digits")` needs nothing; the others are fetched once with `download(name)` or
`clcore data get NAME`. Tables are loaded with `load_table`. See docs/data.md.
"""

from benchmarks.datasets._base import (
    Arrays,
    DataSet,
    ImageData,
    Source,
    channel_statistics,
)
from benchmarks.datasets._cache import content_digest, data_folder
from benchmarks.datasets._load import (
    REGISTRY,
    download,
    is_available,
    load,
    load_table,
    names,
)
from benchmarks.datasets._table import TableData, TableSet

__all__ = [
    "REGISTRY",
    "Arrays",
    "DataSet",
    "ImageData",
    "Source",
    "TableData",
    "TableSet",
    "channel_statistics",
    "content_digest",
    "data_folder",
    "download",
    "is_available",
    "load",
    "load_table",
    "names",
]
