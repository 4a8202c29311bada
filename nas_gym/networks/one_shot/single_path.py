"""Random search with weight sharing, RSWS (Li and Talwalkar, UAI 2019)."""

from __future__ import annotations

from nas_gym.networks.one_shot.base import Genotype, OneShotSearch


class SinglePathSearch(OneShotSearch):
    """Search that trains uniformly drawn architectures and chooses the best of 100 new ones."""

    def derive(self) -> Genotype:
        """Draw 100 architectures uniformly; return the one with the highest accuracy on one
        validation batch."""
        return self._best(self.space.sample(self.num_samples, self._rng))
