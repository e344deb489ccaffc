import io
import json
import zipfile

import pytest

from backend.core.labelstudio.exports import read_tasks, task_of
from backend.errors import AnnotationError

TASK = {"id": 1, "data": {"image": "zdjęcie.png"}, "annotations": [{"id": 3, "result": []}]}
OTHER = {"id": 2, "data": {"image": "b.png"}, "predictions": []}
MIN = {"id": 1, "image": "a.png", "label": [{"x": 1}], "annotator": 1, "annotation_id": 1, "lead_time": 3.1}


def text(value, encoding="utf-8"):
    return json.dumps(value, ensure_ascii=False).encode(encoding)


def archive(files):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "tasks"),
    [
        pytest.param(text([TASK, OTHER]), [TASK, OTHER], id="a list"),
        pytest.param(text(TASK), [TASK], id="one task"),
        pytest.param(text({"tasks": [TASK, OTHER], "total": 2}), [TASK, OTHER], id="a page of the API"),
        pytest.param(text([TASK], "utf-8-sig"), [TASK], id="byte order mark"),
        pytest.param(text([TASK], "utf-16"), [TASK], id="UTF-16, as PowerShell writes"),
        pytest.param(text(TASK) + b"\r\n\r\n" + text(OTHER) + b"\n", [TASK, OTHER], id="a task a line"),
        pytest.param(text(TASK, "utf-8-sig") + b"\n" + text(OTHER), [TASK, OTHER], id="lines with a mark"),
        pytest.param(archive({"project-1.json": text([TASK, OTHER])}), [TASK, OTHER], id="zip"),
        pytest.param(
            archive({"a.json": text([TASK]), "b.jsonl": text(OTHER), "__MACOSX/a.json": b"x"}),
            [TASK, OTHER],
            id="zip of several",
        ),
        pytest.param(archive({"images/a.png": b"x", "tasks/1.json": text(TASK)}), [TASK], id="zip, images"),
        pytest.param(text([{"image": "a.png"}]), [{"data": {"image": "a.png"}}], id="data alone"),
        pytest.param(
            text([{"id": 3, "result": [], "task": {"id": 1, "data": {"image": "a.png"}}}]),
            [{"id": 1, "data": {"image": "a.png"}, "annotations": [{"id": 3, "result": []}]}],
            id="an annotation with its task",
        ),
        pytest.param(text([]), [], id="no tasks"),
    ],
)
def test_tasks_are_read_however_they_are_wrapped(content, tasks):
    assert read_tasks(content) == tasks


def test_completions_are_annotations():
    old = {
        "id": 1,
        "data": {},
        "completions": [
            {"id": 1001, "created_at": 1_580_000_000, "result": [1]},
            {"id": 1002, "result": [], "skipped": True},
            "broken",
        ],
    }
    (task,) = read_tasks(text([old]))
    assert task == {
        "id": 1,
        "data": {},
        "annotations": [
            {"id": 1001, "created_at": "2020-01-26T00:53:20+00:00", "result": [1]},
            {"id": 1002, "result": [], "skipped": True, "was_cancelled": True},
            "broken",
        ],
    }
    assert task_of({**old, "annotations": []}) == {**old, "annotations": []}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(text([MIN]), "JSON_MIN", id="JSON_MIN"),
        pytest.param(text({"images": [], "annotations": [], "categories": []}), "COCO", id="COCO"),
        pytest.param(text({"_via_img_metadata": {}}), "VIA", id="VIA"),
        pytest.param(text({"imagePath": "a.png", "shapes": []}), "LabelMe or X-AnyLabeling", id="LabelMe"),
        pytest.param(text({"type": "FeatureCollection", "features": []}), "GeoJSON", id="GeoJSON"),
        pytest.param(b"image,id,label\na.png,1,[]\n", "CSV", id="CSV"),
        pytest.param(archive({"classes.txt": b"a", "notes.json": b"{}"}), "a YOLO export", id="YOLO"),
        pytest.param(archive({"Annotations/a.xml": b""}), "Pascal VOC", id="VOC"),
        pytest.param(
            archive({"result.json": text({"images": [], "annotations": []})}), "COCO", id="COCO zip"
        ),
        pytest.param(archive({}), "nothing", id="empty zip"),
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b'[{"id": 1,', "not JSON", id="cut off"),
        pytest.param(b"\xff\xd8\xff\xe0\x00\x10JFIF", "neither text nor a zip", id="a picture"),
        pytest.param(text([TASK, "a.png"]), "a task must be an object, got str", id="text in the list"),
        pytest.param(text("a.png"), "got str", id="text"),
        pytest.param(archive({"a.json": text([TASK])})[:-30], "the zip cannot be read", id="half a zip"),
    ],
)
def test_what_is_something_else_is_named_with_the_way_out(content, words):
    with pytest.raises(AnnotationError) as caught:
        read_tasks(content)
    assert words in str(caught.value)
