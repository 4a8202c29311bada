"""Tune the hyper-parameters of a stable-baselines3 algorithm on tasks that no result page reports.

    python scripts/tune_sb3.py ppo --family NB201 --trials 30

Optuna's TPE proposes hyper-parameters. Their score is the regret relative to the regret of random
search, averaged over 250, 500 and 1,000 queries, the tasks of the family, and a few seeds. The best
hyper-parameters are written to nas_gym/agents/sb3/hyperparams/<algorithm>.yml. One trial takes
between a few seconds (a2c) and a minute (tqc).
"""

from __future__ import annotations

import argparse
from typing import Any

import gymnasium as gym
import numpy as np
import optuna
import torch
import yaml
from numpy.typing import NDArray

import nas_gym  # noqa: F401 (registers the environments)
from nas_gym.agents import RandomSearch
from nas_gym.agents.sb3.models import (
    ALGORITHMS,
    DEFAULT_ENTRY,
    HYPERPARAMS,
    read_hyperparams,
    run_sb3_search,
)
from nas_gym.envs.base import SearchVectorEnv
from nas_gym.recording import RecordVectorSearch
from nas_gym.registration import BUILT_IN, Mode, in_mode
from nas_gym.spaces import SearchSpace
from nas_gym.spaces.registry import build_whole_space, find_space_class

# the result pages report accuracy on the image data sets, and other graph data sets
TASKS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "NB201": [
        ("NB201-cifar10-v0", {"signal": metric, "report": metric})
        for metric in ("analog_drift_86400", "noisy_accuracy", "baseline_drift_3600")
    ],
    "NBGraph": [
        ("NBGraph-cora-v0", {"signal": "valid_perf", "report": "valid_perf"}),
        ("NBGraph-photo-v0", {"signal": "valid_perf", "report": "valid_perf"}),
    ],
}
"""Tasks of each family of search spaces: environment IDs and arguments."""

BUDGETS = np.array([250, 500, 1000])
"""Numbers of queries after which the regret is measured."""

HEADER = (
    "# Found by scripts/tune_sb3.py, in the format of RL Baselines3 Zoo.\n"
    "# n_timesteps, which rl_zoo3.train uses, is the number of steps of 500 queries.\n"
)
QUERIES = 500


def on_policy(trial: optuna.Trial, name: str, length: int) -> dict[str, Any]:
    """Suggest hyper-parameters of PPO, its variants and A2C."""
    n_envs = trial.suggest_categorical("n_envs", [4, 8, 16])
    # a rollout ends at the end of an episode
    n_steps = length * trial.suggest_categorical("episodes", [1, 2, 4])
    settings: dict[str, Any] = {
        "n_envs": n_envs,
        "policy": "MlpLstmPolicy" if name == "recurrentppo" else "MlpPolicy",
        "n_steps": n_steps,
        "gamma": 1.0,
        "gae_lambda": trial.suggest_categorical("gae_lambda", [0.9, 1.0]),
        "ent_coef": trial.suggest_float("ent_coef", 0.003, 0.3, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 2e-2, log=True),
    }
    if name != "a2c":
        settings["batch_size"] = n_envs * n_steps
        settings["n_epochs"] = trial.suggest_categorical("n_epochs", [2, 4, 8])
    if name == "recurrentppo":
        settings["policy_kwargs"] = {"lstm_hidden_size": 64}
    return settings


def q_learning(trial: optuna.Trial, name: str, length: int) -> dict[str, Any]:
    """Suggest hyper-parameters of DQN and QR-DQN."""
    policy_kwargs: dict[str, Any] = {"net_arch": [64, 64]}
    if name == "qrdqn":
        policy_kwargs["n_quantiles"] = 25
    return {
        "policy": "MlpPolicy",
        "buffer_size": 10_000,
        "learning_starts": length * trial.suggest_categorical("initial_queries", [20, 50, 100]),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
        "gamma": 1.0,
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "train_freq": trial.suggest_categorical("train_freq", [1, 2, 4]),
        "target_update_interval": trial.suggest_categorical("target_update", [20, 100, 500]),
        "exploration_fraction": trial.suggest_float("exploration_fraction", 0.05, 0.6),
        "exploration_final_eps": trial.suggest_float("final_eps", 0.05, 0.3),
        "policy_kwargs": policy_kwargs,
    }


def actor_critic(trial: optuna.Trial, name: str, length: int) -> dict[str, Any]:
    """Suggest hyper-parameters of DDPG, TD3, SAC and TQC.

    Each step is a query whose reward depends on the action of this step alone: the discount is 0.
    """
    settings: dict[str, Any] = {
        "policy": "MlpPolicy",
        "buffer_size": 10_000,
        "learning_starts": trial.suggest_categorical("learning_starts", [20, 50, 100]),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
        "gamma": 0.0,
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "tau": trial.suggest_float("tau", 0.005, 0.1, log=True),
        "policy_kwargs": {"net_arch": [64, 64]},
    }
    if name in ("ddpg", "td3"):
        settings["noise_type"] = "normal"
        settings["noise_std"] = trial.suggest_float("noise_std", 0.1, 1.0, log=True)
    else:
        settings["ent_coef"] = trial.suggest_float("ent_coef", 0.003, 0.3, log=True)
    return settings


