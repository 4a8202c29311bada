"""Predictor that ranks architectures and adapts to a task from a few labels."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call
from typing_extensions import Self

from nas_gym.predictors.config import PredictorConfig
from nas_gym.predictors.fine_tuning import fine_tune
from nas_gym.predictors.gcn import GCN, to_tensors
from nas_gym.predictors.maml import Parameters
from nas_gym.spaces.graphs import NODES, Graphs, describe_node_types
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import read_tensors, write_tensors
from nas_gym.utils.ranks import rank_scores

_BATCH = 4096  # graphs per forward pass


class Predictor:
    """Graph convolutional network that scores architectures.

    A higher score predicts a larger value of the metric. Scores have no unit; only the order of
    scores is meaningful. A new predictor has random parameters.

    Args:
        config: Settings of the network and of its adaptation.
        seed: Seed of the initial parameters.
        node_types: Types of the nodes of the graphs that it reads; those of unified graphs by
            default.

    Attributes:
        parameters: Parameters of the network by name.
        fine_tuning_steps: Number of SGD steps of the latest :meth:`fit`; 0 before the first.

    Example:
        >>> from nas_gym.spaces.graphs import to_graphs
        >>> from nas_gym.spaces import NB201Space
        >>> space = NB201Space()
        >>> graphs = to_graphs(space, space.decode([7, 8, 9, 10, 11]))
        >>> accuracies = [91.0, 90.2, 88.4, 93.1, 10.0]
        >>> fitted = Predictor(PredictorConfig(), seed=0).fit(graphs, accuracies)
        >>> fitted.predict(graphs).shape
        (5,)
    """

    def __init__(
        self, config: PredictorConfig, seed: int = 0, node_types: tuple[str, ...] = NODES
    ) -> None:
        self.config = config
        self.node_types = node_types
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model = GCN(config.width, config.layers, config.dropout, len(node_types))
        self.model.eval()
        self.parameters = {name: each.detach() for name, each in self.model.named_parameters()}
        self.fine_tuning_steps = 0

    def with_parameters(self, parameters: Parameters, fine_tuning_steps: int = 0) -> Self:
        """Return a copy of the predictor with other parameters."""
        other = copy.copy(self)
        other.parameters, other.fine_tuning_steps = dict(parameters), fine_tuning_steps
        return other

    def predict(self, graphs: Graphs) -> NDArray[np.float64]:
        """Return the scores of architectures, ``(n,)``.

        Raises:
            ValueError: If the graphs have other types of nodes than the predictor.
        """
        self.check_node_types(graphs.node_types)
        return self.predict_tensors(*to_tensors(graphs))

    def check_node_types(self, node_types: tuple[str, ...]) -> None:
        """Raise an error if graphs have other types of nodes than the predictor.

        Raises:
            ValueError: If they have.
        """
        if node_types != self.node_types:
            raise ValueError(
                f"This predictor has learned {describe_node_types(self.node_types)}; it cannot "
                f"read graphs with {describe_node_types(node_types)}."
            )

    def predict_tensors(self, *inputs: Tensor) -> NDArray[np.float64]:
        """Return the scores of architectures, ``(n,)``.

        Args:
            inputs: The tensors that :func:`~nas_gym.predictors.gcn.to_tensors` returns.
        """
        with torch.no_grad():
            scores = [
                functional_call(self.model, self.parameters, part) for part in self.batches(*inputs)
            ]
        return torch.cat(scores).numpy().astype(np.float64)

    def batches(self, *inputs: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Return parts of the inputs that fit into memory."""
        return zip(*(torch.split(each, _BATCH) for each in inputs), strict=True)

    def fit(self, graphs: Graphs, labels: NDArray[np.float64] | list[float]) -> Self:
        """Return a predictor that is fine-tuned to labelled architectures; ``self`` is unchanged.

        Args:
            graphs: ``k`` architectures.
            labels: Measured values, ``(k,)``; only the order of the values matters.

        Raises:
            ValueError: If there are no labels, the numbers of labels and graphs differ, a label is
                NaN, or the graphs have other node types than the predictor.
        """
        scores = torch.from_numpy(self.label_scores(graphs, labels).astype(np.float32))
        parameters, steps = fine_tune(
            self.model,
            self.parameters,
            (*to_tensors(graphs), scores),
            algorithm=self.config.algorithm,
            learning_rate=self.config.inner_rate,
        )
        return self.with_parameters(parameters, steps)

    def label_scores(
        self, graphs: Graphs, labels: NDArray[np.float64] | list[float]
    ) -> NDArray[np.float64]:
        """Return the normal scores of the labels of ``k`` architectures, ``(k,)``.

        Raises:
            ValueError: See :meth:`fit`.
        """
        self.check_node_types(graphs.node_types)
        values = np.asarray(labels, np.float64)
        if values.shape != (len(graphs.nodes),) or not len(values):
            raise ValueError(
                f"One label per graph was expected ({len(graphs.nodes)} graphs), and at least one "
                f"graph; got labels of shape {values.shape}."
            )
        if np.isnan(values).any():
            raise ValueError("A label is NaN. Give one number per graph.")
        scores: NDArray[np.float64] = rank_scores(values[None])[0]
        return scores

    def state_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the parameters as arrays by name."""
        return {name: each.detach().numpy() for name, each in self.parameters.items()}

    def with_state_arrays(self, arrays: dict[str, NDArray[np.float32]]) -> Self:
        """Return a copy of the predictor with parameters that :meth:`state_arrays` returned.

        Raises:
            KeyError: If a parameter is missing.
            ValueError: If a parameter has a wrong shape, or contains NaN or infinite numbers.
        """
        found: dict[str, Tensor] = {}
        for name, own in self.parameters.items():
            if arrays[name].shape != own.shape:
                raise ValueError(f"{name} has shape {arrays[name].shape}, not {tuple(own.shape)}.")
            if not np.isfinite(arrays[name]).all():
                raise ValueError(f"{name} holds NaN or infinite numbers.")
            found[name] = torch.from_numpy(arrays[name].astype(np.float32))
        return self.with_parameters(found)

    def save(self, path: str | Path, *, maximize: bool = True, description: str = "") -> None:
        """Write the predictor to a file.

        The ``signal`` of an environment can name the file: ``signal="predictor:FILE"``.

        Args:
            path: Path of the file (``.safetensors``).
            maximize: Whether larger values of the predicted metric are better.
            description: Short text about the labels that the predictor was fitted to.
        """
        about = {"recipe": asdict(self.config), "maximize": maximize, "what": description}
        if self.node_types != NODES:
            about["node_types"] = list(self.node_types)
        arrays = {f"parameters/{name}": each for name, each in self.state_arrays().items()}
        write_tensors(Path(path), {"predictor": np.array(json.dumps(about)), **arrays})


@dataclass(frozen=True)
class SavedPredictor:
    """Content of a file that :meth:`Predictor.save` wrote.

    Attributes:
        predictor: Saved predictor.
        maximize: Whether larger values of the predicted metric are better.
        description: Short text about the labels that the predictor was fitted to.
    """

    predictor: Predictor
    maximize: bool
    description: str

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that :meth:`Predictor.save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            DamagedDataError: If the file holds no predictor, or is incomplete.
        """
        arrays = read_tensors(Path(path))
        try:
            about = json.loads(str(arrays["predictor"]))
            node_types = tuple(map(str, about.get("node_types", NODES)))
            untrained = Predictor(PredictorConfig(**about["recipe"]), node_types=node_types)
            found = {name.removeprefix("parameters/"): each for name, each in arrays.items()}
            predictor = untrained.with_state_arrays(found)
            return cls(predictor, bool(about["maximize"]), str(about["what"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedDataError(
                f"{path} holds no predictor. `nas-gym predict --save FILE` writes one."
            ) from error
