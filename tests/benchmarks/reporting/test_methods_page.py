"""The table of all methods: its numbers are those of the results, its place in a page is marked."""

import pytest

from benchmarks import methods
from benchmarks.reporting.aggregate import aggregate
from benchmarks.reporting.methods_page import BEGIN, END, methods_table, write_table
from benchmarks.reporting.results import Results
from benchmarks.reporting.rows import NOTHING
from clcore.errors import ArgumentError, FormatError, UnknownNameError


def results(synthetic, **options):
    return Results.model_validate(synthetic.results(**options))


def cells_of(table):
    """Cells by method, and the heads."""
    lines = table.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {line[0].strip("`"): line[1:] for line in split[2:]}, split[0][1:]


def test_every_method_has_a_line_with_its_own_words(synthetic):
    table, heads = cells_of(methods_table([results(synthetic)]))
    assert heads == ["when it helps", "time", "checked against", "split-digits (200, 3 seeds)"]
    assert list(table) == methods.REGISTRY.names()
    for name, (helps, time, checked, accuracy) in table.items():
        method = methods.find(name)
        assert (helps, checked) == (method.helps, method.checked)
        measured = name in {"reservoir", "herding", "ring", "k-means", "naive", "joint"}
        assert (accuracy != NOTHING) == measured
        # Naive and joint training are no memories, so they are not compared by time.
        assert (time != NOTHING) == (measured and name not in {"naive", "joint"})


def test_numbers_are_those_of_the_results(synthetic):
    given = results(synthetic)
    table, _ = cells_of(methods_table([given]))
    by_name = {summary.method: summary for summary in aggregate(given.runs)}
    for name, summary in by_name.items():
        assert table[name][3] == summary.final_accuracy.text(scale=100)
    seconds = {n: s.seconds_train.mean + s.seconds_select.mean for n, s in by_name.items()}
    assert table["herding"][1] == f"{seconds['herding'] / seconds['reservoir']:.1f}×"
    assert table["reservoir"][1] == "1.0×"


def test_time_is_the_median_over_suites(synthetic):
    several = []
    for suite, factor in (("a", 3.0), ("b", 1.0), ("c", 2.0), ("d", 6.0)):
        record = synthetic.results(methods=("reservoir", "ring"), suite=suite)
        for run in record["runs"]:
            slow = factor if run["method"] == "ring" else 1.0
            run["seconds"] |= {"train": 10.0 * slow, "select": 2.0 * slow}
        several.append(Results.model_validate(record))
    table, heads = cells_of(methods_table(several))
    assert table["ring"][1] == "2.5×"
    assert [head.split()[0] for head in heads[3:]] == ["a", "b", "c", "d"]


def test_the_smallest_memory_is_shown(synthetic):
    table, heads = cells_of(methods_table([results(synthetic, sizes=(500, 100))]))
    assert heads[3] == "split-digits (100, 3 seeds)"
    summaries = aggregate(results(synthetic, sizes=(500, 100)).runs)
    small = next(s for s in summaries if (s.method, s.memory_size) == ("ring", 100))
    assert table["ring"][3] == small.final_accuracy.text(scale=100)
    assert table["joint"][3] != NOTHING


def test_a_best_is_marked_from_five_seeds_on_and_never_a_reference(synthetic):
    assert "**" not in methods_table([results(synthetic)])
    table, heads = cells_of(methods_table([results(synthetic, seeds=range(5))]))
    assert heads[3] == "split-digits (200)"
    assert table["herding"][3].startswith("**")
    assert not table["joint"][3].startswith("**")
    _, heads = cells_of(methods_table([results(synthetic, seeds=(0,))]))
    assert heads[3] == "split-digits (200, 1 seed)"


def test_selectors_and_nearest_means_that_were_measured_come_last(synthetic):
    measured = ("reservoir", "herding+nem", "craig")
    table, _ = cells_of(methods_table([results(synthetic, methods=measured)]))
    assert list(table)[-2:] == ["craig", "herding+nem"]
    assert "nearest mean" in table["herding+nem"][0]
    assert all(NOTHING not in cell for cell in table["craig"])


def test_without_a_reservoir_there_is_no_time(synthetic):
    table, _ = cells_of(methods_table([results(synthetic, methods=("ring", "naive"))]))
    assert table["ring"][1] == NOTHING
    assert table["ring"][3] != NOTHING


def test_what_makes_no_table_is_refused(synthetic):
    with pytest.raises(ArgumentError, match="at least one finished run"):
        methods_table([])
    one = results(synthetic)
    with pytest.raises(ArgumentError, match="each suite may be given once"):
        methods_table([one, results(synthetic, suite="other"), one])
    with pytest.raises(ArgumentError, match="the one of split-digits holds no result yet"):
        methods_table([one.model_copy(update={"runs": []})])
    with pytest.raises(UnknownNameError, match="unknown method 'nobodys'"):
        methods_table([results(synthetic, methods=("nobodys",))])


def test_a_page_keeps_what_stands_around_the_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\nBefore.\n\n{BEGIN}\n\n| old |\n\n{END}\n\nAfter ×.\n", "utf-8")
    write_table(page, "| new |\n")
    first = page.read_text("utf-8")
    assert first == f"# Title\n\nBefore.\n\n{BEGIN}\n\n| new |\n\n{END}\n\nAfter ×.\n"
    write_table(page, "| new |\n")
    assert page.read_text("utf-8") == first


def test_a_new_page_is_made(tmp_path):
    page = tmp_path / "new.md"
    write_table(page, "| new |\n")
    assert page.read_text("utf-8") == f"{BEGIN}\n\n| new |\n\n{END}\n"


@pytest.mark.parametrize("text", ["", "# Title\n", f"{BEGIN}\n", f"{END}\n{BEGIN}\n"])
def test_a_page_without_a_place_is_left_alone(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(FormatError, match="has no place for the table"):
        write_table(page, "| new |\n")
    assert page.read_text() == text
