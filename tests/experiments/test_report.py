"""The report: in a browser without errors and without a network, readable, and escaped."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

import nas_gym  # noqa: F401
from nas_gym.agents import LocalSearch, RandomSearch, RegularizedEvolution
from nas_gym.experiments.figures import COLORS
from nas_gym.experiments.records import TrialResults
from nas_gym.experiments.report import write_report
from nas_gym.experiments.statistics import summarize_comparison
from nas_gym.recording import RecordVectorSearch

AGENTS = {"random": RandomSearch, "local": LocalSearch, "rea": RegularizedEvolution}


def trials(env, seeds=8, queries=150, **failures):
    result = []
    for name, agent in AGENTS.items():
        envs = RecordVectorSearch(gym.make_vec(f"{env}-alpha-v0", num_envs=seeds))
        found = agent(envs, seed=0).learn(queries)
        failed = {seeds: failures[name]} if name in failures else {}
        result.append(
            TrialResults(env, env, name, found.task, list(range(seeds)), envs.curves(), failed)
        )
    return result


@pytest.fixture(scope="module")
def two_environments():
    return trials("NB201-cifar10", local="ValueError: <script>alert(1)</script>") + trials(
        "NBGraph-cora"
    )


def report(folder, made, command="nas-gym compare"):
    return write_report(made, summarize_comparison(made), folder, command)


def test_output_files(tmp_path, two_environments):
    path = report(tmp_path, two_environments)
    names = {file.name for file in tmp_path.iterdir()}
    assert path.name in names
    for env in ("NB201-cifar10", "NBGraph-cora"):
        assert {f"curves-{env}.png", f"profile-{env}.png", f"improvement-{env}.png"} <= names
    assert {"profile-all.png", "improvement-all.png"} <= names
    for file in tmp_path.glob("*.png"):
        assert min(Image.open(file).size) > 300


def test_the_page_loads_nothing(tmp_path, two_environments):
    text = report(tmp_path, two_environments).read_text()
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"<(link|img|script|iframe)[^>]+(src|href)=\"(?!data:)", text)


def test_noise_and_reward_are_named(tmp_path, two_environments):
    text = report(tmp_path, two_environments).read_text()
    assert "Search signal: analog-nasbench:baseline_accuracy.\nReward: the signal." in text
    assert "Regret is of analog-nasbench:baseline_accuracy:" in text
    assert "Regret at the ceiling: 0.4" in text  # NBGraph has no isomorphic networks
    assert "Rank of the incumbents" in text
    arguments = {"noise": 0.5, "reward": "exponential"}
    envs = RecordVectorSearch(gym.make_vec("NB201-cifar10-alpha-v0", num_envs=2, **arguments))
    task = RandomSearch(envs, seed=0).learn(20).task
    made = TrialResults("NB201-cifar10", "NB201-cifar10", "random", task, [0, 1], envs.curves(), {})
    text = report(tmp_path, [made]).read_text()
    assert "with noise of standard deviation 0.5.\nReward: exponential." in text


def test_names_and_errors_are_text(tmp_path, two_environments):
    odd = [replace(one, agent=f"<b>{one.agent}&") for one in two_environments]
    text = report(tmp_path, odd, command="nas-gym <i>").read_text()
    for markup in ("<b>", "<i>", "<script>alert"):
        assert markup not in text
    assert "&lt;b&gt;rea&amp;" in text
    assert "&lt;script&gt;alert(1)" in text


def test_long_names_break_after_punctuation(tmp_path, two_environments):
    long = [replace(one, agent="my.rea(sample_size=3,x=1.5)") for one in two_environments]
    text = report(tmp_path, [one for one in long if one.env == long[0].env][:1]).read_text()
    assert "my.rea(<wbr>sample_<wbr>size=3,<wbr>x=1.5)<wbr>" in text


def test_element_ids_are_unique(tmp_path, two_environments):
    ids = re.findall(r'\bid="([^"]+)"', report(tmp_path, two_environments).read_text())
    assert len(ids) == len(set(ids))


@pytest.mark.long
def test_same_trials_same_report(tmp_path, two_environments):
    pages = [report(tmp_path / name, two_environments).read_bytes() for name in "ab"]
    assert pages[0] == pages[1]


def test_one_trial_one_agent_and_none(tmp_path, two_environments):
    report(tmp_path / "one", [trials("NB201-cifar10", seeds=1)[0]])
    empty = two_environments[0].curves.select_trials(slice(0))
    failed = [replace(one, seeds=[], curves=empty, failures={0: "x"}) for one in two_environments]
    text = report(tmp_path / "none", [failed[0], *two_environments[1:3]]).read_text()
    assert "no trial finished" in text
    report(tmp_path / "all", failed[:1])


# -- in a browser ---------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-sync", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--hide-scrollbars", "--enable-logging=stderr"]

# clicks and looks as a user would, and leaves what it saw in the page
PROBE = """
<script>
const seen = {};
const table = document.querySelector("table.results");
const names = () => [...table.tBodies[0].rows].map(row => row.cells[0].textContent);
const buttons = [...table.querySelectorAll("th button")];
const click = label => buttons.find(button => button.textContent === label).click();
seen.before = names();
click("regret, mean"); seen.ascending = names();
click("regret, mean"); seen.descending = names();
const parts = document.getElementsByClassName("agent-1");
seen.parts = parts.length;
document.querySelector("[data-agent=agent-1]").click();
seen.hidden = [...parts].filter(part => getComputedStyle(part).display === "none").length;
document.querySelector("[data-agent=agent-1]").click();
seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
const height = part => part.getBoundingClientRect().height;
seen.text = Math.min(...[...document.querySelectorAll("figure svg [id*=text_]")].map(height));
seen.requests = performance.getEntriesByType("resource").map(entry => entry.name)
  .filter(name => !name.startsWith("data:"));
