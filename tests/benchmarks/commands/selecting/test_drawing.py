import re

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.commands.selecting import projection
from benchmarks.commands.selecting.columns import keys
from benchmarks.commands.selecting.coverage import coverage
from benchmarks.commands.selecting.drawing import PALETTE, draw, save
from benchmarks.commands.selecting.gather import Candidates
from benchmarks.commands.selecting.summary import Summary
from clcore import Pool, select
from clcore.errors import ArgumentError

ROWS = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
NAMES = np.array(["left", "right"])[(ROWS[:, 0] > 0).numpy().astype(int)]


def selection(*, labels=None, method="k-means", k=6, given=()):
    given = torch.tensor(given, dtype=torch.int64)
    named = None if labels is None else keys("labels", labels)
    pool = Pool(features=ROWS)
    coreset = select(method, pool, k, given=given)
    distances = coverage(ROWS, coreset.indices, torch.arange(60))
    summary = Summary(
        method, 60, "5", coreset, len(given), 0, distances, distances, named, None
    )  # fmt: skip
    return summary, Candidates(pool, named, None, given)


def texts(figure):
    axes = figure.axes[0]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    return figure.get_suptitle(), axes.get_title(loc="left"), figure.get_supxlabel(), legend


def test_what_the_picture_says():
    summary, candidates = selection(labels=NAMES, given=[3, 4])
    drawing = draw(summary, candidates, "pca", seed=0)
    title, line, caption, legend = texts(drawing.figure)
    assert title == "k-means: 6 of 60 rows"
    assert f"mean distance to the nearest pick {summary.chosen.mean:.4g}" in line
    assert re.fullmatch(r"small dots: all rows; PCA, \d\d% of the variance", caption)
    weights = summary.coreset.weights
    assert legend[:3] == ["left", "right", "given"]
    assert legend[-3] == f"picked, weight {weights.max():.3g}"
    assert legend[-1] == f"picked, weight {weights.min():.3g}"


def test_picks_are_where_their_rows_are_and_as_large_as_their_weights():
    summary, candidates = selection(labels=NAMES)
    drawing = draw(summary, candidates, "pca", seed=0)
    background, picked = drawing.figure.axes[0].collections
    assert len(background.get_offsets()) == 54
    centred = (ROWS - ROWS.mean(dim=0)).double()
    plane = (centred @ torch.linalg.svd(centred).Vh[:2].T).abs().numpy()
    np.testing.assert_allclose(
        np.abs(drawing.places), plane[summary.coreset.indices], rtol=1e-3, atol=1e-4
    )
    areas = dict(zip(map(tuple, picked.get_offsets().tolist()), picked.get_sizes(), strict=True))
    heaviest = int(summary.coreset.weights.argmax())
    assert areas[tuple(drawing.places[heaviest].tolist())] == max(areas.values())
    colours = {
        tuple(place): tuple(face)
        for place, face in zip(
            picked.get_offsets().tolist(), picked.get_facecolor()[:, :3], strict=True
        )
    }
    from matplotlib.colors import to_rgb

    for place, row in zip(drawing.places.tolist(), summary.coreset.indices, strict=True):
        expected = PALETTE[0] if NAMES[row] == "left" else PALETTE[1]
        assert colours[tuple(place)] == pytest.approx(to_rgb(expected))


def test_many_labels_are_not_coloured_and_equal_weights_are_one_entry():
    summary, candidates = selection(labels=np.arange(60), method="k-center")
    *_, legend = texts(draw(summary, candidates, "pca", seed=0).figure)
    assert legend == ["60 labels, not coloured", "picked"]


def test_nothing_is_cut_off():
    summary, candidates = selection(labels=np.where(NAMES == "left", "a" * 60, "b"))
    drawing = draw(summary, candidates, "pca", seed=0)
    drawing.figure.draw_without_rendering()
    width, height = drawing.figure.bbox.width, drawing.figure.bbox.height
    axes, legend = drawing.figure.axes[0], drawing.figure.legends[0]
    parts = [legend, *drawing.figure.texts, axes.title, axes._left_title]
    boxes = [part.get_window_extent() for part in parts]
    for box in boxes:
        assert 0 <= box.x0 <= box.x1 <= width
        assert 0 <= box.y0 <= box.y1 <= height
    # The line below the title does not run into the title nor the legend.
    title, line = drawing.figure._suptitle.get_window_extent(), boxes[-1]
    assert line.y1 <= title.y0
    assert line.x1 <= boxes[0].x0


