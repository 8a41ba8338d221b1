"""`python -m devstack run|test|test-slow|lint|clean`: what the Makefile calls."""

import argparse
import sys
from collections.abc import Callable

from devstack import check, run
from devstack.clean import clean

COMMANDS: dict[str, Callable[[], int]] = {
    "run": run.run,
    "test": check.check,
    "test-slow": check.slow,
    "lint": check.lint,
    "clean": clean,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m devstack", description=__doc__)
    parser.add_argument(
        "--with-parent", action="store_true", help="end when the starting process ends (Linux)"
    )
    parser.add_argument("command", choices=sorted(COMMANDS))
    options = parser.parse_args()
    if options.with_parent:
        run.end_with_parent()
    return COMMANDS[options.command]()


if __name__ == "__main__":
    sys.exit(main())
