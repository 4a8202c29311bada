"""Tests of README and docs: programs run, command lines parse, links and figures exist."""

import doctest
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import gymnasium as gym
import pytest

import document_settings
import nas_gym
from nas_gym.experiments.methods import find_method, parse_agents
from nas_gym.tables import MissingDataError, load_table
from nas_gym.utils.expressions import parse_settings

ROOT = Path(__file__).parents[1]
MANUAL = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*MANUAL, *sorted((ROOT / "docs" / "results").glob("*.md"))]
DOCTESTS = [
    module.name
    for module in pkgutil.walk_packages(nas_gym.__path__, "nas_gym.")
    if ">>>" in Path(str(module.module_finder.find_spec(module.name).origin)).read_text()
]

# A block, and the comments before it: `<!-- needs: TABLE, … -->` (or something else that is not on
# every machine), `<!-- long -->`, `<!-- file: NAME -->` (a separate program, saved as NAME).
BLOCK = re.compile(r"((?:^<!-- .*? -->\n)*)^```(python|bash)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def page_id(page):
    return str(page.relative_to(ROOT))


def needs_of(comments):
    return [
        name
        for found in re.findall(r"<!-- needs: (.*?) -->", comments)
        for name in found.split(", ")
    ]


def python_blocks(page):
    """Yield the Python blocks of a page: (required tables, whether long, file name, code).

    Code that is not a separate program keeps its line numbers, for tracebacks.
    """
    text = page.read_text()
    for match in BLOCK.finditer(text):
        comments, language, code = match.groups()
        if language != "python":
            continue
        needs = needs_of(comments)
        file = re.findall(r"<!-- file: (.*?) -->", comments)
        lines_before = "" if file else "\n" * text.count("\n", 0, match.start(3))
        yield needs, "<!-- long -->" in comments, file[0] if file else None, lines_before + code


def listed(pages):
    return [pytest.param(page, id=page_id(page)) for page in pages]


def commands(page):
    """Yield the ``nas-gym`` command lines of a page: (requirements, words)."""
    for comments, language, code in BLOCK.findall(page.read_text()):
        for line in code.splitlines() if language == "bash" else ():
            words = shlex.split(line, comments=True)
            if words[:1] == ["nas-gym"]:
                yield needs_of(comments), words[1:]


def with_blocks(long):
    return listed(
        page
        for page in MANUAL
        if any(is_long is long and file is None for _, is_long, file, _ in python_blocks(page))
    )


def run_blocks(page, folder, monkeypatch, *, long):
    """Run the blocks of a page in order, in one namespace, as a reader would type them."""
    monkeypatch.chdir(folder)
    names = {"__name__": "__main__"}
    left_out = []
    for needs, is_long, file, code in python_blocks(page):
        if file is not None or (is_long and not long):
            continue
        missing = [table for table in needs if not is_available(table)]
        if missing:
            left_out += missing
            continue
        exec(compile(code, str(page), "exec"), names)
    if left_out:
        pytest.skip(f"ran all but the programs that need {', '.join(left_out)}")


def is_available(table):
    try:
        load_table(table)
    except (KeyError, MissingDataError):  # KeyError: no table, but images or a file
        return False
    return True


@pytest.mark.parametrize("module", DOCTESTS)
def test_docstring_examples(module):
    result = doctest.testmod(import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("page", with_blocks(long=False))
def test_programs(page, cache, tmp_path, monkeypatch, capsys):
    run_blocks(page, tmp_path, monkeypatch, long=False)
    if page.name == "README.md":  # it prints an architecture, its reward and its regret
        printed = capsys.readouterr().out
        assert re.search(r"\|\w+~0\|\+\|\w+~0\|\w+~1\|\+\S+ \d+\.\d+ \d+\.\d+", printed)


@pytest.mark.long
@pytest.mark.parametrize("page", with_blocks(long=True))
def test_long_programs(page, cache, tmp_path, monkeypatch):
    run_blocks(page, tmp_path, monkeypatch, long=True)


# -- extending.md --------------------------------------------------------------------------------

EXTENDING = ROOT / "docs" / "extending.md"
PROGRAMS = {file: code for _, _, file, code in python_blocks(EXTENDING) if file}


@pytest.mark.parametrize("file", PROGRAMS)
def test_programs_of_extending_show_their_file_names(file):
    assert PROGRAMS[file].startswith(f"# {file}\n")


@pytest.fixture
def extending(tmp_path):
    """Return a function that runs Python in a folder with the programs of extending.md.

    The folder is also an installed package, with the entry points that the page shows.
    """
    for name, code in PROGRAMS.items():
        (tmp_path / name).write_text(code)
    entry_points = re.findall(
        r"^```toml\n(.*?)^```", EXTENDING.read_text(), re.DOTALL | re.MULTILINE
    )
    lines = "\n".join(entry_points).replace("project.entry-points.", "").replace('"', "")
    installed = tmp_path / "programs-1.0.dist-info"
    installed.mkdir()
    (installed / "entry_points.txt").write_text(lines.replace(" = ", "="))
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: programs\nVersion: 1.0\n")
    paths = [str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "NAS_GYM_CACHE": str(tmp_path / "cache"),
    }

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    return run


def test_agent_has_at_most_15_lines():
    _, *lines = PROGRAMS["climber.py"].splitlines()  # without the file's name
    assert len([line for line in lines if line.strip()]) <= 15


@pytest.mark.parametrize("file", ["skips.py", "mlps.py", "use_prior.py"])
def test_extending_program(file, extending):
    assert extending(file).strip()


def test_extending_search_space(extending, tmp_path):
    arch, regret = extending("convnets.py").split()
    assert re.fullmatch(r"[35]x\d\d-[35]x\d\d-[35]x\d\d", arch)
    assert float(regret) >= 0
    extending("-m", "nas_gym", "search", "ConvNets-v0", "--agent", "rea", "--queries", "20",
              "--seeds", "2", "--out", "runs/convnets")  # fmt: skip
    assert "x" in (tmp_path / "runs" / "convnets" / "history.jsonl").read_text()


def test_extending_compares_an_agent_and_a_function(extending, tmp_path):
    printed = extending("compare_functions.py")
    assert "simulated_annealing" in printed
    report = (tmp_path / "runs" / "functions" / "report.html").read_text()
    assert all(name in report for name in ("random", "Climber", "simulated_annealing"))


@pytest.mark.long
def test_extending_commands(extending):
    extending("convnets.py")
    every = [[*words, *(["--replace"] if "import" in words else [])]
             for _, words in commands(EXTENDING)]  # fmt: skip
    # in one process, because each would import PyTorch
    lines = [f"app({words!r}, standalone_mode=False)" for words in every]
    extending("-c", "\n".join(["from nas_gym.cli import app", *lines]))


# -- command lines -------------------------------------------------------------------------------


def parse(words):
    """Parse a command line without running it; return the name and the arguments of the command."""
    import typer

    from nas_gym.cli import app

    command, words = typer.main.get_command(app), list(words)
    names = []
    while hasattr(command, "commands"):
        names.append(words.pop(0))
        assert names[-1] in command.commands, f"There is no command {' '.join(names)}."
        command = command.commands[names[-1]]
    return " ".join(names), command.make_context(names[-1], words).params


@pytest.mark.parametrize("page", listed(PAGES))
def test_command_lines_parse(page):
    for _, words in commands(page):
        parse(words)


OF_THE_READER = (
    "MyBench",
    "ConvNets",
    "mlps:",
    "NB201-photos",
)  # tables and programs of the reader


@pytest.mark.parametrize("page", listed(PAGES))
def test_command_lines_name_environments_agents_and_settings(page):
    for _, words in commands(page):
        command, given = parse(words)
        names = given.get("envs") or [given.get("env")]
        for name in names if command in ("search", "compare", "predict", "audit") else ():
            assert name.startswith(OF_THE_READER) or name in gym.registry, name
        text = given.get("agents") or given.get("agent") or ""
        for name, settings in parse_agents(text).values() if text else ():
            if ":" not in name:  # extending.md has a test of its own
                find_method(name, settings | parse_settings(given.get("settings") or []))


def run_commands(page, folder, monkeypatch, names, small=()):
    """Run the commands of a page that have these names, with a small budget.

    Comparisons that an earlier page shows are left to that page.
    """
    from nas_gym.cli import app

    monkeypatch.chdir(folder)
    earlier = [words for each in MANUAL[: MANUAL.index(page)] for _, words in commands(each)]
    for needs, words in commands(page):
        is_repeated = words[0] == "compare" and words in earlier
        if words[0] in names and all(map(is_available, needs)) and not is_repeated:
            words = [re.sub(r"epochs=\d+", "epochs=1", word) for word in words]
            more = small if "NB201-digits-v0" in words and "--evaluator" not in words else ()
            app([*words, *SMALL.get(words[0], []), *more], standalone_mode=False)


SMALL = {
    "search": ["--queries", "12", "--seeds", "1"],
    "compare": ["--queries", "12", "--seeds", "1"],
    "meta-train": ["--epochs", "1"],
}


@pytest.mark.parametrize("name", ["start.md", "tables.md"])
def test_quick_command_lines_run(name, cache, tmp_path, monkeypatch, capsys):
    run_commands(ROOT / "docs" / name, tmp_path, monkeypatch, ["envs", "data"])
    assert capsys.readouterr().out


@pytest.mark.long
@pytest.mark.parametrize("page", listed(page for page in MANUAL if page != EXTENDING))
def test_command_lines_run(page, cache, tmp_path, monkeypatch, request):
    small = ()
    if page.name == "networks.md":  # training the supernet that the page needs takes a minute
        small = ("--supernet", str(request.getfixturevalue("supernet_files")["NB201"]))
    names = [words[0] for _, words in commands(page)]
    run_commands(page, tmp_path, monkeypatch, names, small)


def test_settings_of_agents_are_those_of_the_code():
    current = document_settings.page_text() == document_settings.PAGE.read_text()
    assert current, "Run `python scripts/document_settings.py`."


# -- links ---------------------------------------------------------------------------------------


def anchors(page):
    """Return the anchors that GitHub creates for the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", listed(PAGES))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page_id(page)} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{page_id(page)} links to {link}"