def suggest(trial: optuna.Trial, name: str, length: int) -> dict[str, Any]:
    """Suggest hyper-parameters of an algorithm, with the keys of its YAML file."""
    if name in ("ppo", "a2c", "maskableppo", "recurrentppo"):
        settings = on_policy(trial, name, length)
    else:
        space = q_learning if name in ("dqn", "qrdqn") else actor_critic
        settings = space(trial, name, length)
    return {"vec_env_wrapper": ["nas_gym.agents.sb3.rewards.RankRewards"], **settings}


def regrets(
    name: str, env: str, arguments: dict[str, Any], seed: int, settings: dict[str, Any]
) -> NDArray[np.float64]:
    """Return the regret of an algorithm after each number of queries in ``BUDGETS``."""
    found = run_sb3_search(name, env, int(BUDGETS[-1]), seed, arguments, tuned=False, **settings)
    after: NDArray[np.float64] = found.regrets[BUDGETS - 1, 0]
    return after


def random_search_regrets(env: str, arguments: dict[str, Any]) -> NDArray[np.float64]:
    """Return the mean regret of random search after each number of queries in ``BUDGETS``."""
    envs = RecordVectorSearch(gym.make_vec(in_mode(env, Mode.ALPHA), num_envs=200, **arguments))
    RandomSearch(envs, seed=0).learn(int(BUDGETS[-1]))
    means: NDArray[np.float64] = envs.curves().regrets[BUDGETS - 1].mean(axis=1)
    return means


def num_decisions(env: str, arguments: dict[str, Any]) -> int:
    """Return the number of decisions that describe an architecture of an environment."""
    envs = gym.make_vec(env, num_envs=1, **arguments)
    assert isinstance(envs, SearchVectorEnv)
    return envs.task.space.num_decisions


def tune(name: str, family: str, num_trials: int, num_seeds: int) -> dict[str, Any]:
    """Return the hyper-parameters with the lowest regret relative to random search."""
    tasks = TASKS[family]
    baselines = [random_search_regrets(*task) for task in tasks]
    length = num_decisions(*tasks[0])

    def objective(trial: optuna.Trial) -> float:
        settings = suggest(trial, name, length)
        trial.set_user_attr("settings", settings)
        ratios = [
            regrets(name, *task, 10_000 + seed, settings) / baseline
            for seed in range(num_seeds)
            for task, baseline in zip(tasks, baselines, strict=True)
        ]
        trial.set_user_attr("by_budget", np.mean(ratios, axis=0).round(3).tolist())
        print(trial.number, trial.user_attrs["by_budget"], trial.params, flush=True)
        return float(np.mean(ratios))

    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    study.optimize(objective, n_trials=num_trials)
    print("best", study.best_value, study.best_trial.user_attrs)
    return dict(study.best_trial.user_attrs["settings"])


def searchable_ids(name: str) -> list[str]:
    """Return the IDs of the built-in environments that an algorithm can search."""
    algorithm = ALGORITHMS[name]
    needs_masks = algorithm.mode is Mode.SEQUENTIAL and not algorithm.masks
    return [
        f"{task}{algorithm.mode.value}-v0"
        for task in BUILT_IN
        if not needs_masks or not family_space(task).has_masks
    ]


def family_space(name: str) -> SearchSpace:
    """Return the whole search space of the family with which the name of a task begins."""
    return build_whole_space(find_space_class(name.partition("-")[0]))


def entries(name: str, families: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the content of an algorithm's file: hyper-parameters by environment ID.

    Args:
        name: Name of the algorithm.
        families: Hyper-parameters by family. Families that were not tuned get those of NB201.
    """

    def entry(family: str) -> dict[str, Any]:
        is_sequential = ALGORITHMS[name].mode is Mode.SEQUENTIAL
        steps = family_space(family).num_decisions if is_sequential else 1
        tuned = families.get(family, families["NB201"])
        return {"n_timesteps": QUERIES * steps, **tuned}

    # equal entries are the same object, which YAML writes only once
    distinct: list[dict[str, Any]] = []
    found = {DEFAULT_ENTRY: "NB201"} | {each: each.split("-")[0] for each in searchable_ids(name)}
    for family in dict.fromkeys(found.values()):
        if entry(family) not in distinct:
            distinct.append(entry(family))
    return {key: distinct[distinct.index(entry(family))] for key, family in found.items()}


def save(algorithm: str, family: str, settings: dict[str, Any]) -> None:
    """Write the hyper-parameters for a family to the file of the algorithm."""
    families = {each: read_hyperparams(algorithm, space=each) for each in TASKS}
    families[family] = {
        key: float(f"{value:.2g}") if isinstance(value, float) else value
        for key, value in settings.items()
    }
    content = yaml.safe_dump(entries(algorithm, families), sort_keys=False)
    (HYPERPARAMS / f"{algorithm}.yml").write_text(HEADER + content)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("algorithm", choices=list(ALGORITHMS))
    parser.add_argument("--family", choices=list(TASKS), default="NB201")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings = tune(options.algorithm, options.family, options.trials, options.seeds)
    save(options.algorithm, options.family, settings)


if __name__ == "__main__":
    main()
