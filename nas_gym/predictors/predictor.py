"""A predictor of architectures' performance that a few labels adapt to a task."""

from __future__ import annotations

import copy
import json
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
from nas_gym.spaces.graphs import Graphs
from nas_gym.utils.errors import DamagedDataError
from nas_gym.utils.files import read_tensors, write_tensors
from nas_gym.utils.ranks import rank_scores

_BATCH = 4096  # graphs that are predicted at a time


class Predictor:
    """A graph convolutional network that scores architectures: the higher, the larger the metric.

    Scores rank; they have no unit. A new one has random parameters.

    Args:
        config: how it is built.
        seed: of its parameters.

    Attributes:
        parameters: of the network, by name.
        steps: of fine-tuning that made the parameters; 0 for none.

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

    def __init__(self, config: PredictorConfig, seed: int = 0) -> None:
        self.config = config
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model = GCN(config.width, config.layers, config.dropout)
        self.model.eval()
        self.parameters = {name: each.detach() for name, each in self.model.named_parameters()}
        self.steps = 0

    def with_parameters(self, parameters: Parameters, steps: int = 0) -> Self:
        """The same network with other parameters, after so many steps of fine-tuning."""
        other = copy.copy(self)
        other.parameters, other.steps = dict(parameters), steps
        return other

    def predict(self, graphs: Graphs) -> NDArray[np.float64]:
        """Scores of architectures, ``(n,)``."""
        return self.score(*to_tensors(graphs))

    def score(self, *inputs: Tensor) -> NDArray[np.float64]:
        """The same, of graphs as :func:`~nas_gym.predictors.gcn.to_tensors` gives them."""
        parts = zip(*(torch.split(each, _BATCH) for each in inputs), strict=True)
        with torch.no_grad():
            found = [functional_call(self.model, self.parameters, part) for part in parts]
        return torch.cat(found).numpy().astype(np.float64)

    def fit(self, graphs: Graphs, labels: NDArray[np.float64] | list[float]) -> Self:
        """A predictor adapted to labelled architectures; this one stays as it is.

        Args:
            graphs: ``k`` of them.
            labels: what was measured, ``(k,)``; only their order counts.

        Raises:
            ValueError: no labels, another number of them than of graphs, or NaN.
        """
        values = np.asarray(labels, np.float64)
        if values.shape != (len(graphs.nodes),) or not len(values):
            raise ValueError(
                f"One label for each of the {len(graphs.nodes)} graphs was expected, and at least "
                f"one graph; got labels of shape {values.shape}."
            )
        if np.isnan(values).any():
            raise ValueError("Labels hold NaN, numbers were expected.")
        scores = torch.from_numpy(rank_scores(values[None])[0].astype(np.float32))
        parameters, steps = fine_tune(
            self.model,
            self.parameters,
            (*to_tensors(graphs), scores),
            algorithm=self.config.algorithm,
            learning_rate=self.config.inner_rate,
        )
        return self.with_parameters(parameters, steps)

    def state_arrays(self) -> dict[str, NDArray[np.float32]]:
        """The parameters, by name."""
        return {name: each.detach().numpy() for name, each in self.parameters.items()}

    def with_state_arrays(self, arrays: dict[str, NDArray[np.float32]]) -> Self:
        """Such a predictor with other parameters.

        Raises:
            KeyError: one is missing.
            ValueError: one has another shape.
        """
        found: dict[str, Tensor] = {}
        for name, own in self.parameters.items():
            if arrays[name].shape != own.shape:
                raise ValueError(f"{name} has shape {arrays[name].shape}, not {tuple(own.shape)}.")
            found[name] = torch.from_numpy(arrays[name].astype(np.float32))
        return self.with_parameters(found)

    def save(self, path: str | Path, *, maximize: bool = True, what: str = "") -> None:
        """Write it to a file (``.safetensors``) that an environment's ``signal`` may name.

        Args:
            path: of the file.
            maximize: whether more is better of the metric that it predicts.
            what: what it was fitted to, in a few words.
        """
        about = {"recipe": asdict(self.config), "maximize": maximize, "what": what}
        arrays = {f"parameters/{name}": each for name, each in self.state_arrays().items()}
        write_tensors(Path(path), {"predictor": np.array(json.dumps(about)), **arrays})


@dataclass(frozen=True)
class SavedPredictor:
    """What :meth:`Predictor.save` wrote.

    Attributes:
        predictor: as it was.
        maximize: whether more is better of the metric that it predicts.
        what: what it was fitted to.
    """

    predictor: Predictor
    maximize: bool
    what: str

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file.

        Raises:
            FileNotFoundError: there is no such file.
            DamagedDataError: it holds something else, or less.
        """
        arrays = read_tensors(Path(path))
        try:
            about = json.loads(str(arrays["predictor"]))
            begun = Predictor(PredictorConfig(**about["recipe"]))
            found = {name.removeprefix("parameters/"): each for name, each in arrays.items()}
            return cls(begun.with_state_arrays(found), bool(about["maximize"]), str(about["what"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedDataError(
                f"{path} holds no predictor. `nas-gym predict --save FILE` writes one."
            ) from error
