"""Random projection of per-sample gradients: many coordinates to few, inner products kept.

Source: Johnson and Lindenstrauss 1984; on gradients e.g. Park et al. 2023 (TRAK).
Formula: r_i = P g_i with independent entries of mean 0 and variance 1/p, so E⟨r_i, r_j⟩ =
    ⟨g_i, g_j⟩. Factored: P's row k is u_k ⊗ v_k, so r_ik = (u_k · δ_i)(v_k · a_i) / √p, and the
    gradient δ_i a_iᵀ is never multiplied out; inner products are kept on average too, with a
    larger variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from clcore.checks import whole_number
from clcore.errors import ArgumentError
from clcore.probe.factors import BLOCK, Factor, row_chunks
from clcore.probe.indexed import Indexed
from clcore.probe.outer import Outer
from clcore.probe.seeds import mixed_seed

_UNIT = 1024
"""Coordinates that one seed draws: fixed, so the matrix does not depend on the batch."""

_KEPT = 2**26
"""Elements of the matrix that are kept between batches; beyond, it is drawn again."""


@dataclass(frozen=True)
class Projection:
    """How `projected_gradients` are made.

    Args:
        layer: The layer whose parameters' gradients are projected, by name or itself; None: the
            model's last Linear.
        dimensions: p, the coordinates kept.
        kind: Entries ±1 (`"rademacher"`) or normal (`"gaussian"`), over √p.
        structure: `"dense"`: independent entries; `"factored"`: outer products, which cost
            p·(o + d) a sample instead of p·o·d.
        seed: Of the matrix.
    """

    layer: str | nn.Module | None = None
    dimensions: int = 512
    kind: Literal["rademacher", "gaussian"] = "rademacher"
    structure: Literal["dense", "factored"] = "dense"
    seed: int = 0
    _blocks: dict[tuple[int, str], Tensor] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        whole_number("dimensions", self.dimensions, least=1)
        whole_number("seed", self.seed)
        if self.kind not in ("rademacher", "gaussian"):
            raise ArgumentError(f"kind must be 'rademacher' or 'gaussian', not {self.kind!r}")
        if self.structure not in ("dense", "factored"):
            raise ArgumentError(f"structure must be 'dense' or 'factored', not {self.structure!r}")

    def find(self, model: nn.Module) -> str | nn.Module:
        """Return the layer that is meant.

        Args:
            model: Where to look.

        Returns:
            Its name, or itself.

        Raises:
            ArgumentError: If none is named and the model has no Linear.
        """
        linears = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
        if self.layer is None and not linears:
            raise ArgumentError("the model has no Linear: name a layer with Projection(layer=)")
        return linears[-1] if self.layer is None else self.layer

    def project(
        self, factors: Mapping[str, Factor], sizes: Mapping[str, int], rows: int, like: Tensor
    ) -> Tensor:
        """Project the gradients of some samples.

        Args:
            factors: By the parameter's name; one that is not there has no gradient.
            sizes: Elements of each parameter of the layer, in order.
            rows: n.
            like: Decides dtype and device.

        Returns:
            `[n, p]`.
        """
        total = torch.zeros(rows, self.dimensions, dtype=like.dtype, device=like.device)
        start = 0
        for name, size in sizes.items():
            factor = factors.get(name)
            if factor is not None and self.structure == "factored":
                factor = factor.outer() if isinstance(factor, Indexed) else factor
            if isinstance(factor, Outer) and self.structure == "factored":
                self._add_factored(total, factor, start)
            elif factor is not None:
                self._add_dense(total, factor, start)
            start += size
        return total.div_(self.dimensions**0.5)

    def _add_dense(self, total: Tensor, factor: Factor, start: int) -> None:
        for block in factor.blocks():
            step = max(1, BLOCK // self.dimensions)
            for first in range(0, block.shape[1], step):
                part = block[:, first : first + step]
                total += part @ self._matrix(start + first, part.shape[1], total)
            start += block.shape[1]

    def _add_factored(self, total: Tensor, factor: Outer, start: int) -> None:
        groups, o, d = factor.shape
        lefts = self._matrix(start, groups * o, total, "left").view(groups, o, -1)
        rights = self._matrix(start, groups * d, total, "right").view(groups, d, -1)
        for rows in row_chunks(factor.rows, factor.tokens * groups * (o + d + 2 * lefts.shape[2])):
            pairs = torch.einsum("ntgo,gop->ntgp", factor.left(rows), lefts)
            pairs *= torch.einsum("ntgd,gdp->ntgp", factor.right(rows), rights)
            total[rows] += pairs.sum((1, 2))

    def _matrix(self, start: int, count: int, like: Tensor, part: str = "dense") -> Tensor:
        """Return rows `start` to `start + count` of the transposed matrix `[·, p]`."""
        units = range(start // _UNIT, (start + count - 1) // _UNIT + 1)
        offset = start - units[0] * _UNIT
        drawn = torch.cat([self._unit(unit, part) for unit in units])
        return drawn[offset : offset + count].to(like)

    def _unit(self, unit: int, part: str) -> Tensor:
        known = self._blocks.get((unit, part))
        if known is not None:
            return known
        place = ("dense", "left", "right").index(part)
        # Mixed, for a CPU generator reads no more than 32 bits of its seed.
        seed = mixed_seed(mixed_seed(self.seed, place), unit)
        generator = torch.Generator().manual_seed(seed)
        shape = (_UNIT, self.dimensions)
        if self.kind == "gaussian":
            drawn = torch.randn(shape, generator=generator)
        else:
            drawn = torch.randint(2, shape, generator=generator).mul_(2).sub_(1).float()
        if (len(self._blocks) + 1) * drawn.numel() <= _KEPT:
            self._blocks[unit, part] = drawn
        return drawn
