"""CATCH: its three components, meta-training and adaptation, saving, and bad input."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import warnings
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import quick
import torch

import nas_gym
from nas_gym.agents import CATCH
from nas_gym.agents.catch.networks import Candidates, CATCHComponents, Context
from nas_gym.agents.catch.task_evaluator import AGENT, FIRST_GENERATION, TASK_EVALUATOR, trust_agent
from nas_gym.agents.common.random_streams import RandomStreams
from nas_gym.agents.common.saved import pretrained_file
from nas_gym.spaces import CategoricalSpace
from nas_gym.tables import load_table
from nas_gym.tasks.task_set import TaskSet, draw_one

torch.set_num_threads(1)
ENV = "NB201-cifar10-v0"
# a task without published results
TASK = {"signal": "noisy_accuracy", "report": "noisy_accuracy"}
QUICK = quick.QUICK["catch"]


def make(trials=2, env=ENV, seed=0, **settings):
    return CATCH(
        gym.make_vec(env, num_envs=trials, **(TASK if env == ENV else {})), seed, **settings
    )


def metrics_of_one_table():
    """Return tasks that need no download: quantized accuracies, tested on noisy accuracy."""
    names = ("baseline_accuracy", "ptq_accuracy", "qat_accuracy")
    arguments = {"table": "analog-nasbench", "dataset": "cifar10"}
    learned = [arguments | {"signal": name, "report": name, "noise": 0.3} for name in names]
    return TaskSet(
        "metrics",
        tuple(f"analog-nasbench:{name}" for name in names),
        partial(draw_one, learned),
        {"noisy": arguments | TASK},
        separate_datasets=False,
    )


def components(space, trials=3):
    return CATCHComponents(space, 2, 32, 4, 1e-3, 0.2, 1.0, RandomStreams(list(range(trials))))


def context(space, pairs, trials=3, seed=0):
    rng = np.random.default_rng(seed)
    indices = rng.integers(space.size, size=trials * pairs)
    networks = space.one_hot(space.decode(indices)).reshape(trials, pairs, space.one_hot_size)
    return Context(
        torch.from_numpy(networks.astype(np.float32)),
        torch.from_numpy(rng.normal(size=(trials, pairs)).astype(np.float32)),
        torch.ones(trials, pairs, dtype=bool),
        torch.zeros(trials, 4),
    )


@pytest.fixture
def space():
    return load_table("analog-nasbench").space


def test_context_is_a_product_of_gaussians(space):
    encoder = components(space).encoder
    pairs = context(space, 3)
    with torch.no_grad():
        z, divergence = encoder.encode(pairs)
        mean, deviation = encoder.mlp(
            torch.cat([pairs.architectures, pairs.rewards[..., None]], dim=2)
        ).tensor_split(2, dim=2)
    variance = (torch.nn.functional.softplus(deviation) + 0.05) ** 2
    factors = torch.distributions.Normal(mean, variance.sqrt())
    # Eq. 1: the density is the product of the factors, up to a constant
    posterior_variance = 1 / (1 / variance).sum(dim=1)
    posterior = torch.distributions.Normal(
        z, posterior_variance.sqrt()
    )  # without noise, z is the mean
    points = torch.randn(5, 1, 3, 4)
    product = factors.log_prob(points.transpose(1, 2)).sum(dim=2)
    difference = product - posterior.log_prob(points[:, 0])
    torch.testing.assert_close(
        difference, difference[:1].expand_as(difference), rtol=1e-3, atol=1e-3
    )
    prior = torch.distributions.Normal(torch.zeros(3, 4), torch.ones(3, 4))
    expected = torch.distributions.kl_divergence(posterior, prior).mean(dim=1)
    torch.testing.assert_close(divergence, expected, rtol=1e-4, atol=1e-5)


def test_context_without_pairs_is_the_prior(space):
    encoder = components(space).encoder
    empty = context(space, 0)
    noise = torch.randn(3, 4)
    z, divergence = encoder.encode(
        Context(empty.architectures, empty.rewards, empty.present, noise)
    )
    assert torch.equal(z, noise)
    torch.testing.assert_close(divergence, torch.zeros(3))


def test_absent_pairs_and_the_order_of_pairs_have_no_effect(space):
    encoder = components(space).encoder
    pairs = context(space, 5)
    some = torch.tensor([True, False, True, True, False]).expand(3, -1)
    with torch.no_grad():
        z, _ = encoder.encode(Context(pairs.architectures, pairs.rewards, some, pairs.noise))
        order = [3, 2, 0]
        fewer = Context(
            pairs.architectures[:, order], pairs.rewards[:, order], some[:, order], pairs.noise
        )
        torch.testing.assert_close(encoder.encode(fewer)[0], z)


@pytest.mark.parametrize("table", ["analog-nasbench", "nas-bench-graph-proteins"])
def test_controller_samples_from_its_policy(table):
    space = load_table(table).space
    controller = components(space, 1).controller
    z, rng = torch.randn(1, 4), np.random.default_rng(0)
    draws = rng.random((1, 4000, space.num_decisions))
    with torch.no_grad():
        genotypes, masks, log_probs = controller.sample_architectures(z, draws, np.ones(4000))
        networks = space.one_hot(genotypes[0])[None].astype(np.float32)
        candidates = Candidates(
            torch.from_numpy(networks),
            torch.from_numpy(genotypes),
            masks,
            log_probs,
            log_probs[..., 0],
        )
        again, entropy = controller.evaluate(z, candidates)
    assert space.contains(genotypes[0]).all()
    torch.testing.assert_close(again, log_probs, rtol=1e-4, atol=1e-5)
    # the mean of negative log probabilities is the entropy
    assert abs(float(-log_probs.mean() - entropy.mean())) < 0.02
    first = genotypes[0, :, 0]
    for choice in np.unique(first):
        share = np.exp(log_probs[0, first == choice, 0].mean().item())
        assert abs((first == choice).mean() - share) < 0.03


def test_evaluator_gradient_reaches_the_encoder(space):
    trained = components(space, 1)
    pairs = context(space, 4, trials=1)
    before = [each.detach().clone() for each in trained.parameters()]
    z, divergence = trained.encoder.encode(pairs)
    loss, errors = trained.evaluator_loss(z, pairs.architectures, pairs.rewards)
    assert errors.shape == (1, 4)
    trained.backward_and_step(loss + divergence)
    moved = [not torch.equal(a, b) for a, b in zip(before, trained.parameters(), strict=True)]
    count = len(moved) // 3
    assert all(moved[:count])  # the evaluator's loss reaches the encoder through z
    assert not any(moved[count : 2 * count])  # the controller is not in the loss


def test_clipped_objective_against_a_hand_computation():
    """PPO's objective for one network of one decision, on both sides of the clipping range."""
    table_space = CategoricalSpace((("a", "b"),))
    log_ratio = np.log(np.array([1.5, 1.5, 0.6, 0.6, 1.1]))
    advantages = np.array([2.0, -2.0, 2.0, -2.0, 3.0])
    # min(ratio * A, clip(ratio, 0.8, 1.2) * A)
    expected = np.array([1.2 * 2, -1.5 * 2, 0.6 * 2, -0.8 * 2, 1.1 * 3])
    is_clipped = np.array([True, False, False, True, False])
    count = len(expected)
    trained = CATCHComponents(table_space, 1, 32, 4, 1e-3, 0.2, 1.0, RandomStreams([0]))
    z = torch.zeros(1, 4)
    choices = torch.zeros(1, count, 1, dtype=torch.int64)
    networks = torch.from_numpy(table_space.one_hot(choices[0].numpy()))[None]
    masks = torch.ones(1, count, 1, 2, dtype=torch.bool)
    unscored = Candidates(networks, choices, masks, torch.zeros(1, count, 1), torch.zeros(1, count))
    present, entropy = trained.controller.evaluate(z, unscored)
    for which in range(count):
        before = present.detach() - torch.from_numpy(log_ratio).float()[None, :, None]
        one = slice(which, which + 1)
        candidates = Candidates(
            networks[:, one],
            choices[:, one],
            masks[:, one],
            before[:, one],
            torch.from_numpy(advantages[one]).float()[None],
        )
        loss, found_entropy = trained.controller_loss(z, candidates, torch.zeros(1))
        assert float(loss.detach()) == pytest.approx(-expected[which], rel=1e-5)
        gradients = torch.autograd.grad(loss.sum(), trained.controller.mlp.parameters)
        assert all((each == 0).all() for each in gradients) == is_clipped[which]
        assert float(found_entropy) == pytest.approx(float(entropy[0, which, 0].detach()))
        weighted, _ = trained.controller_loss(z, candidates, torch.full((1,), 0.5))
        difference = float((loss - weighted).detach())
        assert difference == pytest.approx(0.5 * float(found_entropy), rel=1e-4)


