"""Embeddings of a data set, computed once, kept in a file, and bound to the data they are of.

A file is one safetensors file: the vectors, and in its header what they are of (rows, checksum) and
how they were made (extractor, projection). Nothing in it is ever executed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from clcore.checks import require_finite, whole_number
from clcore.errors import ArgumentError, FormatError
from clcore.guard import guard
from clcore.probe import Probe
from clcore.probe.source import batches, size_of
from clcore.probe.storage import fingerprint
from strategies.generative.checksum import checksum_of
from strategies.generative.picking import vectors_of
from strategies.generative.projection import random_projection

SCHEMA = 1
_KEY, _VALUES = "clcore embeddings", "embeddings"

Extractor = nn.Module | Probe | Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """One vector for each row of a data set.

    Attributes:
        values: Floating-point `[n, d]`, on the CPU; more dimensions where the extractor has them.
        checksum: Of the data, see `checksum_of`.
        extractor: What made them, in words.
    """

    values: Tensor
    checksum: str
    extractor: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", vectors_of("embeddings", self.values))

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of(
        cls,
        data: Any,
        extractor: Extractor,
        *,
        file: str | Path | None = None,
        projection: int | None = None,
        seed: int = 0,
        batch_size: int = 256,
        device: torch.device | str | None = None,
        name: str | None = None,
    ) -> Embeddings:
        """Compute the embeddings of a data set, or read them from a file of an earlier call.

        The extractor runs in evaluation mode without gradients, and is found again as it was.

        Args:
            data: Tensor `[n, ...]`, or a data set of `x`, `(x, y)` or `(x, y, t)`.
            extractor: A module or function from `[b, ...]` to `[b, d]`, or a `Probe`, whose
                features are taken.
            file: Where to keep them. If it exists it is read, and must be of this data, extractor
                and projection.
            projection: Numbers to project to by `random_projection`; the paper's is 32.
            seed: Of the projection.
            batch_size: Samples a forward pass; a probe has its own.
            device: Where to compute; by default where the module's parameters are. The module isn't
                moved.
            name: Of the extractor, for the file; by default the name of its class with a checksum
                of its parameters, so that embeddings by a network trained further are told apart.

        Returns:
            The embeddings.

        Raises:
            ArgumentError: If an argument is wrong, or the file is of other data or made otherwise.
            FormatError: If the file is damaged or of another kind.
            SignalError: If an embedding is NaN or infinite.
        """
        size = whole_number("batch_size", batch_size, least=1)
        words = _name_of(extractor) if name is None else name
        if projection is not None:
            words += (
                f", projected to {whole_number('projection', projection, least=1)}, seed {seed}"
            )
        path = None if file is None else Path(file)
        if path is not None and path.exists():
            found = cls.load(path, data)
            if found.extractor != words:
                raise ArgumentError(
                    f"{path} holds embeddings by {found.extractor!r} where this call asks for "
                    f"{words!r}: write to another file, or delete that one"
                )
            return found
        if size_of(data) == 0:
            raise ArgumentError("data has no rows")
        checksum = checksum_of(data)
        values = _embedded(data, extractor, size, device, projection, seed)
        made = cls(values, checksum, words)
        if path is not None:
            made.save(path)
        return made

    def require(self, data: Any) -> None:
        """Refuse a data set that these are not the embeddings of.

        Raises:
            ArgumentError: If its length or checksum is another.
        """
        if size_of(data) != len(self):
            raise ArgumentError(
                f"the embeddings are of {len(self)} rows where the data has {size_of(data)}: they "
                "are of another data set"
            )
        found = checksum_of(data)
        if found != self.checksum:
            raise ArgumentError(
                f"the embeddings are of data with checksum {self.checksum} where this data has "
                f"{found}: they are of another data set, order or normalisation"
            )

    def save(self, path: str | Path) -> None:
        """Write them to a file, whole or not at all.

        Raises:
            OSError: If it can't be written; an old file is kept.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        header = {
            "schema": SCHEMA, "rows": len(self),
            "checksum": self.checksum, "extractor": self.extractor,
        }  # fmt: skip
        temporary = path.with_name(path.name + ".part")
        try:
            save_file(
                {_VALUES: self.values.cpu().contiguous()}, temporary, {_KEY: json.dumps(header)}
            )
            os.replace(temporary, path)
        except SafetensorError as error:
            raise OSError(f"could not write {path}: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path, data: Any = None) -> Embeddings:
        """Read what `save` wrote.

        Args:
            path: The file.
            data: The data set that they must be of; None leaves that unchecked.

        Raises:
            FormatError: If the file is missing, damaged, of another kind or schema.
            ArgumentError: If they are of other data.
        """
        path = Path(path)
        try:
            with safe_open(path, framework="pt") as file:
                text = (file.metadata() or {}).get(_KEY)
                if text is None:
                    raise FormatError(f"{path} is a safetensors file, but holds no embeddings")
                header = json.loads(text)
                if header["schema"] != SCHEMA:
                    raise FormatError(
                        f"{path} has schema {header['schema']}; this version reads schema {SCHEMA}"
                    )
                values = file.get_tensor(_VALUES)
            if len(values) != header["rows"]:
                raise FormatError(
                    f"{path} is damaged: {len(values)} rows where {header['rows']} are due"
                )
            found = cls(values, str(header["checksum"]), str(header["extractor"]))
        except FileNotFoundError as error:
            raise FormatError(f"{path} does not exist") from error
        except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise FormatError(f"{path} is damaged or no file of embeddings: {error}") from error
        if data is not None:
            found.require(data)
        return found


def vectors_for(data: Any, embeddings: Embeddings | Tensor | Any) -> Tensor:
    """Take embeddings in one of their forms, and refuse those of other data.

    Args:
        data: The data set that they must be of; None leaves that unchecked.
        embeddings: `Embeddings`, whose checksum is compared, or vectors `[n, ...]`, whose length
            is.

    Returns:
        Floating-point `[n, ...]`.

    Raises:
        ArgumentError: If they are of other data, or no vectors.
        SignalError: If they hold NaN or infinity.
    """
    if isinstance(embeddings, Embeddings):
        if data is not None:
            embeddings.require(data)
        return embeddings.values
    vectors = vectors_of("embeddings", embeddings)
    if data is not None and len(data) != len(vectors):
        raise ArgumentError(
            f"embeddings has {len(vectors)} rows where data has {len(data)}: they are of another "
            "data set"
        )
    return vectors


def _embedded(
    data: Any,
    extractor: Extractor,
    size: int,
    device: torch.device | str | None,
    projection: int | None,
    seed: int,
) -> Tensor:
    """Run the extractor over the data, batch by batch."""
    parts: list[Tensor] = []

    def keep(block: Tensor) -> None:
        require_finite("embeddings", block, sum(len(part) for part in parts))
        block = block if projection is None else random_projection(block, projection, seed=seed)
        parts.append(block.to("cpu"))

    if isinstance(extractor, Probe):
        keep(extractor.features(data))
        return torch.cat(parts)
    if not callable(extractor):
        raise ArgumentError(
            f"extractor must be a module, a function or a Probe, not {type(extractor).__name__}"
        )
    modules = [extractor] if isinstance(extractor, nn.Module) else []
    if device is None:
        device = next((p.device for module in modules for p in module.parameters()), None)
    with guard(*modules, seed=0), torch.no_grad():
        for module in modules:
            module.eval()
        for x, _, _ in batches(data, size, None, None):
            keep(_checked(extractor(x if device is None else x.to(device)), len(x)))
    return torch.cat(parts)


def _checked(block: object, rows: int) -> Tensor:
    if isinstance(block, tuple | list | dict):
        raise ArgumentError(
            f"extractor returns {len(block)} outputs where one tensor is due: wrap it in a "
            "function that says which, such as lambda x: model(x)[0]"
        )
    if not isinstance(block, Tensor) or block.ndim < 2 or len(block) != rows:
        what = f"shape {tuple(block.shape)}" if isinstance(block, Tensor) else type(block).__name__
        raise ArgumentError(f"extractor must return [{rows}, d] for {rows} samples, not {what}")
    return block.detach() if block.dtype == torch.float64 else block.detach().float()


def _name_of(extractor: object) -> str:
    """Name an extractor so that another one, or the same one trained further, is told from it."""
    if isinstance(extractor, Probe):
        layer = extractor.feature_layer
        if isinstance(layer, nn.Module):
            layer = next(name for name, part in extractor.model.named_modules() if part is layer)
        place = "" if layer is None else f" at {layer}"
        return f"features of {_name_of(extractor.model)}{place}"
    name = str(getattr(extractor, "__name__", type(extractor).__name__))
    if isinstance(extractor, nn.Module) and extractor.state_dict():
        return f"{name} with parameters {fingerprint(extractor):08x}"
    return name
