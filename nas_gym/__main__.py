"""``python -m nas_gym``: the command line."""

from nas_gym.cli import main

if __name__ == "__main__":  # worker processes import this module
    main()