def test_the_ratio_does_not_overflow(space):
    trained = components(space, 1)
    choices = torch.zeros(1, 1, space.num_decisions, dtype=torch.int64)
    networks = torch.from_numpy(space.one_hot(choices[0].numpy()).astype(np.float32))[None]
    masks = torch.ones(1, 1, space.num_decisions, space.max_choices, dtype=torch.bool)
    unlikely = torch.full((1, 1, space.num_decisions), -1000.0)
    candidates = Candidates(networks, choices, masks, unlikely, torch.full((1, 1), -1.0))
    loss, _ = trained.controller_loss(torch.zeros(1, 4), candidates, torch.zeros(1))
    assert float(loss.detach()) == pytest.approx(np.exp(5.0), rel=1e-5)


def test_without_candidate_credit_only_queried_networks_train_the_controller():
    agent = make(3, candidate_credit=False, num_random=0, epsilon=0.0, **QUICK)
    credited = []
    score = agent._scored_candidates

    def spied(targets):
        candidates = score(targets)
        indices = agent.space.encode(candidates.choices.numpy().reshape(-1, 6)).reshape(3, -1)
        is_query = (indices[:, :, None] == agent.queried[:, None]).any(axis=2)
        advantages = candidates.advantages.numpy()
        assert (advantages[~is_query] == 0).all()
        credited.append((advantages != 0).sum())
        agent._scores += 100.0  # the evaluator's scores have no influence
        np.testing.assert_array_equal(score(targets).advantages.numpy(), advantages)
        return candidates

    agent._scored_candidates = spied
    for _ in range(12):
        agent.query()
    assert sum(credited) > 0


