"""The command line: does what the service does, with or without it running."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from backend.errors import BackendError
from backend.logs import configure_logging
from backend.service.jobs import jobs
from backend.settings import Settings

DEFAULT_PROJECT = "0"


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
    except KeyboardInterrupt:
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="labelstudio-backend",
        description="Learns from Label Studio annotations and predicts. Settings come from the environment.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    serve = commands.add_parser("serve", help="run everything: Redis, workers and the web service")
    serve.set_defaults(run=_serve)
    worker = commands.add_parser("worker", help="run one more worker, beside those of `serve`")
    worker.add_argument("kinds", nargs="*", metavar="train|predict", help="which jobs; default: both")
    worker.set_defaults(run=_work)
    _add_train(commands)
    _add_predict(commands)
    _add_models(commands)
    return parser


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = commands.add_parser("train", help="train on a Label Studio export, without the service")
    train.add_argument("tasks", type=Path, help="Label Studio's JSON export")
    train.add_argument("--config", type=Path, required=True, help="file with the labeling config")
    train.add_argument(
        "--project", default=DEFAULT_PROJECT, help="project to train for; default: %(default)s"
    )
    train.add_argument("--images", type=Path, help="folder where the images lie")
    train.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a training parameter, such as epochs=20; may be repeated",
    )
    train.set_defaults(run=_train)


def _add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    predict = commands.add_parser("predict", help="predict the tasks of a file, without the service")
    predict.add_argument("tasks", type=Path, help="Label Studio's JSON export, or a list of tasks")
    predict.add_argument(
        "--config", type=Path, help="file with the labeling config; default: that of training"
    )
    predict.add_argument("--project", default=DEFAULT_PROJECT, help="project whose model to use")
    predict.add_argument("--model-version", help="version to use; default: the one that serves")
    predict.add_argument("--images", type=Path, help="folder where the images lie")
    predict.add_argument("--confidence-threshold", type=float, help="lowest score of a region")
    predict.add_argument("--out", type=Path, help="file to write; default: standard output")
    predict.set_defaults(run=_predict)


def _add_models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    models = commands.add_parser("models", help="list, export, import, activate or delete versions")
    actions = models.add_subparsers(required=True, metavar="action")
    listing = actions.add_parser("list", help="list the versions of one or all projects")
    listing.add_argument("--project")
    listing.set_defaults(run=_models_list)
    for name, help_text in (("activate", "make a version serve"), ("delete", "delete a version")):
        action = actions.add_parser(name, help=help_text)
        action.add_argument("version")
        action.add_argument("--project", default=DEFAULT_PROJECT)
        action.set_defaults(run=_models_change, action=name)
    export = actions.add_parser("export", help="write a version as one file")
    export.add_argument("version", nargs="?", help="default: the one that serves")
    export.add_argument("--project", default=DEFAULT_PROJECT)
    export.add_argument("--out", type=Path, required=True)
    export.set_defaults(run=_models_export)
    load = actions.add_parser("import", help="read a version from such a file")
    load.add_argument("file", type=Path)
    load.add_argument("--project", default=DEFAULT_PROJECT)
    load.add_argument("--activate", action="store_true", help="let it serve at once")
    load.set_defaults(run=_models_import)


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    from backend.supervisor import Supervisor

    return Supervisor(settings, dict(os.environ)).run()


def _work(settings: Settings, options: argparse.Namespace) -> int:
    from backend.worker import work

    known = tuple(jobs.KINDS_OF_WORKERS)
    unknown = [kind for kind in options.kinds if kind not in known]
    if unknown:
        print(f"error: a worker runs {' or '.join(known)}, not {unknown[0]!r}", file=sys.stderr)
        return 2
    return work([kind for name in options.kinds or known for kind in jobs.KINDS_OF_WORKERS[name]])


def _train(settings: Settings, options: argparse.Namespace) -> int:
    from backend.offline import train_on_file

    return train_on_file(
        settings, options.tasks, options.config, options.project, options.images, options.param
    )


def _predict(settings: Settings, options: argparse.Namespace) -> int:
    from backend.offline import predict_file

    return predict_file(
        settings,
        options.tasks,
        options.config,
        options.project,
        options.images,
        version=options.model_version,
        confidence_threshold=options.confidence_threshold,
        out=options.out,
    )


def _models_list(settings: Settings, options: argparse.Namespace) -> int:
    from backend.offline import show_versions

    return show_versions(settings, options.project)


def _models_change(settings: Settings, options: argparse.Namespace) -> int:
    from backend.offline import change_version

    return change_version(settings, options.project, options.version, options.action)


def _models_export(settings: Settings, options: argparse.Namespace) -> int:
    from backend.offline import export_version

    return export_version(settings, options.project, options.version, options.out)


def _models_import(settings: Settings, options: argparse.Namespace) -> int:
    from backend.offline import import_version

    return import_version(settings, options.project, options.file, activate=options.activate)


if __name__ == "__main__":
    sys.exit(main())