@pytest.mark.parametrize(
    ("kind", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml"),
                        (".html", b"<!doctype html>")],
)  # fmt: skip
def test_kinds_of_file_and_the_same_file_again(tmp_path, kind, start):
    summary, candidates = selection(labels=NAMES)
    first, second = tmp_path / f"1{kind}", tmp_path / f"2{kind}"
    for path in (first, second):
        save(draw(summary, candidates, "pca", seed=0), path, kind, summary)
    assert first.read_bytes().startswith(start)
    if kind in (".png", ".pdf"):  # the others number their parts at random
        assert first.read_bytes() == second.read_bytes()
    if kind == ".png":
        with Image.open(first) as picture:
            assert picture.size == (1290, 960)


def test_the_page_says_of_each_dot_which_row_it_is(tmp_path):
    summary, candidates = selection(labels=np.where(NAMES == "left", "<l&r>", "right"))
    path = tmp_path / "p.html"
    save(draw(summary, candidates, "pca", seed=0), path, ".html", summary)
    page = path.read_text()
    found = re.findall(
        r'class="pick" cx="([\d.]+)" cy="([\d.]+)" r="[\d.]+"><title>row (\d+),', page
    )
    assert [int(row) for *_, row in found] == summary.coreset.indices.tolist()
    # Each lies on a dot that matplotlib drew: a path that begins r below the centre.
    drawn = {float(x) for x in re.findall(r"<path d=\"M ([\d.]+) [\d.]+ \nC", page)}
    for x, *_ in found:
        assert min(abs(float(x) - other) for other in drawn) < 0.1
    assert "&lt;l&amp;r&gt;" in page
    assert "<l&r>" not in page
    assert "mean distance to the nearest pick" in page
    assert not re.search(r'(src|href)="https?:', page)


def test_tsne_takes_some_rows_and_all_picks(monkeypatch):
    monkeypatch.setitem(projection.MOST, "tsne", 20)
    picks = torch.tensor([50, 2, 31])
    plane = projection.project(ROWS, picks, "tsne", seed=0)
    assert plane.places.shape == (20, 2)
    assert plane.rows[:3].tolist() == [50, 2, 31]
    assert len(plane.rows.unique()) == 20
    assert plane.caption == "20 of 60 rows, all picks among them; t-SNE, perplexity 6.33"
    again = projection.project(ROWS, picks, "tsne", seed=0)
    assert np.array_equal(plane.places, again.places)
    with pytest.raises(ArgumentError, match="tsne is drawn of at most 20 rows, and 21 were picked"):
        projection.project(ROWS, torch.arange(21), "tsne", seed=0)


def test_umap_names_its_extra_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(projection, "find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match=r"pip install 'clcore\[umap\]'"):
        projection.check_projection("umap")
    projection.check_projection("pca")


def test_umap_is_called_with_a_seed(monkeypatch):
    asked = {}

    class Umap:
        def __init__(self, **options):
            asked.update(options)

        def fit_transform(self, matrix):
            return matrix[:, :2]

    class Module:
        UMAP = Umap

    monkeypatch.setattr(projection.importlib, "import_module", {"umap": Module}.__getitem__)
    plane = projection.project(ROWS, torch.tensor([1]), "umap", seed=4)
    assert asked["random_state"] == 4
    assert asked["n_neighbors"] == 15
    assert plane.caption == "all rows; UMAP, 15 neighbours"


@pytest.mark.parametrize("kind", ["pca", "tsne"])
@pytest.mark.parametrize("shape", [(6, 3), (6, 1), (2, 2), (1, 1)])
def test_few_and_equal_rows_have_places_too(kind, shape):
    rows = torch.eye(2) if shape == (2, 2) else torch.ones(shape)
    plane = projection.project(rows, torch.tensor([0]), kind, seed=0)
    assert plane.places.shape == (len(rows), 2)
    assert np.isfinite(plane.places).all()
