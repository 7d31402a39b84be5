"""Shards against the tensors that were written; selection by one process alone."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from safetensors.torch import save_file

from clcore import ArgumentError, FormatError, Pool, SignalError, select
from clcore.distributed import Group, Shards, select_farthest, select_partitioned
from clcore.distributed.greedy import nearest
from clcore.selectors import create

N = 50


@pytest.fixture
def x():
    return torch.randn(N, 3, generator=torch.Generator().manual_seed(0))


def files(folder, x, kind):
    """Write rows in two files of a kind."""
    paths = []
    for place, part in enumerate((x[:20], x[20:])):
        path = folder / f"{place}.{kind.partition(' ')[0]}"
        if kind == "npy":
            np.save(path, part.numpy())
        elif kind == "safetensors":
            save_file({"features": part, "other": part + 1}, path)
        elif kind == "safetensors alone":
            save_file({"anything": part}, path)
        elif kind == "parquet lists":
            column = pa.array(list(part.numpy()), type=pa.list_(pa.float32(), 3))
            table = pa.table({"features": column, "labels": pa.array(range(len(part)))})
            parquet.write_table(table, path, row_group_size=7)
        else:
            names = {f"c{axis}": part[:, axis].numpy() for axis in range(3)}
            table = pa.table({**names, "labels": np.arange(len(part))})
            parquet.write_table(table, path, row_group_size=7)
        paths.append(path)
    return paths


KINDS = ["npy", "safetensors", "safetensors alone", "parquet lists", "parquet columns"]


@pytest.mark.parametrize("kind", KINDS)
def test_any_rows_are_those_that_were_written(tmp_path, x, kind):
    shards = Shards(features=files(tmp_path, x, kind))
    assert len(shards) == N
    for start, stop in ((0, N), (0, 1), (19, 21), (20, 50), (6, 8), (13, 14), (49, 50), (3, 47)):
        read = shards.pool(start, stop).signal("features")
        assert torch.equal(read, x[start:stop]), (start, stop)
    labelled = Shards(features=x, labels=files(tmp_path, x, kind)) if "parquet" in kind else None
    if labelled is not None:
        assert labelled.pool(18, 22).labels.tolist() == [18, 19, 0, 1]


def test_shares_and_parts_are_even_and_make_up_the_rows():
    shards = Shards(features=torch.zeros(103, 2))
    for size in (1, 2, 7, 200):
        rows = [row for rank in range(size) for row in range(*shards.share(rank, size))]
        assert rows == list(range(103))
        parts = [part for rank in range(size) for part in shards.parts(rank, size, 10)]
        assert [row for part in parts for row in range(*part)] == list(range(103))
        assert max(stop - start for start, stop in parts) <= 10


def test_what_is_wrong_is_said(tmp_path, x):
    with pytest.raises(ArgumentError, match="at least one signal"):
        Shards(labels=torch.zeros(3))
    with pytest.raises(ArgumentError, match="labels has 3 rows where features has 50"):
        Shards(features=x, labels=torch.zeros(3))
    with pytest.raises(FormatError, match=r"shards are \.npy, \.safetensors, \.parquet files"):
        Shards(features=tmp_path / "x.csv")
    with pytest.raises(ArgumentError, match="features must be files or tensors, not int"):
        Shards(features=3)
    (tmp_path / "broken.npy").write_bytes(b"no array")
    with pytest.raises(FormatError, match=r"broken\.npy cannot be read as features"):
        Shards(features=tmp_path / "broken.npy")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match=r"objects\.npy cannot be read"):
        Shards(features=tmp_path / "objects.npy")
    paths = files(tmp_path, x, "safetensors")
    with pytest.raises(FormatError, match="has no tensor 'logits', only"):
        Shards(logits=paths)
    paths = files(tmp_path, x, "parquet lists")
    with pytest.raises(FormatError, match="has no column 'weights'"):
        Shards(features=paths, weights=paths)
    ragged = pa.table({"features": pa.array([[1.0, 2.0], [1.0], [1.0, 2.0, 3.0]])})
    parquet.write_table(ragged, tmp_path / "ragged.parquet")
    with pytest.raises(FormatError, match="lists of features differ in length"):
        Shards(features=tmp_path / "ragged.parquet").pool(0, 3)
    bad = x.clone()
    bad[30, 1] = torch.nan
    with pytest.raises(SignalError, match=r"rows 25 to 49: .*features.*row 5"):
        Shards(features=bad).pool(25, 50)
    with pytest.raises(SignalError, match="no shards of 'logits', only of features"):
        Shards(features=x).pool(0, 2, names=["logits"])


def test_one_process_alone_in_one_part_is_the_selector_itself(x):
    shards = Shards(features=x)
    alone = select("facility-location", Pool(features=x), 6)
    one = select_partitioned("facility-location", shards, 6, per_part=N)
    assert sorted(one.indices.tolist()) == sorted(alone.indices.tolist())
    assert sorted(one.weights.tolist()) == sorted(alone.weights.tolist())
    assert one.report["candidates"] == N
    centres = select("k-center", Pool(features=x), 6).indices.tolist()
    assert select_farthest(shards, 6, synchronous=True).indices.tolist() == centres
    assert select_farthest(shards, 6).report["radius_bound"] >= 0
    assert one.cost.distance_evaluations > 0


def test_the_first_round_looks_at_what_the_second_looks_at(x):
    pool = {"features": x, "logit_gradients": x.flip(1)}
    for kind in ("features", "logits"):
        shards = Shards(**pool)
        options = {"gradients": kind, "per_label": False}
        named = select_partitioned("craig", shards, 4, first="kd-tree", per_part=20, **options)
        ready = create("kd-tree", **options)
        given = select_partitioned("craig", shards, 4, first=ready, per_part=20, **options)
        assert named.indices.tolist() == given.indices.tolist()
        assert named.report["first_round"] == given.report["first_round"] > 0
    whole = {"gradients": "features", "per_label": False}
    assert len(select_partitioned("craig", Shards(features=x), 4, first="k-center", **whole)) == 4


def test_arguments_of_selections_are_checked(x):
    shards = Shards(features=x)
    with pytest.raises(ArgumentError, match="k is 51, and the shards have 50 rows"):
        select_partitioned("k-center", shards, 51)
    with pytest.raises(ArgumentError, match="k is 51"):
        select_farthest(shards, 51)
    with pytest.raises(ArgumentError, match="the parts picked 2 rows where k is 5"):
        select_partitioned("k-center", shards, 5, per_part=2)
    with pytest.raises(ArgumentError, match="exact is for methods that read one signal"):
        select_partitioned("craig", shards, 5, exact=True, gradients="last_layer")
    with pytest.raises(SignalError, match="no shards of 'logit_gradients'"):
        select_partitioned("craig", shards, 5)
    with pytest.raises(ArgumentError, match="timeout must be a positive number"):
        Group.join(timeout=0)


def test_nearest_is_exact_within_labels(x):
    centres = x[::9] + 100
    labels, theirs = torch.arange(N) % 3, torch.tensor([0, 0, 1, 1, 0, 1])
    place, away = nearest(x + 100, centres, labels, theirs)
    exact = "donot_use_mm_for_euclid_dist"
    distances = torch.cdist((x + 100).double(), centres.double(), compute_mode=exact)
    other = (labels.unsqueeze(1) != theirs) & (labels < 2).unsqueeze(1)
    expected = distances.masked_fill(other, torch.inf).min(dim=1)
    assert place.tolist() == expected.indices.tolist()
    assert away.tolist() == pytest.approx(expected.values.tolist(), rel=1e-6)