document.body.dataset.seen = JSON.stringify(seen);
</script>
"""


def chromium(page, folder, *arguments):
    return subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments, f"file://{page}"],
        capture_output=True,
        text=True,
        timeout=120,
    )


@browser
@pytest.mark.parametrize("width", [1280, 500])
def test_in_a_browser(tmp_path, two_environments, width):
    page = report(tmp_path, two_environments)
    probed = tmp_path / "probed.html"
    probed.write_text(page.read_text().replace("</body>", PROBE + "</body>"))
    done = chromium(probed, tmp_path, f"--window-size={width},2400", "--dump-dom")
    assert "CONSOLE" not in done.stderr  # the page's policy makes any load an error
    text = re.search(r"data-seen=\"([^\"]*)\"", done.stdout)
    seen = json.loads(text[1].replace("&quot;", '"'))
    assert seen["before"] == list(AGENTS)
    assert seen["ascending"] == seen["descending"][::-1]
    assert sorted(seen["ascending"]) == sorted(AGENTS)
    assert seen["ascending"][-1] == "random"  # the largest regret
    assert seen["parts"] > 4
    assert seen["hidden"] == seen["parts"]
    assert seen["wide"] <= 0  # the page itself does not scroll sideways
    assert seen["requests"] == []
    if width == 1280:
        assert seen["text"] > 6  # the height of a small letter, in pixels


@browser
def test_the_browser_test_notices_loads(tmp_path, two_environments):
    page = tmp_path / "loading.html"
    loading = '<script src="https://example.org/x.js"></script></body>'
    page.write_text(report(tmp_path, two_environments).read_text().replace("</body>", loading))
    assert "CONSOLE" in chromium(page, tmp_path, "--dump-dom").stderr


@browser
def test_curves_can_be_read_on_a_screenshot(tmp_path, two_environments):
    page = report(tmp_path, two_environments)
    shot = tmp_path / "shot.png"
    chromium(page, tmp_path, "--window-size=1280,1600", f"--screenshot={shot}")
    pixels = np.asarray(Image.open(io.BytesIO(shot.read_bytes())).convert("RGB")).astype(int)
    for color in COLORS[: len(AGENTS)]:
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        near = (np.abs(pixels - rgb).sum(axis=2) < 40)[600:]
        assert near.sum() > 600  # a line, not a dot
        columns = np.flatnonzero(near.any(axis=0))
        assert columns.max() - columns.min() > 700  # in both panels
