"""Logging for every process: one line per event, as text or JSON, with the ids of request and job.

Only entry points call `configure_logging`.
"""

from __future__ import annotations

import contextvars
import json
import logging
import sys
from datetime import datetime, timezone

context: contextvars.ContextVar[dict[str, str]] = contextvars.ContextVar("log_context", default={})  # noqa: B039
"""Ids of what is going on (request, job, project); replaced, never changed in place."""

# At DEBUG these print headers, and so tokens, or every byte they move.
QUIETEST: dict[str, int] = {
    "urllib3": logging.INFO,
    "httpx": logging.WARNING,
    "httpcore": logging.INFO,
    # At INFO it prints each address, and the hub's redirects lead to addresses that are signed.
    "httpx2": logging.WARNING,
    "httpcore2": logging.INFO,
    "botocore": logging.INFO,
    "s3fs": logging.INFO,
    "aiobotocore": logging.INFO,
    "fsspec": logging.INFO,
    "PIL": logging.INFO,
    "rq": logging.INFO,
    "label_studio_sdk": logging.INFO,
    "label_studio_ml": logging.INFO,
    "timm": logging.INFO,
}


class TextFormatter(logging.Formatter):
    """For people: time, level, where from, ids, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        ids = "".join(f" {name}={value}" for name, value in context.get().items())
        source = record.name.removeprefix("backend.")
        line = f"{moment} {record.levelname:<7} {source}{ids}: {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """For collectors: one JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            **context.get(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure_logging(level: str, log_format: str) -> None:
    """Send all logs of this process to standard error in the chosen format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name, least in QUIETEST.items():
        logging.getLogger(name).setLevel(max(least, logging.getLevelName(level)))
    logging.captureWarnings(True)
