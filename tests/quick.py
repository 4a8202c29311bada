"""Settings with which tests run agents that take long otherwise."""

QUICK = {
    "catch": {"num_candidates": 32, "updates": 1, "hidden": 32},
    "mpnas": {"width": 8, "layers": 1, "refit_every": 30, "num_candidates": 64},
}