def test_the_papers_algorithm_revisits_and_explores_after_meta_training():
    paper = CATCH.presets["catch-paper"]
    settings = {"num_candidates": 32, "on_policy": 32, "updates": 1, "hidden": 32}
    envs = gym.make_vec(ENV, num_envs=2, **TASK)
    learned = CATCH(envs, 0, config=paper, **settings)
    learned.meta_learn(metrics_of_one_table(), epochs=2, queries=6)
    found = learned.adapt(make(2).env, queries=8, seed=0)
    assert found.current_epsilon == pytest.approx(0.3 * np.exp(-0.8))
    assert (found.picks == AGENT).all()
    assert found.config.revisits
    assert (found.entropy_weight == paper.entropy_weight).all()  # constant


def test_rehearsal_can_be_turned_off():
    learned = [
        make(1, rehearsal=rehearsal, **QUICK).meta_learn(metrics_of_one_table(), 2, 4)
        for rehearsal in (True, False)
    ]
    np.testing.assert_array_equal(learned[0].past[:, 0], learned[1].past[:, 0])
    weights = [agent.state_dict()["networks/evaluator.parameter.0"] for agent in learned]
    assert not np.array_equal(*weights)


def test_no_network_is_queried_twice():
    agent = make(3, **QUICK)
    for _ in range(60):
        agent.query()
    assert all(len(set(row)) == 60 for row in agent.queried.tolist())


def test_exhausted_space(cache, write_csv):
    nas_gym.import_table(write_csv(), "Tiny", signal="val", report="test")
    agent = make(2, "Tiny-v0", **QUICK)
    for _ in range(30):
        agent.query()
    assert agent.task.regret(agent.space.encode(agent.best_genotypes)).max() == 0


def test_epsilon_decays():
    agent = make(1, epsilon=0.5, epsilon_decay=10.0, **QUICK)
    shares = []
    for _ in range(11):
        shares.append(agent.current_epsilon)
        agent.query()
    assert shares[0] == 0.5
    assert shares[10] == pytest.approx(0.5 / np.e)
    agent.meta_learn(metrics_of_one_table(), epochs=1, queries=3)
    assert agent.current_epsilon == 0


