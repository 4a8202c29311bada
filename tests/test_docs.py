"""The examples of the README and of the docstrings run."""

import doctest
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import nas_gym

MODULES = [
    module.name
    for module in pkgutil.walk_packages(nas_gym.__path__, "nas_gym.")
    if ">>>" in Path(str(module.module_finder.find_spec(module.name).origin)).read_text()
]
README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples(module):
    result = doctest.testmod(import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def test_readme_examples(open_table, capsys, tmp_path, monkeypatch):
    open_table("nats-bench")  # two of them report it
    monkeypatch.chdir(tmp_path)  # some write to runs/
    names = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        exec(compile(block, str(README), "exec"), names)
    # an arch string, its reward and its regret; which one it is, an unseeded sample decides
    assert (tmp_path / "runs" / "ppo").exists()
    assert re.search(r"\|\w+~0\|\+\|\w+~0\|\w+~1\|\+\S+ \d+\.\d+ \d+\.\d+", capsys.readouterr().out)


def test_readme_names_every_command_as_it_is(run_python):
    commands = set(re.findall(r"^nas-gym ([\w-]+)", README.read_text(), re.MULTILINE))
    assert {"search", "compare"} <= commands
    helped = "app([command, '--help'], standalone_mode=False)"
    run_python(f"from nas_gym.cli import app\nfor command in {commands}: {helped}")
