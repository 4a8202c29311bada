"""Settings with which tests run agents that are slow by default."""

QUICK = {
    "catch": {"num_candidates": 32, "updates": 1, "hidden": 32},
    "catch-paper": {"num_candidates": 32, "on_policy": 32, "updates": 1, "hidden": 32},
    "mpnas": {"width": 8, "layers": 1, "refit_every": 30, "num_candidates": 64},
    "mpnas-paper": {"width": 8, "layers": 1, "refit_every": 30, "num_candidates": 64},
}


def make_agent(name, env, seed=0, **settings):
    """Return a registered agent with its quick settings, changed by further ones."""
    from nas_gym.agents.registry import find_agent

    return find_agent(name).make_agent(env, QUICK.get(name, {}) | settings, seed=seed)