def test_entropy_is_held_at_its_target():
    agent = make(4, entropy=0.6, num_candidates=32)
    for _ in range(80):
        agent.query()
    entropy = agent.diagnostics()["entropy"][-20:].mean() / np.log(5)
    assert abs(entropy - 0.6) < 0.15


def test_loaded_meta_training_continues_alike(tmp_path):
    tasks = metrics_of_one_table()
    straight = make(**QUICK).meta_learn(tasks, epochs=4, queries=6)
    make(**QUICK).meta_learn(tasks, epochs=2, queries=6).save(tmp_path / "half")
    loaded = CATCH.load(tmp_path / "half", make().env).meta_learn(tasks, epochs=4, queries=6)
    np.testing.assert_array_equal(loaded.past, straight.past)
    for mine, theirs in zip(
        loaded.components.parameters(), straight.components.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_meta_training_does_not_depend_on_the_number_of_trials():
    tasks = metrics_of_one_table()
    together = make(3, **QUICK).meta_learn(tasks, epochs=3, queries=8)
    alone = make(1, seed=2, **QUICK).meta_learn(tasks, epochs=3, queries=8)
    np.testing.assert_array_equal(alone.past[0], together.past[2])


@pytest.mark.long
def test_meta_learning_beats_a_search_from_scratch():
    tasks = metrics_of_one_table()
    learned = make(4, seed=100, second_opinion=False).meta_learn(tasks, epochs=8, queries=20)
    regrets = {}
    for name, agent in (("meta", learned), ("sfs", make(4, variant="sfs"))):
        found = agent.adapt(make(16).env, queries=20, seed=50)
        regrets[name] = found.task.regret(found.space.encode(found.best_genotypes)).mean()
    assert regrets["meta"] < 0.6 * regrets["sfs"]


@pytest.mark.long
def test_task_evaluator_helps_if_earlier_tasks_mislead():
    arguments = {"table": "analog-nasbench", "dataset": "cifar10", "report": "baseline_accuracy"}
    worst_first = arguments | {"signal": "-1 * analog-nasbench:baseline_accuracy"}
    tasks = TaskSet(
        "opposite",
        ("analog-nasbench:baseline_accuracy",),
        partial(draw_one, [worst_first]),
        {"noisy": arguments | TASK},
        separate_datasets=False,
    )
    learned = make(4, seed=100).meta_learn(tasks, epochs=4, queries=15)
    rewards = {}
    for second_opinion in (True, False):
        learned.config = dataclasses.replace(learned.config, second_opinion=second_opinion)
        found = learned.adapt(make(16).env, queries=30, seed=52)
        rewards[second_opinion] = found.rewards.max(axis=1).mean()
        share = found.diagnostics()["trust"].mean()
        assert share < 0.4 if second_opinion else share == 1
    from_scratch = make(4, variant="sfs").adapt(make(16).env, queries=30, seed=52)
    assert rewards[True] > rewards[False] + 5
    assert rewards[True] > from_scratch.rewards.max(axis=1).mean() - 2


def test_task_evaluator_is_saved(tmp_path):
    learned = make(2, **QUICK).meta_learn(metrics_of_one_table(), epochs=2, queries=6)
    assert learned._task_evaluator is None
    found = learned.adapt(make(3).env, queries=5, seed=7)
    found.save(tmp_path / "found")
    taken_up = CATCH.load(tmp_path / "found", make(3).env)
    for agent in (found, taken_up):
        for _ in range(4):
            agent.query()
    np.testing.assert_array_equal(taken_up.queried, found.queried)
    np.testing.assert_array_equal(taken_up.picks, found.picks)
    assert (found.picks == TASK_EVALUATOR).any()
    assert (found.picks == AGENT).any()
    alone = learned.adapt(make(1).env, queries=9, seed=8)
    np.testing.assert_array_equal(alone.queried[0], found.queried[1])


def test_trust_follows_success():
    noise = np.zeros(4)
    assert trust_agent(
        np.ones((4, 0), np.int8), np.ones((4, 0)), noise
    ).all()  # the agent picks first
    assert not trust_agent(
        np.full((4, 1), AGENT), np.ones((4, 1)), noise
    ).any()  # then the task evaluator
    picks = np.array([AGENT, TASK_EVALUATOR] * 3)
    own = picks == AGENT
    better, worse, equal = np.where(own, 2.0, 1.0), np.where(own, 1.0, 2.0), np.ones(6)
    rewards = np.stack([better, worse, equal, better])
    picks = np.tile(picks, (4, 1))
    assert trust_agent(picks, rewards, noise).tolist() == [True, False, False, True]
    assert trust_agent(picks, rewards, noise + 1).tolist() == [True, False, True, True]
    assert trust_agent(picks, rewards, noise - 2).tolist() == [False] * 4
    # a comparison of ranks does not change under an increasing function of rewards
    np.testing.assert_array_equal(
        trust_agent(picks, rewards**3, noise), trust_agent(picks, rewards, noise)
    )


def test_trust_is_mann_and_whitneys_statistic():
    rng = np.random.default_rng(0)
    picks = rng.integers(3, size=(200, 14)).astype(np.int8)
    rewards = rng.integers(6, size=picks.shape).astype(float)  # with many ties
    noise = rng.normal(size=200)
    for row, found in enumerate(trust_agent(picks, rewards, noise)):
        own, second = rewards[row][picks[row] == AGENT], rewards[row][picks[row] == TASK_EVALUATOR]
        if not len(own) or not len(second):
            assert found == (not len(own))
            continue
        ahead = own[:, None] - second
        wins = (ahead > 0).sum() + (ahead == 0).sum() / 2
        spread = np.sqrt(ahead.size * (len(own) + len(second) + 1) / 12)
        assert found == ((wins - ahead.size / 2) / spread + noise[row] > 0.5)


def test_seeds():
    learned = make(2, **QUICK).meta_learn(metrics_of_one_table(), epochs=1, queries=4)
    found = learned.adapt(make(1).env, 4, seed=np.int64(3))
    np.testing.assert_array_equal(found.queried, learned.adapt(make(1).env, 4, seed=3).queried)
    with pytest.raises(ValueError, match="seed must be at least 0"):
        make(1, seed=-1)


def test_a_first_generation_does_not_count_as_picks():
    env = "NB201-cifar10-population-v0"
    learned = make(2, **QUICK).meta_learn(metrics_of_one_table(), epochs=2, queries=6)
    found = learned.adapt(gym.make_vec(env, num_envs=2, **TASK), queries=14, seed=0)
    assert found.num_queries == 14  # including the first generation
    assert (found.picks[:, :10] == FIRST_GENERATION).all()
    assert found.picks[:, 10:12].tolist() == [[AGENT, TASK_EVALUATOR]] * 2
    assert np.isnan(found.diagnostics()["trust"][:10]).all()


def test_adapting_does_not_change_the_learned_agent():
    learned = make(2, **QUICK).meta_learn(metrics_of_one_table(), epochs=2, queries=6)
    before = learned.state_dict()
    found = learned.adapt(make(5).env, queries=8, seed=7)
    assert found.num_queries == 8
    assert found.past.shape == (5, 2, 6)
    np.testing.assert_array_equal(found.past[0], learned.past[1])  # seed 7
    after = learned.state_dict()
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name])


