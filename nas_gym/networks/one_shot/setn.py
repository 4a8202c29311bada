"""SETN, one-shot search with a self-evaluated template network (Dong and Yang, ICCV 2019)."""

from __future__ import annotations

import numpy as np

from nas_gym.networks.one_shot.base import Genotype
from nas_gym.networks.one_shot.differentiable import DifferentiableSearch


class SETNSearch(DifferentiableSearch):
    """Search that trains weights on uniformly drawn architectures, and alpha on the mixture."""

    def derive(self) -> Genotype:
        """Sample 100 architectures from the distribution given by alpha; return the one with the
        highest accuracy on one validation batch."""
        alpha = self.alpha.detach().cpu().numpy()
        noise = self._rng.gumbel(size=(self.num_samples, len(alpha)))
        return self._best(self.space.alpha_to_genotype(np.log(alpha) + noise))
