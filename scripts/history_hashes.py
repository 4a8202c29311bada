"""Hash the search history of every agent in every mode, to check that a change keeps all searches.

Run this script before and after a change of the code, on the same machine and with the same
packages: floating-point sums, and therefore the hashes, differ between processors::

    python scripts/history_hashes.py before.json
    python scripts/history_hashes.py after.json --compare before.json

All searches run through the command line, with fixed seeds. If a case fails, for example because a
table is not on this machine, the error message replaces the hash.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

AGENTS = ("random", "local", "rea", "reinforce", "tpe", "l2nas", "l2nas-paper")
LEARNERS = {
    "catch": ["--set", "num_candidates=32", "--set", "updates=2", "--set", "hidden=32"],
    "mpnas": ["--set", "width=16", "--set", "layers=2", "--set", "num_candidates=500"],
}
SB3 = ("ppo", "a2c", "dqn", "maskableppo", "recurrentppo", "qrdqn", "ddpg", "td3", "sac", "tqc")
ONE_SHOT = ("rsws", "darts-v1", "darts-v2", "gdas", "setn", "enas")
SMALL = ["--set", "channels=4", "--set", "batch_size=256", "--set", "epochs=2"]
LATENCY = "latency(column=help-latency:raspi4,target=5,weight=-0.07)"
VOLATILE = ("agent_seconds", "training_seconds")  # measured times, which differ between runs


def cases(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each case and the arguments of its command."""

    def search(env: str, agent: str, queries: int, *more: str) -> tuple[str, list[str]]:
        name = " ".join([env, agent, *more]).replace(str(folder), "")
        run = ["search", env, "--agent", agent, "--queries", str(queries), "--seeds", "2"]
        return name, [*run, *more]

    for mode in ("", "-alpha", "-population"):
        env = f"NB201-cifar10{mode}-v0"
        for agent in AGENTS:
            yield search(env, agent, 60)
        for agent, settings in LEARNERS.items():
            yield search(env, agent, 30, *settings)
    for agent in AGENTS:
        yield search("NBGraph-cora-v0", agent, 30)
    for agent, settings in LEARNERS.items():
        yield search("NBGraph-cora-v0", agent, 20, *settings)
    for agent in SB3:
        yield search("NB201-cifar10-v0", agent, 60)
    yield search("NBGraph-cora-v0", "maskableppo", 40)
    yield search("NBGraph-proteins-v0", "rea", 40, "--signal", "latency")
    yield search("NB201-cifar10-v0", "rea", 60, "--noise", "0.3")
    yield search("NB201-cifar10-v0", "rea", 60, "--reward", "exponential", "--noise", "0.3")
    yield search("NB201-cifar10-v0", "l2nas", 40, "--reward", "rescaled(best=0.95)")
    mixture = "0.25 * baseline_accuracy + 0.75 * qat_accuracy"
    yield search("NB201-cifar10-v0", "rea", 60, "--signal", mixture)
    yield search("NB201-cifar100-v0", "rea", 60)
    yield search("NB201-cifar100-v0", "rea", 60, "--reward", LATENCY)
    yield search("NB201-cifar10-v0", "catch", 20, "--pretrained", "catch-nb201")
    learned = str(folder / "catch")
    small = LEARNERS["catch"]
    yield (
        "meta-train catch",
        ["meta-train", "nbgraph/photo", "--epochs", "3", "--queries", "6", "--out", learned,
         *small],
    )  # fmt: skip
    yield search("NBGraph-photo-v0", "catch", 15, "--pretrained", f"{learned}.safetensors", *small)
    learned = str(folder / "mpnas")
    small = [*LEARNERS["mpnas"], "--set", "steps=5"]
    yield (
        "meta-train mpnas",
        ["meta-train", "nbgraph/photo", "--agent", "mpnas", "--epochs", "2", "--queries", "200",
         "--out", learned, *small],
    )  # fmt: skip
    yield search("NBGraph-photo-v0", "mpnas", 15, "--pretrained", f"{learned}.safetensors", *small)
    for space in ("NB201", "DARTS"):
        supernet = str(folder / f"{space}.safetensors")
        yield (
            f"train-supernet {space}",
            ["train-supernet", space, "digits", "--out", supernet, "--set", "channels=4",
             "--epochs", "2"],
        )  # fmt: skip
        quick = ["--supernet", supernet, "--evaluator", "supernet(calibration=100,images=50)"]
        yield search(f"{space}-digits-v0", "rea", 6, *quick)
        yield search(f"{space}-digits-alpha-v0", "l2nas", 6, *quick)
        yield search(f"{space}-digits-population-v0", "random", 12, *quick)
    yield search("NB201-digits-v0", "random", 2, "--evaluator", "training(epochs=1)")
    quick = ["--evaluator", "supernet(calibration=0,images=50)"]
    quick += ["--supernet", str(folder / "NB201.safetensors")]
    for agent in ONE_SHOT:
        yield search("NB201-digits-v0", agent, 2, *SMALL, *quick)


def digest(out: Path) -> str:
    """Return a hash of the output of a command (a history or tensors), without measured times."""
    from safetensors.numpy import load_file

    found = hashlib.sha256()
    if out.is_dir():
        for line in (out / "history.jsonl").read_text().splitlines():
            record = json.loads(line)
            for name in VOLATILE:
                record.pop(name, None)
            found.update(json.dumps(record, sort_keys=True).encode())
    else:
        for name, array in sorted(load_file(out).items()):
            if "seconds" not in name and not name.startswith("curve/"):  # no times, no logs
                found.update(name.encode() + array.tobytes())
    return found.hexdigest()[:16]


def run(folder: Path, name: str, arguments: list[str], number: int) -> str:
    """Run one case; return the hash of the output, or the error message."""
    import nas_gym.cli

    if arguments[0] == "search":
        out = folder / f"search-{number}"
        arguments = [*arguments, "--out", str(out)]
    else:
        out = Path(arguments[arguments.index("--out") + 1]).with_suffix(".safetensors")
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            nas_gym.cli.app(arguments, standalone_mode=False)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0].replace(str(folder), '')}"
    return digest(out)


def main() -> None:
    """Write the hashes of all cases; with ``--compare``, also report the differences."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="JSON file to write")
    parser.add_argument("--compare", type=Path, help="JSON file of an earlier run")
    parser.add_argument("--only", default="", help="run only cases whose name contains this string")
    options = parser.parse_args()
    before = json.loads(options.compare.read_text()) if options.compare else {}
    os.environ["COLUMNS"] = "200"
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["NAS_GYM_CACHE"] = str(Path(temporary) / "cache")
        for number, (name, arguments) in enumerate(cases(Path(temporary))):
            if options.only not in name:
                continue
            found[name] = run(Path(temporary), name, arguments, number)
            same = "same" if before.get(name) == found[name] else "DIFFERENT"
            print(f"{found[name]}  {name}  {same if before else ''}", flush=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    if before and any(before.get(name) != value for name, value in found.items()):
        sys.exit(1)


if __name__ == "__main__":
    main()
