"""Settings with which tests run agents that take long otherwise."""

QUICK = {"mpnas": {"width": 8, "layers": 1, "refit_every": 30, "num_candidates": 64}}
