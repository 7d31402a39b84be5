"""Who takes part in which task, ours first, each with the best settings that its package has."""

from __future__ import annotations

from benchmarks.speed.side_by_side.row import Contestant

HERE = "benchmarks.speed.contestants."

NEIGHBOURS = 50
"""Of each row in the graphs of facility location, ours and apricot's."""

TORCH, NUMPY = "torch loop", "numpy loop"
SKLEARN, ACTIVE = "scikit-learn", "scikit-activeml"
APRICOT, SUBMODLIB, PAM = "apricot", "submodlib", "kmedoids FasterPAM"


def ours(function: str, name: str = "ours", **options: object) -> Contestant:
    """Make a contestant of ours.

    Args:
        function: Of the module `ours`.
        name: As in the table.
        **options: Handed to `select`.

    Returns:
        The contestant.
    """
    return Contestant(name, f"{HERE}ours:{function}", options={"select": options})


def _apricot(function: str, name: str = APRICOT, matrices: float = 2.5) -> Contestant:
    return Contestant(name, f"{HERE}apricot_select:{function}", ("apricot",), matrices)


def _submodlib(function: str, matrices: float = 2.0) -> Contestant:
    code = f"{HERE}submodlib_functions:{function}"
    return Contestant(SUBMODLIB, code, ("submodlib",), matrices)


def _active(function: str, matrices: float = 0.0) -> Contestant:
    return Contestant(ACTIVE, f"{HERE}active_learning:{function}", ("skactiveml",), matrices)


def _sklearn(function: str, name: str = SKLEARN) -> Contestant:
    return Contestant(name, f"{HERE}scikit_learn:{function}", ("sklearn", "faiss"))


def _loop(function: str, name: str) -> Contestant:
    return Contestant(name, f"{HERE}loops:{function}")


_PAM = Contestant(PAM, f"{HERE}medoids:faster_pam", ("kmedoids",), 1.5)

LINEUP: dict[str, tuple[Contestant, ...]] = {
    "k-center": (
        ours("k_center"),
        _loop("k_center_torch", TORCH),
        _loop("k_center_numpy", NUMPY),
        _active("core_set"),
    ),
    "facility-location": (
        ours("facility_location", neighbours=None),
        _apricot("facility_location"),
        _apricot("facility_location_native", "apricot, own similarities"),
        _submodlib("facility_location"),
        _PAM,
    ),
    "facility-location-graph": (
        ours("facility_location", neighbours=NEIGHBOURS),
        ours("facility_location", "ours, exact", neighbours=None),
        _apricot("facility_location_graph", f"apricot, {NEIGHBOURS} neighbours", 0.0),
        _PAM,
    ),
    "max-herding": (
        ours("max_herding"),
        _apricot("max_herding", "apricot, kernel given"),
        _submodlib("max_herding"),
        _active("max_herding", 3.0),
    ),
    "prob-cover": (
        ours("prob_cover"),
        _submodlib("prob_cover"),
        _active("prob_cover", 1.5),
    ),
    "herding": (
        ours("herding"),
        _loop("herding_torch", TORCH),
        _loop("herding_numpy", NUMPY),
    ),
    "k-means-plus-plus": (
        ours("k_means_plus_plus"),
        _sklearn("seeding_one_trial", "scikit-learn, 1 trial"),
        _sklearn("seeding", "scikit-learn, 2 + log k trials"),
    ),
    "k-means": (
        ours("k_means"),
        _sklearn("k_means"),
        _sklearn("k_means_faiss", "faiss"),
    ),
    "gradient-matching": (
        ours("gradient_matching", per_label=False, ridge=0.0),
        ours("gradient_matching", "ours, normalised", per_label=False, ridge=0.0, normalise=True),
        Contestant("numpy loop with NNLS", f"{HERE}pursuit:non_negative", ("scipy",)),
        _sklearn("pursuit", "scikit-learn, weights of either sign"),
    ),
    "dpp": (ours("dpp"), _submodlib("dpp", 8.0)),
    "graph-cut": (ours("graph_cut"), _apricot("graph_cut"), _submodlib("graph_cut", 4.0)),
    "feature-based": (ours("feature_based"), _apricot("feature_based", matrices=0.0)),
    "gradient-products": (
        Contestant("ours", f"{HERE}gradient_products:ours"),
        Contestant("forward and backward", f"{HERE}gradient_products:plain"),
        Contestant("loop", f"{HERE}gradient_products:loop"),
        Contestant("vmap of grad", f"{HERE}gradient_products:vmap"),
    ),
}