def test_pretrained_file(tmp_path):
    learned = make(2, **QUICK).meta_learn(metrics_of_one_table(), epochs=2, queries=6)
    learned.save(tmp_path / "learned")
    file = str(tmp_path / "learned.safetensors")
    agent = make(3, seed=4, pretrained=file, **QUICK)
    found = learned.adapt(make(3).env, queries=10, seed=4)
    for _ in range(10):
        agent.query()
    np.testing.assert_array_equal(agent.queried, found.queried)
    with pytest.raises(ValueError, match="hidden = 32"):
        make(1, pretrained=file)
    with pytest.raises(ValueError, match="variant = meta"):
        make(1, pretrained=file, variant="zero", **QUICK)
    with pytest.raises(ValueError, match="from scratch"):
        make(1, pretrained=file, variant="sfs", **QUICK)


def test_the_pretrained_agent_of_the_package():
    file = pretrained_file("catch-nb201")
    assert file.stat().st_size < 1e6
    regrets = {}
    for pretrained in ("catch-nb201", ""):
        agent = CATCH(gym.make_vec(ENV, num_envs=16), seed=0, pretrained=pretrained)
        for _ in range(20):
            agent.query()
        best = agent.space.encode(agent.best_genotypes)
        regrets[pretrained] = agent.task.regret(best).mean()
    assert regrets["catch-nb201"] < 0.3 * regrets[""]


