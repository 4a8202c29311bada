"""Run the studies behind the result pages, and fill the tables of the pages.

    python scripts/reproduce.py                           # run all studies, fill all pages
    python scripts/reproduce.py l2nas                     # run the studies of a page, fill the page
    python scripts/reproduce.py l2nas --only l2nas-graphs # run one study, fill the page
    python scripts/reproduce.py --pages-only              # fill all pages from the saved results
    python scripts/reproduce.py --ray auto                # run all studies on a Ray cluster

An interrupted study continues where it stopped. Results are saved as docs/results/<study>.json,
figures in docs/figures/. scripts/README.md lists the tables and the time that each page needs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from nas_gym.cli.options import ray_runner
from nas_gym.utils.errors import DataError
from reproduction.pages import Page

PAGES = (
    "baselines",
    "l2nas",
    "catch",
    "mpnas",
    "atnas",
    "base",
    "networks",
    "images",
    "domains",
    "objectives",
    "imagenet",
    "five_systems_files",
    "five_systems",
    "cluster",
)


def load_page(name: str) -> Page:
    """Return a page by name. Only this page's modules are imported."""
    page = import_module(f"reproduction.{name}").PAGE
    assert isinstance(page, Page)
    return page


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: Words of the command line; the words of this process's command line by default.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "pages", nargs="*", metavar="PAGE", help=f"{', '.join(PAGES)}; all pages by default"
    )
    parser.add_argument("--only", metavar="STUDY", help="run only this study")
    parser.add_argument(
        "--pages-only", action="store_true", help="fill the pages without running a study"
    )
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="run the studies on a Ray cluster: its address, or auto"
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.pages if name not in PAGES]
    if unknown:
        parser.error(f"unknown page {unknown[0]!r}; choose from {', '.join(PAGES)}")
    try:
        run(parser, options)
    except DataError as error:
        sys.exit(f"error: {error}")


def run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Run the studies and write the pages that the options choose.

    Args:
        parser: Parser of the command line, for error messages.
        options: Parsed command line.

    Raises:
        DataError: If a table or a data set is not on this machine.
    """
    pages = [load_page(name) for name in options.pages or PAGES]
    studies = [study for page in pages for study in page.studies]
    if options.only:
        studies = [study for study in studies if study.name == options.only]
        if not studies:
            names = ", ".join(study.name for page in pages for study in page.studies)
            parser.error(f"unknown study {options.only!r}; choose from {names}")
    if not options.pages_only:
        with ray_runner(options.ray, None) as runner:
            for study in studies:
                print(study.name, flush=True)
                study.run(runner)
    for page in pages:
        if page.missing_results:
            print(f"docs/{page.path} is unchanged: run {', '.join(page.missing_results)} first.")
        else:
            page.write()


if __name__ == "__main__":
    main()
