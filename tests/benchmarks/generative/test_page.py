"""The page of generative runs: self-contained, with all charts and pictures that there are."""

import re

import pytest

from benchmarks.generative.charts import without_untrained
from benchmarks.generative.gather import MOST_MOMENTS, development, gather, picture_of
from benchmarks.generative.page import render
from benchmarks.generative.words import beside_published, headline
from benchmarks.reporting import Spread
from benchmarks.reporting.charts import Style
from benchmarks.reporting.gather import open_sources
from benchmarks.reporting.line_chart import Line
from clcore.errors import FormatError


@pytest.fixture(scope="module")
def page(synthetic_run):
    return render(open_sources([synthetic_run]))


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.replace("\N{NO-BREAK SPACE}", " ")))


def test_the_page_is_self_contained(page):
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("<svg") == page.count("</svg>")
    assert "nan" not in " ".join(re.findall(r'(?:points|x|y|cx|cy)="([^"]*)"', page))


def test_headings_and_charts(page):
    shown = text_of(page)
    for heading in ("Against plain training, at equal steps and at equal time",
                    "Recovered modes in the course of training",
                    "High-quality samples in the course of training", "Samples",
                    "Samples in the course of training", "What it took",
                    "Beside published figures", "Against the batch size"):  # fmt: skip
        assert heading in shown
    # Three measures, two batch sizes, over steps and over time; and one over the batch size; each
    # for a desk and for a phone.
    assert page.count('class="chart"') == (3 * 2 * 2 + 1) * 2
    assert "steps of training" in shown
    assert "seconds of processor time, training and selection" in shown


def test_plain_training_is_grey_and_stands_with_twice_the_batch(page):
    assert re.search(r'class="series ref" data-series="plain"', page)
    assert 'data-series="plain (batch 128)"' in page
    assert not re.search(r'class="series c\d" data-series="plain', page)


def test_pictures_are_those_of_the_first_seed(page, synthetic_run):
    # Each method with each batch size once, plain training with 128 in both groups; then five
    # moments of plain training and of the best.
    assert page.count('src="data:image/png;base64,') == (4 + 4 + 1) + 2 * 2 * 5
    assert "Samples of k-center after 500 steps" in page


def test_the_headline_says_who_wins_and_where(page):
    said = text_of(re.search(r'<p class="headline">(.*?)</p>', page).group(1))
    assert "Recovered modes, batch 64: k-center has the best mean of 3 methods, 1" in said
    assert (
        "at equal steps it is ahead of plain with batch 64 and with batch 128; "
        "at equal time it is ahead of plain with batch 64 and with batch 128." in said
    )
    assert "impression" not in said


def test_one_seed_is_an_impression(synthetic, tmp_path):
    folder = synthetic.folder(tmp_path / "one", seeds=(0,), sizes=(64,), methods=("plain", "top-k"))
    said = headline(gather(open_sources([folder])))
    assert said[0].startswith("Recovered modes, batch 64: top-k ends at 1")
    assert "not comparable with plain with batch 64" in said[0]
    assert said[-1].startswith("With 1 seed a method this is an impression")


def test_plain_training_alone(synthetic, tmp_path):
    folder = synthetic.folder(tmp_path / "alone", seeds=(0,), sizes=(64,), methods=("plain",))
    sources = open_sources([folder])
    assert headline(gather(sources))[0].startswith("Recovered modes, batch 64: plain training ends")
    assert 'id="comparison"' not in render(sources)


def test_methods_without_plain_training(synthetic, tmp_path):
    folder = synthetic.folder(tmp_path / "none", seeds=(0, 1), sizes=(64,), methods=("top-k",))
    sources = open_sources([folder])
    (first, _) = headline(gather(sources))
    assert first.startswith("Recovered modes, batch 64: top-k ends at")
    assert "plain" not in first
    assert 'id="comparison"' not in render(sources)


def test_several_runs_on_one_page(synthetic, synthetic_run, tmp_path):
    other = synthetic.folder(
        tmp_path / "images", measures=synthetic.images, suite="fmnist-gan", seeds=(0, 1)
    )
    page = render(open_sources([synthetic_run, other]))
    assert "k-center (points)" in page
    assert "k-center (images)" in page
    assert "Fréchet distance (classifier features)" in page
    assert "fmnist-gan, batch 64" in page
    assert "FID" not in text_of(page)


def test_a_run_without_pictures_has_no_sections_of_them(synthetic, tmp_path):
    folder = synthetic.folder(tmp_path / "bare", seeds=(0,))
    for file in folder.rglob("*.png"):
        file.unlink()
    page = render(open_sources([folder]))
    assert 'id="samples"' not in page
    assert 'id="development"' not in page
    assert 'id="measure-kl"' in page


def test_a_damaged_log_is_named(synthetic, tmp_path):
    folder = synthetic.folder(tmp_path / "damaged", seeds=(0,), sizes=(64,))
    log = folder / "cells" / "plain-b64-s0" / "events.jsonl"
    log.write_text("nonsense\n" + log.read_text())
    page = render(open_sources([folder]))
    assert "The course of plain is not shown" in page


def test_a_picture_outside_of_the_folder_is_refused(synthetic, tmp_path):
    folder = synthetic.folder(tmp_path / "outside", seeds=(0,), sizes=(64,), methods=("plain",))
    log = folder / "cells" / "plain-b64-s0" / "events.jsonl"
    log.write_text(log.read_text().replace("samples-000500.png", "../../results.json"))
    gathered = gather(open_sources([folder]))
    assert development(gathered, gathered.groups[0].references[0]) is None
    assert "outside of it" in gathered.notes[0]
    with pytest.raises(FormatError, match="outside of it"):
        picture_of(log.parent, {"picture": "../../results.json"})


def test_long_developments_are_thinned(synthetic, tmp_path):
    folder = synthetic.folder(
        tmp_path / "long", seeds=(0,), sizes=(64,), methods=("plain",),
        steps=tuple(range(0, 1300, 100)),
    )  # fmt: skip
    gathered = gather(open_sources([folder]))
    seed, moments = development(gathered, gathered.groups[0].references[0])
    assert seed == 0
    assert len(moments) == MOST_MOMENTS
    assert [moments[0].steps, moments[-1].steps] == [0, 1200]


def test_published_figures_stand_beside_ours(synthetic_run):
    (line,) = beside_published(open_sources([synthetic_run])[0])
    assert line[:4] == ["k-center", "64", "high-quality samples", "90 %"]
    assert line[4].endswith(" %")
    assert line[5] == "A paper; other networks"


def line_of(*means):
    return Line(Style("one", 0), [(step, Spread(mean, None, 1)) for step, mean in enumerate(means)])


def test_an_untrained_model_far_away_is_left_out():
    assert len(without_untrained([line_of(-500, -110, -100, -99)])[0].points) == 3
    assert len(without_untrained([line_of(0, 10, 15, 16)])[0].points) == 4
    assert len(without_untrained([line_of(-500, -100)])[0].points) == 2
    assert len(without_untrained([line_of(-500)])[0].points) == 1
