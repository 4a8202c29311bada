"""Messages that name arguments of Python, on the command line."""

import pytest

from nas_gym.cli.options import write_as_options


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Name it with signal=.", "Name it with --signal."),
        ("arch= or decisions=, or ignore=", "--arch or --decisions, or --ignore"),
        ("allow_missing=True accepts gaps", "--allow-missing accepts gaps"),
        ("Use replace=True to overwrite it", "Use --replace to overwrite it"),
        (
            "Choose another signal, or reward='signal'.",
            "Choose another signal, or --reward 'signal'.",
        ),
        ("reward='rescaled(best=0.94)'", "--reward 'rescaled(best=0.94)'"),
        ("signal= names 'x', signal= is needed", "--signal names 'x', --signal is needed"),
        # settings of agents and rewards, and texts of users
        ("rea(sample_size=3)", "rea(sample_size=3)"),
        ("latency(column=a:b,target=5,signal=2)", "latency(column=a:b,target=5,signal=2)"),
        ("max_signal=3, my-table='x'", "max_signal=3, my-table='x'"),
        ("--dataset (dataset= in Python)", "--dataset (dataset= in Python)"),
        ("--signal in the shell, signal= in Python", "--signal in the shell, signal= in Python"),
    ],
)
def test_arguments_of_python_become_options(message, expected):
    assert write_as_options(message) == expected


def test_a_share_of_a_gpu_needs_a_cluster(cli):
    arguments = ("compare", "NB201-cifar10-v0", "--queries", "2", "--ray-gpus", "0.5")
    assert "--ray-gpus needs a cluster: give --ray ADDRESS" in cli(*arguments, fails=True)
