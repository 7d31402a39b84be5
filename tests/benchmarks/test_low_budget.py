"""The comparison at a few labels: what it prints, and that its main finding holds."""

import pytest

from benchmarks.low_budget import BUDGETS, Classifier, Contestant, labelling, main, split


def rows(printed):
    lines = [line.strip("| ").split(" | ") for line in printed.splitlines() if line[:1] == "|"]
    return {cells[0]: cells[1:] for cells in lines}


def test_tables_have_a_row_for_each_contestant(capsys):
    main(["--splits", "2", "--only", "random", "stratified", "margin"])
    printed = capsys.readouterr().out
    labelled, known = printed.split("coreset:")
    assert set(rows(labelled)) >= {"random", "margin"}
    assert "stratified, shares=even" not in rows(labelled)
    assert len(rows(known)["stratified, shares=even"]) == len(BUDGETS) + 1


def test_typical_rows_of_clusters_beat_random_rows_at_ten_labels():
    gains = []
    for seed in range(3):
        data = split(seed)
        typical, _ = labelling(Contestant("cluster-round-robin"), data, seed)
        random, _ = labelling(Contestant("random"), data, seed)
        gains.append(typical[0] - random[0])
    assert sum(gains) / 3 > 10


def test_a_classifier_that_saw_one_class_says_so_everywhere():
    data = split(0)
    seven = (data.y == 7).nonzero().squeeze(1)[:5]
    model = Classifier(data.x[seven], data.y[seven])
    assert set(model.logits(data.test_x).argmax(dim=1).tolist()) == {7}


def test_wrong_arguments_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["labeling"])
    assert "no setting 'labeling'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--splits", "1"])
