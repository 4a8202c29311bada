"""``python -m nas_gym``: the command line."""

from nas_gym.cli import main

main()
