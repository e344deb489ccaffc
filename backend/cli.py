"""The command line: does what the service does, with or without it running."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from backend.errors import BackendError
from backend.logs import configure_logging
from backend.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        settings = Settings.from_env(os.environ)
        configure_logging(settings.log_level, settings.log_format)
        return int(options.run(settings, options))
    except BackendError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(prog="labelstudio-backend", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    serve = commands.add_parser("serve", help="run everything: Redis, workers and the web service")
    serve.set_defaults(run=_serve)
    worker = commands.add_parser("worker", help="run one more worker, beside those of `serve`")
    worker.add_argument("kinds", nargs="*", choices=["train", "predict", []], help="default: both")
    worker.set_defaults(run=_work)
    return parser


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    from backend.supervisor import Supervisor

    return Supervisor(settings, dict(os.environ)).run()


def _work(settings: Settings, options: argparse.Namespace) -> int:
    from backend.worker import work

    return work(options.kinds or ["train", "predict"])


if __name__ == "__main__":
    sys.exit(main())
