from __future__ import annotations

import json
import logging

import pytest

from backend.logs import QUIETEST, JsonFormatter, TextFormatter, configure_logging, context


@pytest.fixture(autouse=True)
def keep_logging():
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in QUIETEST}
    yield
    root.handlers[:], root.level = before, level
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)
    logging.captureWarnings(False)


def record(error: Exception | None = None) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    return logging.LogRecord("backend.service.learning.train", logging.INFO, "", 1, "epoch %d", (3,), info)


def test_text_has_ids_and_message():
    token = context.set({"job": "train-1"})
    line = TextFormatter().format(record())
    context.reset(token)
    assert "INFO    service.learning.train job=train-1: epoch 3" in line


def test_json_is_one_object_per_line():
    token = context.set({"request": "abc"})
    text = JsonFormatter().format(record(ValueError("wrong\nlines")))
    context.reset(token)
    assert "\n" not in text
    entry = json.loads(text)
    assert (entry["message"], entry["request"], entry["level"]) == ("epoch 3", "abc", "INFO")
    assert "wrong" in entry["exception"]


@pytest.mark.parametrize(("log_format", "is_json"), [("text", False), ("json", True)])
def test_lines_have_the_format_of_the_setting_from_its_level_up(capsys, log_format, is_json):
    configure_logging("WARNING", log_format)
    logging.getLogger("backend.x").info("too quiet")
    logging.getLogger("backend.x").warning("heard")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("{") is is_json and "heard" in line


def test_libraries_that_print_headers_stay_quiet_at_debug():
    configure_logging("DEBUG", "text")
    assert logging.getLogger().level == logging.DEBUG
    for name, least in QUIETEST.items():
        assert logging.getLogger(name).getEffectiveLevel() >= least
