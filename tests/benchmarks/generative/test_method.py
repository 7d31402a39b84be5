"""The names of the methods of generative suites."""

import pytest

from benchmarks.generative.method import find
from benchmarks.generative.plan import cells_of, check
from clcore.errors import ArgumentError, UnknownNameError


@pytest.mark.parametrize(
    ("learner", "name", "label", "chosen"),
    [
        ("gan", "plain", "plain", {}),
        ("gan", " Plain ", "plain", {}),
        ("gan", "k-center", "k-center", {"latents": "k-center", "images": "k-center"}),
        ("gan", "k_center+latents", "k-center+latents", {"latents": "k-center"}),
        ("gan", "images+k-center", "k-center+images", {"images": "k-center"}),
        ("gan", "top-k", "top-k", {"top_k": True}),
        ("gan", "top-k+k-center+latents", "k-center+latents+top-k",
         {"top_k": True, "latents": "k-center"}),
        ("gan", "importance+k-center+images", "k-center+images+importance",
         {"importance": True, "images": "k-center"}),
        ("gan", "k-center+instance-selection", "instance-selection+k-center",
         {"subset": "instance-selection", "latents": "k-center", "images": "k-center"}),
        ("vae", "kernel-herding", "kernel-herding", {"images": "kernel-herding"}),
        ("vae", "pseudo-coreset", "pseudo-coreset", {"pseudo_coreset": True}),
        ("diffusion", "k-center", "k-center", {"images": "k-center"}),
        ("diffusion", "reweighted+random-subset", "random-subset+reweighted",
         {"subset": "random-subset", "reweighted": True}),
    ],
)  # fmt: skip
def test_names(make_suite, learner, name, label, chosen):
    found = find(name, make_suite(learner))
    told = {
        field: value
        for field, value in vars(found).items()
        if field != "label" and value not in (None, False)
    }
    assert found.label == label
    assert told == chosen
    assert find(label, make_suite(learner)) == found


@pytest.mark.parametrize(
    ("learner", "name", "message"),
    [
        ("gan", "plain+k-center", "stands alone"),
        ("gan", "k-center+k-center", "more than once"),
        ("gan", "k-center+kernel-herding", "more than one selector"),
        ("gan", "latents", "comes after a selector"),
        ("gan", "k-center+latents+images", "leave .latents and .images away"),
        ("gan", "importance+k-center", r"k-center\+images\+importance"),
        ("gan", "random-subset+clusters-random", "chooses data more than once"),
        ("gan", "pseudo-coreset", "for the learner vae"),
        ("gan", "random-subset+reweighted", "for the learner diffusion"),
        ("vae", "top-k", "for the learner gan"),
        ("vae", "k-center+images", "images to choose only"),
        ("diffusion", "reweighted", "comes after one of"),
        ("gan", "craig", "gradient"),
        ("gan", "", "unknown method"),
    ],
)
def test_names_that_are_refused(make_suite, learner, name, message):
    with pytest.raises((ArgumentError, UnknownNameError), match=message):
        find(name, make_suite(learner))


def test_a_word_that_is_nearly_right_is_suggested(make_suite):
    with pytest.raises(UnknownNameError, match="k-center"):
        find("k-centre", make_suite())
    with pytest.raises(UnknownNameError, match="instance-selection"):
        find("instance-selektion", make_suite())


def test_options_of_selectors(make_suite):
    suite = make_suite(
        methods=("kernel-herding",), image_options={"kernel-herding": {"bandwidth": 0.1}}
    )
    check(suite)
    assert find("kernel-herding", suite).images == "kernel-herding"
    wrong = make_suite(image_options={"kernel-herding": {"width": 0.1}})
    with pytest.raises(ArgumentError, match="width"):
        check(wrong)
    with pytest.raises(UnknownNameError, match="herding"):
        check(make_suite(latent_options={"kernel-herdin": {}}))


def test_cells(make_suite):
    suite = make_suite(methods=("plain", "top-k"), batch_sizes=(8, 16), seeds=(0, 1))
    names = [cell.name for cell in cells_of(suite)]
    assert names == [
        "plain-b8-s0", "top-k-b8-s0", "plain-b16-s0", "top-k-b16-s0",
        "plain-b8-s1", "top-k-b8-s1", "plain-b16-s1", "top-k-b16-s1",
    ]  # fmt: skip
    with pytest.raises(ArgumentError, match="more than once"):
        cells_of(make_suite(methods=("top-k+k-center", "k-center+top-k")))
