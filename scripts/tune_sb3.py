"""Tune the hyper-parameters of a stable-baselines3 algorithm on tasks that are not reported.

    python scripts/tune_sb3.py ppo --family NB201 --trials 30

Optuna's TPE proposes settings; each is judged by its mean regret after 250, 500 and 1,000 queries
relative to random search's, over the tasks of the family and a few seeds. The best settings are
written to nas_gym/agents/sb3/hyperparams/<algorithm>.yml.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import optuna
import torch
import yaml

import nas_gym
from nas_gym.agents import RandomSearch
from nas_gym.agents.sb3.models import ALGORITHMS, search
from nas_gym.recording import RecordVectorSearch
from nas_gym.registration import in_mode

# Comparisons report accuracy on the image data sets, and other graph data sets.
TASKS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "NB201": [
        ("NB201-cifar10-v0", {"signal": metric, "report": metric})
        for metric in ("analog_drift_86400", "noisy_accuracy", "baseline_drift_3600")
    ],
    "NBGraph": [
        ("NBGraph-cora-v0", {"signal": "valid_perf", "report": "valid_perf"}),
        ("NBGraph-photo-v0", {"signal": "valid_perf", "report": "valid_perf"}),
    ],
}
BUDGETS = (250, 500, 1000)
HEADER = "# Found by scripts/tune_sb3.py; keys as in RL Baselines3 Zoo.\n"
HYPERPARAMS = Path(nas_gym.__file__).parent / "agents" / "hyperparams"


def on_policy(trial: optuna.Trial, name: str, length: int) -> dict[str, Any]:
    """PPO and its kin, A2C."""
    n_envs = trial.suggest_categorical("n_envs", [4, 8, 16])
    # rollouts end with episodes
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
    """DQN and QR-DQN."""
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
    """DDPG, TD3, SAC, TQC: a step is a query whose reward depends on its action alone."""
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
    """Hyper-parameters as the YAML file holds them."""
    if name in ("ppo", "a2c", "maskableppo", "recurrentppo"):
        settings = on_policy(trial, name, length)
    else:
        space = q_learning if name in ("dqn", "qrdqn") else actor_critic
        settings = space(trial, name, length)
    return {"vec_env_wrapper": ["nas_gym.agents.sb3.rewards.RankRewards"], **settings}


def regrets(name: str, env: str, arguments: dict[str, Any], seed: int, **settings: Any) -> Any:
    """The regret after each of the budgets."""
    found = search(name, env, BUDGETS[-1], seed, arguments, tuned=False, **settings)
    return found.regrets[np.array(BUDGETS) - 1, 0]


def of_random_search(env: str, arguments: dict[str, Any]) -> Any:
    """Random search's mean regrets after each of the budgets."""
    envs = RecordVectorSearch(gym.make_vec(in_mode(env, "-alpha"), num_envs=200, **arguments))
    RandomSearch(envs, seed=0).learn(BUDGETS[-1])
    return envs.curves().regrets[np.array(BUDGETS) - 1].mean(axis=1)


def main() -> None:
    """Tune one algorithm for one family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithm", choices=list(ALGORITHMS))
    parser.add_argument("--family", choices=list(TASKS), default="NB201")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tasks = TASKS[arguments.family]
    baselines = [of_random_search(*task) for task in tasks]
    env, task_arguments = tasks[0]
    length = gym.make(env, **task_arguments).unwrapped.task.space.num_decisions

    def objective(trial: optuna.Trial) -> float:
        settings = suggest(trial, arguments.algorithm, length)
        trial.set_user_attr("settings", settings)
        ratios = [
            regrets(arguments.algorithm, *task, 10_000 + seed, **settings) / baseline
            for seed in range(arguments.seeds)
            for task, baseline in zip(tasks, baselines, strict=True)
        ]
        trial.set_user_attr("by_budget", np.mean(ratios, axis=0).round(3).tolist())
        print(trial.number, trial.user_attrs["by_budget"], trial.params, flush=True)
        return float(np.mean(ratios))

    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    study.optimize(objective, n_trials=arguments.trials)
    print("best", study.best_value, study.best_trial.user_attrs)
    save(arguments.algorithm, arguments.family, study.best_trial.user_attrs["settings"])


def save(algorithm: str, family: str, settings: dict[str, Any]) -> None:
    """Write a family's hyper-parameters to the algorithm's file."""
    path = HYPERPARAMS / f"{algorithm}.yml"
    families = yaml.safe_load(path.read_text()) if path.exists() else {}
    families[family] = {
        key: float(f"{value:.2g}") if isinstance(value, float) else value
        for key, value in settings.items()
    }
    path.write_text(HEADER + yaml.safe_dump(families, sort_keys=False))


if __name__ == "__main__":
    main()
