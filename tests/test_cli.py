from __future__ import annotations

import json
import logging
from dataclasses import replace
from functools import partial

import cv2
import pytest

from backend import offline
from backend.bootstrap.jobs import build_trainings
from backend.cli import main
from tests.fakes.services import add_version, make_services
from tests.fakes.tasks import RECTANGLES, annotated, picture, rectangle


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a config, an export of three tasks and their pictures, and services of fakes."""
    services = make_services(tmp_path)
    monkeypatch.setattr(
        offline, "build_backend", lambda settings: replace(services, settings=settings).backend
    )
    monkeypatch.setattr(offline, "build_trainings", partial(build_trainings, train=services.train))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    (tmp_path / "config.xml").write_text(RECTANGLES)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("1.png", "2.png"):
        cv2.imwrite(str(pictures / name), picture())
    tasks = [
        annotated(1, rectangle()),
        annotated(2, rectangle("Dog"), image="/data/upload/7/3f2a91c0-2.png"),
        {"id": 3, "data": {"image": "3.png"}},
    ]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    return tmp_path, services


@pytest.fixture(autouse=True)
def keep_logging():
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = before, level
    logging.captureWarnings(False)


def train(root, *more):
    return main(
        [
            *("train", str(root / "tasks.json"), "--config", str(root / "config.xml")),
            *("--images", str(root / "pictures"), "--project", "5"),
            *more,
        ]
    )


def test_train_on_an_export_prints_the_version(folder, capsys):
    root, services = folder
    assert train(root, "--param", "epochs=3", "--param", "pretrained=false") == 0
    version = capsys.readouterr().out.strip()
    card = services.store.card("5", version)
    assert card.counts.images == 2
    assert (card.params["epochs"], card.origins["epochs"]) == (3, "request")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--param", "epochs=0"], "epochs must be"),
        (["--param", "banana=1"], "unknown parameter 'banana'"),
        (["--param", "epochs"], "NAME=VALUE"),
    ],
)
def test_train_refuses_wrong_parameters(folder, capsys, more, words):
    assert train(folder[0], *more) == 1
    assert words in capsys.readouterr().err


def test_predict_writes_what_label_studio_imports(folder):
    root, services = folder
    add_version(services, "5", "v1")
    out = root / "out.json"
    arguments = ["predict", str(root / "tasks.json"), "--config", str(root / "config.xml"), "--project", "5"]
    assert main([*arguments, "--images", str(root / "pictures"), "--out", str(out)]) == 0
    entries = json.loads(out.read_text())
    assert [len(entry["predictions"]) for entry in entries] == [1, 1, 0]
    assert entries[0]["data"] == {"image": "1.png"}
    assert entries[0]["predictions"][0]["model_version"] == "v1"


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda task: json.dumps(task).encode("utf-8-sig"), id="one task with a mark"),
        pytest.param(lambda task: b"\n".join([json.dumps(task).encode()] * 2), id="a task a line"),
    ],
)
def test_files_that_hold_the_same_thing_are_read(folder, capsys, write):
    root, services = folder
    (root / "tasks.json").write_bytes(write(annotated(1, rectangle())))
    (root / "config.xml").write_bytes(RECTANGLES.encode("utf-8-sig"))
    assert train(root, "--param", "epochs=1", "--param", "pretrained=false") == 0
    assert services.store.card("5", capsys.readouterr().out.strip()).counts.regions >= 1


def test_an_export_of_another_kind_is_named_with_the_way_out(folder, capsys):
    root, _ = folder
    (root / "tasks.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    assert train(root) == 1
    assert "tasks.json: this looks like COCO; in Label Studio choose Export" in capsys.readouterr().err


def test_what_was_left_out_or_is_disputed_is_told_after_a_training(folder, capsys):
    root, _ = folder
    disputed = annotated(1, rectangle(), rectangle("Ghost"))
    disputed["annotations"][0]["completed_by"] = 1
    disputed["annotations"].append({"id": 9, "completed_by": 2, "result": []})
    config = RECTANGLES.replace("</View>", '<Bitmask name="area" toName="image"/></View>')
    (root / "tasks.json").write_text(json.dumps([disputed]))
    (root / "config.xml").write_text(config)
    assert train(root, "--param", "epochs=1", "--param", "pretrained=false") == 0
    told = capsys.readouterr().err
    assert "note: 1 × its label is not in the labeling config (Ghost; the config has Cat, Dog)" in told
    assert "(tasks 1). Add the label to the labeling config" in told
    assert "note: annotators disagree in 1 of the tasks: 1" in told
    assert "note: not learned, or not all of it: area (Bitmask)" in told


def test_images_that_are_not_in_the_folder_are_named(folder, capsys):
    root, services = folder
    add_version(services, "5", "v1")
    tasks = [{"id": 1, "data": {"image": "b/1.png"}}, {"id": 2, "data": {"image": "train-1.png"}}]
    (root / "tasks.json").write_text(json.dumps(tasks))
    arguments = ["predict", str(root / "tasks.json"), "--config", str(root / "config.xml"), "--project", "5"]
    assert main([*arguments, "--images", str(root / "pictures")]) == 0
    told = capsys.readouterr()
    assert [entry["predictions"] for entry in json.loads(told.out)] == [[], []]
    assert "'b/1.png'" in told.err and "'train-1.png'" in told.err


def test_a_folder_of_images_that_is_none(folder, capsys):
    root, _ = folder
    arguments = ["train", str(root / "tasks.json"), "--config", str(root / "config.xml")]
    assert main([*arguments, "--images", str(root / "nowhere")]) == 1
    assert "--images must be a folder" in capsys.readouterr().err


def test_predict_before_training_says_so(folder, capsys):
    root, _ = folder
    assert main(["predict", str(root / "tasks.json"), "--config", str(root / "config.xml")]) == 1
    assert "train it first" in capsys.readouterr().err


def test_versions_are_listed_activated_exported_imported_and_deleted(folder, capsys):
    root, services = folder
    services.projects.remember("5", label_config=RECTANGLES)
    add_version(services, "5", "v1")
    add_version(services, "5", "v2")
    assert main(["models", "list"]) == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()] == [
        ["*", "5", "v2"],
        ["5", "v1", "?"],
    ]
    assert main(["models", "activate", "v1", "--project", "5"]) == 0
    assert services.store.current("5") == "v1"
    assert main(["models", "delete", "v2", "--project", "5"]) == 0
    assert main(["models", "delete", "v1", "--project", "5"]) == 1
    file = root / "model.zip"
    assert main(["models", "export", "--project", "5", "--out", str(file)]) == 0
    assert main(["models", "import", str(file), "--project", "6", "--activate"]) == 0
    imported = services.store.current("6")
    assert services.store.card("6", imported).imported_from == "v1"


@pytest.mark.parametrize(
    "arguments",
    [
        ["models", "export", "--project", "9", "--out", "x.zip"],
        ["models", "import", "nowhere.zip"],
        ["models", "activate", "v9"],
        ["models", "list", "--project", "../../x"],
        ["train", "nowhere.json", "--config", "nowhere.xml"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_mistakes_end_with_one_plain_line(folder, capsys, arguments):
    assert main(arguments) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "Traceback" not in error


def test_a_bad_setting_names_key_and_value(folder, capsys, monkeypatch):
    monkeypatch.setenv("PORT", "many")
    assert main(["models", "list"]) == 1
    assert "PORT" in (error := capsys.readouterr().err)
    assert "many" in error


def test_where_nothing_was_trained_the_list_says_so(folder, capsys):
    assert main(["models", "list"]) == 0
    told = capsys.readouterr()
    assert told.out == "" and "train one" in told.err


def test_a_worker_of_unknown_kind(folder, capsys):
    assert main(["worker", "dance"]) == 2
    assert "dance" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["no/such/folder/out.json", "."])
def test_where_predictions_cannot_be_written_is_said_before_they_are_made(folder, capsys, out):
    root, _ = folder
    arguments = ["predict", str(root / "tasks.json"), "--config", str(root / "config.xml")]
    assert main([*arguments, "--out", str(root / out)]) == 1
    assert "--out must be a file in a folder" in capsys.readouterr().err
