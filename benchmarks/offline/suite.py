"""What a suite of offline coreset training is: data, model, schedule, methods, fractions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from benchmarks.models import ModelSettings
from benchmarks.suites._base import AnySuite, Positive, Rate, check_choice
from clcore.errors import ArgumentError

Fraction = Annotated[float, Field(gt=0.0, le=1.0)]

CHOICE = ("methods", "fractions", "optimizers", "seeds")
"""Fields that say which cells are run; they don't change what a cell computes."""

LEARNERS = ("network", "convex")
"""What can be trained: a network, or a convex problem on tensors."""


@dataclass(frozen=True)
class PublishedFraction:
    """A number that somebody published for this suite's protocol.

    Attributes:
        method: Our name of the method that comes closest.
        fraction: Share of the training rows.
        measure: What was measured: `"final_accuracy"` (a rate) or `"speedup"` (a factor).
        value: The number.
        source: Who published it.
        note: In what it differs from what the suite runs; empty where it does not.
        optimizer: The optimiser that it was measured with; empty for any.
    """

    method: str
    fraction: float
    measure: Literal["final_accuracy", "speedup"]
    value: float
    source: str
    note: str = ""
    optimizer: str = ""


@dataclass(frozen=True)
class OfflineSuite(AnySuite):
    """A benchmark of training on a chosen part of one data set.

    Attributes:
        name: Registered name: the file's, with hyphens.
        version: Raised whenever a change of the suite changes its numbers.
        title: One line for people.
        dataset: A data set of `benchmarks.datasets`.
        epochs: Passes over the rows that are trained on, warm-up included; those of a coreset are
            shorter.
        coreset_epochs: Epochs of the cells that train on a coreset; None: `epochs`. They are
            shorter, and a speed-up is about how soon a loss is reached.
        batch_size: Rows in a step.
        learning_rate: One number, or one for each optimiser.
        methods: `"full"`, `"random"` (drawn anew at each selection), `"random-fixed"` (drawn once)
            or a selector's name; `+every5` after one: chosen again every 5 epochs; `+once`: chosen
            once, after the warm-up; `+unweighted`: its weights are set aside; `+sampled`: each row
            is trained on as often as it weighs, without weights in the loss; `+rate2`: twice the
            learning rate (also after `"full"`).
        fractions: Shares of the training rows that a method may choose; `"full"` has 1.
        seeds: One run each.
        learner: `"network"`: `model`, by `strategies.CoresetTrainer`; `"convex"`: `problem`, by
            `strategies.offline.convex`.
        optimizers: Names of optimisers, one run each: `"sgd"` or `"adam"` for a network; `"sgd"`,
            `"svrg"` or `"saga"` for a convex problem.
        model: The network.
        problem: `"logistic"` or `"ridge"`, where `learner` is `"convex"`.
        l2: Factor on ‖w‖²/2, added to the mean loss: the weight decay of a network.
        momentum: Of a network's SGD.
        nesterov: Whether that momentum is Nesterov's.
        schedule: Learning rate in the course of the epochs: `"constant"`; `"cosine"`: to zero;
            `"steps"`: times `rate_factor` after each of `milestones`; `"decay"`: divided by
            1 + `rate_decay` times the epoch; `"power"`: times `rate_decay` to the power of the
            epoch.
        milestones: Shares of the epochs, of `schedule="steps"`.
        rate_factor: See `schedule`.
        rate_decay: See `schedule`.
        rate_warmup: Epochs in which the rate rises linearly to its full height.
        scale_rate: Whether the rate on a coreset is divided by its fraction, so that an epoch on it
            goes as far as one on all rows: what raw weights, which sum to n, do in the theory.
        warmup_epochs: Epochs on all rows before the first selection.
        every: Epochs from one selection to the next; None: chosen once.
        pretrain_epochs: Where above 0, a network of its own is trained so long on all rows, a
            selector reads it, and the model is trained from scratch on what was chosen (DeepCore's
            form). Its time counts as selection.
        options: Options of selectors, by name.
        normalise: `"none"`: pixels in [0, 1]; `"dataset"`: mean and deviation of the training
            images taken out, channel by channel.
        augmentation: What is done to training images: `"none"`, `"crop"`: padded by 4 pixels and
            cropped at random; `"crop-flip"`: and mirrored at random.
        train_rows: Training rows used, the first ones of a seeded order; None for all.
        validation_rows: Further rows held back for methods that look at validation gradients.
        imbalance: Size of the rarest class against the most frequent one's, the classes between
            them along an exponential (Cui et al. 2019); 1 for the data as they are.
        label_noise: Share of the training rows with a wrong label.
        evaluate_every: Epochs from one evaluation to the next; the last is evaluated always.
        loss_rows: Training rows on which the loss is measured, drawn once; None for all.
        measure_gradients: Whether the error of the weighted gradient of each coreset is measured.
        device: Where networks are trained.
        threads: Threads that each process lets PyTorch use.
        kind: Family of the suite.
        published: Numbers to compare with.
        sources: Where each setting comes from.

    Raises:
        ArgumentError: No method, no seed, something given twice or out of range, or settings that
            don't go together.
    """

    name: str
    version: int
    title: str
    dataset: str
    epochs: Positive
    batch_size: Positive
    learning_rate: Rate | dict[str, Rate]
    methods: tuple[str, ...]
    fractions: tuple[Fraction, ...]
    seeds: tuple[Annotated[int, Field(ge=0)], ...]
    learner: Literal["network", "convex"] = "network"
    optimizers: tuple[Literal["sgd", "adam", "svrg", "saga"], ...] = ("sgd",)
    model: ModelSettings = field(default_factory=ModelSettings)
    problem: Literal["logistic", "ridge"] = "logistic"
    l2: Annotated[float, Field(ge=0.0)] = 0.0
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    nesterov: bool = False
    schedule: Literal["constant", "cosine", "steps", "decay", "power"] = "constant"
    milestones: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = (0.5, 0.75)
    rate_factor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    rate_decay: Annotated[float, Field(ge=0.0)] = 0.0
    coreset_epochs: Positive | None = None
    rate_warmup: Annotated[int, Field(ge=0)] = 0
    scale_rate: bool = False
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    every: Positive | None = 1
    pretrain_epochs: Annotated[int, Field(ge=0)] = 0
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    normalise: Literal["none", "dataset"] = "none"
    augmentation: Literal["none", "crop", "crop-flip"] = "none"
    train_rows: Positive | None = None
    validation_rows: Annotated[int, Field(ge=0)] = 0
    imbalance: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    label_noise: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    evaluate_every: Positive = 1
    loss_rows: Positive | None = None
    measure_gradients: bool = True
    device: Literal["cpu", "cuda"] = "cpu"
    threads: Positive = 1
    kind: Literal["offline"] = "offline"
    published: tuple[PublishedFraction, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice(self, CHOICE)
        for fraction in self.fractions:
            number = isinstance(fraction, int | float) and not isinstance(fraction, bool)
            if not number or not 0 < fraction <= 1:
                raise ArgumentError(
                    f"fractions: got {fraction!r}; shares above 0 and up to 1 are allowed"
                )
        known = ("sgd", "adam") if self.learner == "network" else ("sgd", "svrg", "saga")
        for optimizer in self.optimizers:
            if optimizer not in known:
                raise ArgumentError(
                    f"optimizers: {optimizer!r} doesn't train a {self.learner} learner; allowed "
                    f"are {', '.join(known)}"
                )
            self.rate(optimizer)
        if self.nesterov and not ("sgd" in self.optimizers and self.momentum):
            raise ArgumentError("nesterov: SGD with a momentum above 0 is needed")
        if self.warmup_epochs >= self.epochs:
            raise ArgumentError(
                f"warmup_epochs: got {self.warmup_epochs}, which leaves none of the "
                f"{self.epochs} epochs for a coreset"
            )
        if self.coreset_epochs is not None and self.warmup_epochs >= self.coreset_epochs:
            raise ArgumentError(
                f"coreset_epochs: got {self.coreset_epochs}, of which warmup_epochs takes "
                f"{self.warmup_epochs}, so that none is left for a coreset"
            )
        if self.pretrain_epochs and self.warmup_epochs:
            raise ArgumentError(
                "pretrain_epochs and warmup_epochs: a model that starts from scratch has no "
                "warm-up; set one of them to 0"
            )

    def rate(self, optimizer: str) -> float:
        """The learning rate of an optimiser.

        Raises:
            ArgumentError: The suite has one for each optimiser and none for this one.
        """
        if not isinstance(self.learning_rate, dict):
            return self.learning_rate
        if optimizer not in self.learning_rate:
            known = ", ".join(sorted(self.learning_rate))
            raise ArgumentError(
                f"learning_rate: {self.name} has one for each optimiser ({known}) and none for "
                f"{optimizer}; give it with --set learning_rate.{optimizer}=0.1"
            )
        return self.learning_rate[optimizer]
