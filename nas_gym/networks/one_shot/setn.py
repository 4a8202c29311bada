"""SETN, one-shot search by a self-evaluated template network (Dong and Yang, ICCV 2019)."""

from __future__ import annotations

import numpy as np

from nas_gym.networks.one_shot.base import Genotype
from nas_gym.networks.one_shot.differentiable import DifferentiableSearch


class SETNSearch(DifferentiableSearch):
    """Search that trains the weights of uniformly drawn architectures, and alpha of the mixture."""

    def derive(self) -> Genotype:
        """Draw 100 architectures with the probabilities of alpha; return the best."""
        alpha = self.alpha.detach().cpu().numpy()
        noise = self._rng.gumbel(size=(self.num_samples, len(alpha)))
        return self._best(self.space.alpha_to_genotype(np.log(alpha) + noise))
