"""Classification by the nearest mean of exemplars.

Source: Rebuffi et al. 2017, "iCaRL: Incremental Classifier and Representation Learning", section
3.1: features are L2-normalised, each class is represented by the mean of its exemplars' features,
normalised again, and a sample gets the class whose mean is nearest.

Differs from iCaRL's code: the features of an exemplar are not averaged with those of its mirror
image.
"""

from __future__ import annotations

from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn
from torch.nn import functional

from buffers.memory import Memory
from clcore import Probe
from clcore.errors import ArgumentError

# Squared distances of unit vectors lie in [0, 4]; a class without exemplars scores below any other.
_ABSENT = -5.0


class NearestMeanClassifier(SupervisedPlugin):
    """Classifies by the nearest class mean of a buffer's exemplars.

    On its own: `fit(model)`, then `predict(x)`. As a plugin of an Avalanche strategy: before each
    evaluation the means are computed with the strategy's model, and `strategy.mb_output` becomes
    the scores, so every metric measures this classifier. Training is untouched. Computing features
    leaves the model as it was (gradients, modes, statistics, random numbers).

    Args:
        buffer: The memory; samples with its evaluation transform.
        feature_layer: Where features are read, see `clcore.Probe`; the input of the last Linear
            layer by default.
        batch_size: Samples a forward pass.

    Attributes:
        means: `[classes, d]`, unit length; zeros for classes without exemplars.

    Raises:
        ArgumentError: An argument is wrong.

    Example:
        >>> from buffers import ReservoirBuffer
        >>> buffer = ReservoirBuffer(20)
        >>> _ = buffer.add(torch.eye(4).repeat(5, 1), torch.arange(4).repeat(5))
        >>> model = nn.Sequential(nn.Identity(), nn.Linear(4, 4))
        >>> NearestMeanClassifier(buffer).fit(model).predict(torch.eye(4))
        tensor([0, 1, 2, 3])
    """

    def __init__(
        self,
        buffer: Memory,
        *,
        feature_layer: str | nn.Module | None = None,
        batch_size: int = 256,
    ) -> None:
        super().__init__()
        if not isinstance(buffer, Memory):
            raise ArgumentError(
                f"buffer: got a {type(buffer).__name__}; one of the classes in `buffers` is needed"
            )
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"batch_size: got {batch_size!r}; a positive integer is needed")
        self.buffer = buffer
        self.feature_layer = feature_layer
        self.batch_size = batch_size
        self.means = torch.empty(0, 0)
        self._held: Tensor | None = None
        self._probe: Probe | None = None

    def fit(self, model: nn.Module, device: torch.device | str | None = None) -> Any:
        """Compute the class means with a model.

        Args:
            model: The model; left as it was.
            device: Where to compute; where the model's parameters are by default.

        Returns:
            This classifier.

        Raises:
            ArgumentError: The buffer is empty, or the feature layer is not found.
        """
        if len(self.buffer) == 0:
            raise ArgumentError("buffer: it is empty; class means need at least one exemplar")
        self._probe = Probe(
            model, feature_layer=self.feature_layer, batch_size=self.batch_size, device=device
        )
        evaluate = self.buffer.eval_transform
        held = self.buffer.all(transform=True if evaluate is None else evaluate)
        features = functional.normalize(self._probe.features(held.x, task=held.task))
        y = held.y.to(features.device)
        sums = features.new_zeros(int(y.max()) + 1, features.shape[1]).index_add_(0, y, features)
        # The length of a mean doesn't depend on the count it is divided by.
        self.means = functional.normalize(sums)
        self._held = torch.bincount(y, minlength=len(sums)) > 0
        return self

    def scores(self, x: Tensor, task: Tensor | None = None) -> Tensor:
        """Score each class for each sample.

        Args:
            x: Samples `[n, ...]`, as the model takes them.
            task: Task labels `[n]`, for models that need them.

        Returns:
            `[n, classes]`: minus the squared distance to each class mean, in [−4, 0]; −5 for
            classes without exemplars.

        Raises:
            ArgumentError: `fit` has not been called.
        """
        if self._probe is None or self._held is None:
            raise ArgumentError("fit: call it with a model before asking for scores")
        features = functional.normalize(self._probe.features(x, task=task))
        squared = 2 - 2 * features @ self.means.T
        return (-squared).masked_fill(~self._held, _ABSENT)

    def predict(self, x: Tensor, task: Tensor | None = None) -> Tensor:
        """Class of the nearest mean for each sample, `[n]` int64."""
        return self.scores(x, task).argmax(1)

    # -- Avalanche calls these ---------------------------------------------------------------

    def before_eval(self, strategy: Any, **kwargs: Any) -> None:
        """Compute the means anew; before the buffer holds anything the model's output stands."""
        self._probe = None
        if len(self.buffer):
            self.fit(strategy.model, strategy.device)

    def after_eval_forward(self, strategy: Any, **kwargs: Any) -> None:
        """Put the scores in place of the model's output."""
        if self._probe is None:
            return
        task = strategy.mb_task_id if len(strategy.mbatch) > 2 else None
        scores = self.scores(strategy.mb_x, task)
        outputs = strategy.mb_output.shape[1]
        if outputs > scores.shape[1]:  # classes that the buffer has not seen
            scores = functional.pad(scores, (0, outputs - scores.shape[1]), value=_ABSENT)
        strategy.mb_output = scores.to(strategy.mb_output)

    def after_eval(self, strategy: Any, **kwargs: Any) -> None:
        """Let go of the model."""
        self._probe = None