@pytest.mark.parametrize("variant", ["zero", "random"])
def test_ablations_do_not_see_the_context(variant):
    agent = make(2, variant=variant, **QUICK)
    for _ in range(6):
        agent.query()
    z, divergence = agent.encode_context(agent.sample_context())
    other, _ = agent.encode_context(agent.sample_context())
    assert (z == 0).all() if variant == "zero" else not torch.equal(z, other)
    assert (divergence == 0).all()


def test_bad_arguments_of_meta_learning():
    tasks = metrics_of_one_table()
    with pytest.raises(ValueError, match="does not meta-learn"):
        make(1, variant="sfs").meta_learn(tasks)
    with pytest.raises(ValueError, match="this agent is for"):
        make(1, "NBGraph-cora-v0", **QUICK).meta_learn(tasks)
    agent = make(1, **QUICK).meta_learn(tasks, epochs=1, queries=4)
    with pytest.raises(ValueError, match="queries=4"):
        agent.meta_learn(tasks, epochs=2, queries=5)
    with pytest.raises(ValueError, match="has learned from metrics"):
        agent.meta_learn(dataclasses.replace(tasks, name="others"), epochs=2, queries=4)
    for epochs, queries in ((0, 4), (2, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            agent.meta_learn(tasks, epochs=epochs, queries=queries)
    with pytest.raises(ValueError, match="at least 1"):
        agent.adapt(make(1).env, queries=0)
    for other in ("NBGraph-cora-v0", "NBGraph-proteins-v0"):
        with pytest.raises(ValueError, match="trained on NB201, and cannot start"):
            agent.adapt(other)


def test_a_leak_from_the_task_set_is_warned_of(open_table):
    open_table("nb201-12epochs"), open_table("nats-bench")
    agent = make(1, **QUICK).meta_learn("nb201-images/cifar10", epochs=1, queries=2)
    arguments = {"table": "nats-bench"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent.adapt(gym.make_vec("NB201-cifar10-v0", num_envs=1, **arguments), 2)
    with pytest.warns(UserWarning, match="learned from nb201-images/cifar10, which reveals"):
        agent.adapt(gym.make_vec("NB201-cifar100-v0", num_envs=1, **arguments), 2)


def test_the_state_between_tasks_has_no_search_history(tmp_path):
    saved = []
    make(2, **QUICK).meta_learn(
        metrics_of_one_table(), 2, 5, lambda agent: saved.append(agent.state_dict())
    )
    assert [state["own/queried"].shape for state in saved] == [(2, 0)] * 2
    assert [state["own/past"].shape for state in saved] == [(2, 1, 5), (2, 2, 5)]


def test_a_pickled_agent_continues_alike():
    agent = make(2, **QUICK)
    for _ in range(4):
        agent.query()
    copies = pickle.loads(pickle.dumps(agent)), copy.deepcopy(agent)
    for each in (agent, *copies):
        for _ in range(6):
            each.query()
    for each in copies:
        np.testing.assert_array_equal(each.queried, agent.queried)
    scalar = CATCH(gym.make(ENV, **TASK), 0, **QUICK)
    assert pickle.loads(pickle.dumps(scalar)).num_trials == 1


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"variant": "best"}, "variant must be one of"),
        ({"hidden": 50}, "multiple of 32"),
        ({"num_candidates": 20}, "multiple of 16"),
        ({"on_policy": 64, "num_candidates": 32}, "at most num_candidates"),
        ({"updates": 0}, "updates must be an integer that is at least 1"),
        ({"entropy": 1.5}, "at least 0 and at most 1"),
        ({"temperature": 0.0}, "above 0"),
        ({"learning_rate": float("inf")}, "learning_rate must be .*got inf"),
        ({"num_random": -1}, "at least 0"),
    ],
)
def test_bad_settings(settings, match):
    with pytest.raises(ValueError, match=match):
        make(1, **settings)
