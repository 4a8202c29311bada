"""Tests of scripts: pages match the saved results, and a study is run and saved."""

import json
from pathlib import Path

import pytest

import reproduce
from nas_gym.experiments.methods import find_method, parse_agents
from nas_gym.tables import MissingDataError
from reproduction import pages, studies
from reproduction.pages import fill_blocks
from reproduction.studies import ComparisonStudy, JobStudy, Measurement, SearchStudy, TrialsStudy


@pytest.mark.parametrize("name", reproduce.PAGES)
def test_pages_match_the_results(name):
    try:
        page = reproduce.load_page(name)
    except MissingDataError as error:
        pytest.skip(str(error))
    assert page.missing_results == []
    assert page.text() == page.file.read_text()


@pytest.mark.parametrize("name", reproduce.PAGES)
def test_agents_of_studies_exist_and_have_their_settings(name):
    try:
        page = reproduce.load_page(name)
    except MissingDataError as error:
        pytest.skip(str(error))
    for study in page.studies:
        for agent in study.agents if isinstance(study, TrialsStudy) else ():
            ((label, (name, settings)),) = parse_agents(agent).items()
            assert label == agent
            find_method(name, settings)


PAGE = "Before.\n\n<!-- generated: a -->\n\nold\n\n<!-- end -->\n\nAfter.\n"


def test_blocks_are_filled():
    filled = "Before.\n\n<!-- generated: a -->\n\n| x |\n\n<!-- end -->\n\nAfter.\n"
    assert fill_blocks(PAGE, {"a": "| x |"}, "page.md") == filled
    assert fill_blocks(filled, {"a": "old"}, "page.md") == PAGE


@pytest.mark.parametrize(
    ("text", "blocks"), [(PAGE, {}), (PAGE, {"a": "", "b": ""}), (PAGE + PAGE, {"a": ""})]
)
def test_unknown_missing_and_repeated_blocks(text, blocks):
    with pytest.raises(ValueError, match=r"docs/page\.md has the generated blocks a"):
        fill_blocks(text, blocks, "page.md")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Redirect results, figures and runs to temporary folders; return their parent."""
    for name in ("RESULTS", "FIGURES", "RUNS"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setattr(studies, name, folder)
    return tmp_path


def test_a_comparison_is_run_and_saved(folders):
    study = ComparisonStudy(
        name="small",
        envs=["NB201-cifar10-v0"],
        agents=["random", "rea(population_size=3,sample_size=2)"],
        queries=10,
        seeds=2,
        env_arguments={"signal": "noisy_accuracy"},
        figures="curves-*.png",
        statistics=lambda trials: {"names": [each.agent for each in trials]},
    )
    study.run()
    assert study.command == (
        "nas-gym compare NB201-cifar10-v0 --agents 'random,rea(population_size=3,sample_size=2)' "
        "--queries 10 --seeds 2 --first-seed 1000 --signal noisy_accuracy "
        f"--out {folders}/runs/small"
    )
    found = json.loads((folders / "results" / "small.json").read_text())
    assert found["command"] == study.command
    assert found["names"] == study.agents
    entry = found["environments"]["NB201-cifar10-v0"]["agents"]["random"]["at_queries"]["10"]
    assert study.at("NB201-cifar10-v0", "random", 10) == entry
    assert (folders / "figures" / "small-curves-NB201-cifar10-v0.png").exists()


def test_a_search_is_run_and_saved(folders):
    study = SearchStudy(
        name="small", envs=["NB201-cifar10-v0"], agents=["random"], queries=5, seeds=1,
        figures="in_common.png",
    )  # fmt: skip
    study.run()
    assert study.command == (
        "nas-gym search NB201-cifar10-v0 --agent random --queries 5 --seeds 1 --first-seed 1000 "
        f"--out {folders}/runs/small"
    )
    assert study.result["command"] == study.command
    assert study.result["queries"] == 5
    assert (folders / "figures" / "small-in_common.png").exists()
    assert (folders / "runs" / "small" / "agent.safetensors").exists()


def double(value):
    return 2 * value


def test_jobs_that_are_done_are_not_run_again(folders):
    study = JobStudy("doubled", double, [(1,), (2,)], lambda _, results: results)
    (folders / "runs" / "doubled").mkdir()
    (folders / "runs" / "doubled" / "1.json").write_text("100")
    study.run()
    assert study.result == [100, 4]


def test_only_one_study_is_run(folders, monkeypatch, capsys):
    ran = []
    found = [Measurement(name, lambda name=name: ran.append(name)) for name in ("a", "b")]
    page = pages.Page("page.md", found, dict)
    monkeypatch.setattr(reproduce, "load_page", lambda name: page)
    reproduce.main(["l2nas", "--only", "b"])
    assert ran == ["b"]
    assert "docs/page.md is unchanged: run a first." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["l3nas"], "unknown page 'l3nas'; choose from baselines, l2nas"),
        (["baselines", "--only", "sb4"], "unknown study 'sb4'; choose from nb201-12epochs"),
    ],
)
def test_unknown_names(arguments, message, capsys):
    with pytest.raises(SystemExit):
        reproduce.main(arguments)
    assert message in capsys.readouterr().err


def test_missing_data(monkeypatch):
    def load_page(name):
        raise MissingDataError("Table 'help-latency' is not on this machine.")

    monkeypatch.setattr(reproduce, "load_page", load_page)
    with pytest.raises(SystemExit, match="error: Table 'help-latency' is not on this machine"):
        reproduce.main(["catch"])


def test_five_systems_read_the_files_that_their_first_command_makes():
    try:
        files = reproduce.load_page("five_systems_files")
        page = reproduce.load_page("five_systems")
    except MissingDataError as error:
        pytest.skip(str(error))
    from reproduction import atnas, atnas_method, base, five_systems, mpnas_domains

    trainings = [five_systems.CATCH_TRAINING, mpnas_domains.TRAINING]
    searches = list(five_systems.PRETRAINING.values())
    jobs = [atnas.SECOND, atnas.THIRD, base.ADAPTATION, base.NATURAL]
    assert {each.name for each in [*trainings, *searches, *jobs, base.CELLS]} == {
        each.name for each in files.studies
    }
    made = {run.checkpoint for training in trainings for run in training.runs}
    made |= {each.folder / "agent.safetensors" for each in searches}
    made |= {
        atnas_method.meta_supernet_path(*each) for study in jobs[:2] for each in study.arguments
    }
    made |= {base.meta_file(*each) for each in base.ADAPTATION.arguments}

    read = {base.meta_file("base", seed) for seed in base.META_SEEDS}
    read |= {
        atnas_method.meta_supernet_path(five_systems.ATNAS_BUDGET, 5, 1, seed)
        for (seed,) in five_systems.ATNAS_ADAPTED.arguments
    }
    for study in page.studies:
        for agent in study.agents if isinstance(study, ComparisonStudy) else ():
            ((_, settings),) = parse_agents(agent).values()
            if "pretrained" in settings:
                read.add(Path(settings["pretrained"]))
    assert len(read) == 3 + 2 + 5 + 5 + 2  # four targets start from the same searches of L2NAS
    assert read <= made
