"""Adapter of this package's vector environments for stable-baselines3.

No subprocesses are needed, because one NumPy call steps all environments.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from nas_gym.envs.base import SearchVectorEnv
from nas_gym.envs.lazy_info import LazyInfo

Indices = int | Iterable[int] | None


class SearchVecEnv(VecEnv):
    """Adapter from a vector environment of this package to a ``VecEnv`` of stable-baselines3.

    The environments serve one model, and therefore one search: all environments have the same noise
    on the signal.

    Args:
        envs: Result of ``gym.make_vec(id, num_envs=n, autoreset_mode="SameStep")``; wrappers are
            allowed.

    Raises:
        TypeError: If ``envs`` is not a vector environment of this package.
        ValueError: If ``envs`` does not reset in the step that ends an episode, as SB3 expects.
        RuntimeError: If ``envs`` has noise on the signal and was reset before.

    Example:
        >>> import gymnasium as gym
        >>> import nas_gym
        >>> from stable_baselines3 import PPO
        >>> from nas_gym.agents.sb3.vec_env import SearchVecEnv
        >>> envs = gym.make_vec("NB201-cifar10-v0", num_envs=8, autoreset_mode="SameStep")
        >>> model = PPO("MlpPolicy", SearchVecEnv(envs), n_steps=12, batch_size=96, device="cpu")
    """

    def __init__(self, envs: VectorEnv[Any, Any, Any]) -> None:
        inner = envs.unwrapped
        if not isinstance(inner, SearchVectorEnv):
            raise TypeError(
                f"{envs} is not a vector environment of nas_gym; make one with gym.make_vec."
            )
        if inner.metadata["autoreset_mode"] is not AutoresetMode.SAME_STEP:
            raise ValueError(
                "stable-baselines3 expects environments that reset in the step that ends an "
                'episode: gym.make_vec(..., autoreset_mode="SameStep").'
            )
        inner.share_noise()
        self.envs = envs
        self._inner = inner
        self._actions: Any = None
        self.spec: Any = envs.spec
        super().__init__(envs.num_envs, inner.single_observation_space, inner.single_action_space)

    def reset(self) -> Any:
        """Begin an episode in every environment, with the seeds from :meth:`seed`."""
        seeds: Any = None if all(seed is None for seed in self._seeds) else self._seeds
        options = next((options for options in self._options if options), None)
        observations, infos = self.envs.reset(seed=seeds, options=options)
        self.reset_infos = self._split(infos)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Store the actions for the next call of :meth:`step_wait`."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Take the stored actions.

        At the end of an episode, infos hold ``terminal_observation`` and the entries of the query.
        """
        observations, rewards, terminated, truncated, infos = self.envs.step(self._actions)
        dones = terminated | truncated
        if dones[0]:  # episodes in lockstep end together
            self.reset_infos = self._split(infos)
            steps = self._split(infos["final_info"], truncated & ~terminated)
            for i, info in enumerate(steps):
                info["terminal_observation"] = _row(infos["final_obs"], i)
        else:
            steps = self._split(infos, np.zeros(self.num_envs, bool))
        return observations, rewards.astype(np.float32), dones, steps

    def _split(
        self, infos: dict[str, Any], truncated: NDArray[np.bool_] | None = None
    ) -> list[dict[str, Any]]:
        """Return the info of each environment; an info is computed when it is first read."""
        return [
            LazyInfo(
                {} if truncated is None else {"TimeLimit.truncated": bool(truncated[i])},
                partial(_info_row, infos, i),
            )
            for i in range(self.num_envs)
        ]

    def close(self) -> None:
        """Close the environments."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """Return an attribute of each environment; all environments share their attributes."""
        if attr_name == "action_masks":
            self._require(attr_name)
            return [partial(self._masks_of, i) for i in self._get_indices(indices)]
        value = getattr(self._inner, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Raise an error, because environments in lockstep share their attributes.

        Raises:
            AttributeError: Always.
        """
        raise AttributeError(
            f"{attr_name!r} cannot be set in single environments, because they run in lockstep. "
            "Pass it to gym.make_vec, or use make_vec_env of stable-baselines3."
        )

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call ``action_masks`` or ``render`` and return the result of each environment.

        Raises:
            AttributeError: If another method is requested.
        """
        if method_name not in ("action_masks", "render"):
            raise AttributeError(
                f"env_method accepts action_masks and render, not {method_name!r}, because "
                "environments in lockstep have no other methods of their own."
            )
        self._require(method_name)
        rows = getattr(self._inner, method_name)(*method_args, **method_kwargs)
        return [rows[i] for i in self._get_indices(indices)]

    def _require(self, method_name: str) -> None:
        if not hasattr(self._inner, method_name):
            raise AttributeError(f"{type(self._inner).__name__} has no method {method_name!r}.")

    def _masks_of(self, i: int) -> NDArray[np.bool_]:
        masks: NDArray[np.bool_] = self._inner.action_masks()[i]  # type: ignore[attr-defined]
        return masks

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Indices = None
    ) -> list[bool]:
        """Return ``False`` for each environment, because single environments cannot be wrapped."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> list[NDArray[np.uint8]]:
        """Return an image of each environment; requires ``render_mode="rgb_array"``."""
        return list(self._inner.render())


def _info_row(infos: dict[str, Any], i: int) -> dict[str, Any]:
    """Return the info of one environment from infos in Gymnasium's vector format."""
    row: dict[str, Any] = {}
    for key, value in infos.items():
        if key.startswith("_") or key in ("final_obs", "final_info"):
            continue
        if isinstance(value, dict):
            row[key] = _info_row(value, i)
        else:
            one = value[i]
            row[key] = one.item() if isinstance(one, np.generic) else one
    return row


def _row(observations: Any, i: int) -> Any:
    if isinstance(observations, dict):
        return {key: values[i] for key, values in observations.items()}
    return observations[i]
