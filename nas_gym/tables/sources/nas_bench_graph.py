"""NAS-Bench-Graph: graph neural networks on nine data sets (Qin et al., NeurIPS 2022)."""

from __future__ import annotations

import numpy as np

from nas_gym.spaces.nbgraph import GNN_OPERATIONS, PROTEINS_OPERATIONS, NBGraphSpace
from nas_gym.tables.sources import pickles, reading
from nas_gym.tables.table import Metric, Objective, Table
from nas_gym.utils.errors import DamagedDataError

REQUIREMENT = "nas-bench-graph==1.4.0"
PUBLISHER = "the Python package index, as nas-bench-graph 1.4.0"
SHA256 = {
    "cora": "5e69b2f9bb08d8927d9ffd4921f8494a3cea349c9c3a461334cb9dc9e11701a8",
    "citeseer": "99c7f79b73372636305bf73fb32a58b63c57bd1871a152dd62ec72d984c8c50f",
    "pubmed": "10b4dcf6cfd3a24f6059f7d541a4a872960b4adac0b3dba26abed1bb9a3d904d",
    "cs": "71ae8469930517160b024f52db6000a4897f1aff5d765beb27bb60952ed5bd31",
    "physics": "1e309bafee0b832c8b84fa3c039c36992bc0a910238b128f26b7e9190d7f2aea",
    "photo": "5511b4dc3f63fa988792177227db7901290fb9b27fc6c02e3036b29e134ed6df",
    "computers": "fdb3dc0cf405d62322f0ab9614b2083c2a5e6576c2f43e4f2214be64bc62b1b3",
    "arxiv": "7ee21a7653297a806c0ed1be3efe6ecc06acc84e48e942da0bfde0e5d287debe",
    "proteins": "b9e7fb0902bda44fec32c948e5fde822fb22d38d674c52e43ace5197378f2d21",
}


def _metrics(dataset: str) -> tuple[Metric, ...]:
    measure = "ROC-AUC" if dataset == "proteins" else "accuracy"
    return (
        Metric("valid_perf", "", True, f"validation {measure}, a fraction"),
        Metric("perf", "", True, f"test {measure}, a fraction"),
        Metric("latency", "s", False, "latency measured by the benchmark"),
        Metric("para", "M", False, "number of parameters"),
    )


def read_nas_bench_graph(dataset: str) -> Table:
    """Read the table ``nas-bench-graph-<dataset>`` from the installed ``nas-bench-graph`` 1.4.0.

    The table has 26,206 architectures (2,021 on ``proteins``) and 4 metrics: ``valid_perf`` and
    ``perf``, fractions in ``[0, 1]`` (accuracy; ROC-AUC on ``proteins``), ``latency`` in seconds,
    and ``para``, the parameters in millions. The package is not imported.

    Args:
        dataset: Name of the data set, such as ``cora``.

    Source: the Python package nas-bench-graph 1.4.0 (github.com/THUMNLab/NAS-Bench-Graph).

    Raises:
        ValueError: If the data set is unknown.
        MissingDataError: If the package is not installed.
        DamagedDataError: If the package's file is not the file of version 1.4.0.
    """
    if dataset not in SHA256:
        raise ValueError(f"NAS-Bench-Graph has no data set {dataset!r}, only {', '.join(SHA256)}.")
    inside = f"light/{dataset}.bench"
    path = reading.find_package_file("nas_bench_graph", inside, REQUIREMENT)
    content = reading.read_published_file(path, PUBLISHER)
    version = reading.installed_version("nas-bench-graph")
    advice = (
        f"nas-bench-graph {version} is installed; get version 1.4.0 with "
        f"`pip install --force-reinstall --no-deps {REQUIREMENT}`."
    )
    reading.check_sha256(content, SHA256[dataset], path, advice)
    bench = pickles.load_pickle(content, pickles.NUMPY, str(path), is_published=True)

    space = NBGraphSpace(PROTEINS_OPERATIONS if dataset == "proteins" else GNN_OPERATIONS)
    keys = space.keys.tolist()
    if set(bench) != set(keys):
        raise DamagedDataError(
            f"{path} has {len(bench):,} architectures; {space.size:,} others were expected."
        )
    metrics = _metrics(dataset)
    values = np.array([[bench[key][metric.name] for metric in metrics] for key in keys], np.float64)
    return Table(
        name=f"nas-bench-graph-{dataset}",
        space=space,
        metrics=metrics,
        values=values,
        objectives={dataset: Objective("valid_perf", "perf")},
        provenance={
            "package": REQUIREMENT.replace("==", " "),
            "file": f"nas_bench_graph/{inside}",
            "sha256": SHA256[dataset],
        },
    )
