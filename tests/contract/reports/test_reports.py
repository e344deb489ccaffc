"""Public reports of 2025 and 2026, rebuilt in small; README.md beside this file has the sources."""

from __future__ import annotations

import io
import json
import unicodedata
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from PIL import Image

from backend.cli import main
from backend.core.geometry.instances import ImageSize
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.exports import read_tasks
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.prompts import parse_prompts
from backend.core.regions.brush_rle import encode_brush_rle
from backend.errors import AnnotationError, FetchError, ImageDecodeError
from backend.infra.images.decode import decode_rgb
from backend.infra.images.folder import FolderImages
from backend.infra.images.folder_names import FolderNames
from backend.infra.images.reference import is_signed, redirected_to, resolve_reference, shown
from backend.service.ports import ImageAccess
from tests.fakes.images import FakeImages
from tests.fakes.services import make_services
from tests.fakes.tasks import RECTANGLES, annotated, picture, rectangle
from tests.web.conftest import StubModel

SIZE = ImageSize(100, 50)
ALL = """
<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image"><Label value="Cat"/><Label value="Dog"/></RectangleLabels>
  <PolygonLabels name="outline" toName="image"><Label value="Cat"/><Label value="Dog"/></PolygonLabels>
  <BrushLabels name="area" toName="image"><Label value="Cat"/><Label value="Dog"/></BrushLabels>
</View>
"""


def region(kind, label="Cat", recorded=SIZE, number=1, **value):
    tag = {"rectanglelabels": "box", "polygonlabels": "outline", "brushlabels": "area"}[kind]
    return {
        "id": f"r{number}",
        "from_name": tag,
        "to_name": "image",
        "type": kind,
        "original_width": recorded.width,
        "original_height": recorded.height,
        "image_rotation": 0,
        "value": {**value, kind: [label]},
    }


def learned(*regions, size=SIZE):
    """Return what one image teaches, and what was left out."""
    task = {"id": 1, "data": {"image": "1.png"}, "annotations": [{"id": 1, "result": list(regions)}]}
    read = annotated_task(task, parse_label_config(ALL))
    built = build_target(read.pages[0].regions, ("Cat", "Dog"), size)
    return built.target, read.unusable + built.unusable


@pytest.fixture
def client(tmp_path):
    services = make_services(tmp_path, images=FakeImages({"1.png": picture()}))
    app = services.app(lambda: StubModel)
    app.testing = False
    return app.test_client()


def test_01_an_upload_with_an_odd_name_is_found_from_its_relative_reference():
    name = "f7ea5bb2--_20230724135209_jpg.rf.13293d3709e8.jpg"
    access = ImageAccess(hostname="http://label-studio:8080", token="t")
    url = resolve_reference(f"/data/upload/1/{name}", access)
    assert url == f"http://label-studio:8080/data/upload/1/{name}"


def test_02_a_photograph_is_turned_as_it_was_labelled():
    stored = np.zeros((20, 40, 3), np.uint8)
    stored[:10, :10] = 255
    exif, target = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(stored).save(target, "JPEG", exif=exif, quality=95)
    shown = decode_rgb(target.getvalue(), 10_000)
    assert shown.shape == (40, 20, 3) and shown[5, 15].min() > 200 and shown[5, 5].max() < 50


def test_03_a_turned_rectangle_turns_about_its_own_corner():
    turned = region("rectanglelabels", x=50, y=20, width=20, height=20, rotation=90)
    target, _ = learned(turned)
    # 20 x 10 px at (50, 10), turned by a quarter to the right about that corner.
    assert target.boxes_xyxy_px.tolist() == [[40, 10, 50, 30]]


def test_04_the_captions_of_coco_are_named_and_not_read():
    captions = {"info": {}, "images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": "a cat"}]}
    with pytest.raises(AnnotationError, match="looks like COCO"):
        read_tasks(json.dumps(captions).encode())


def test_05_a_mask_with_a_row_more_than_the_image_is_fitted_to_it():
    mask = np.zeros((51, 100), bool)
    mask[10:51, 20:40] = True
    area = region("brushlabels", recorded=ImageSize(100, 51), format="rle", rle=encode_brush_rle(mask))
    target, unusable = learned(area)
    (box,) = target.boxes_xyxy_px.tolist()
    assert box == pytest.approx([20, 10, 40, 50], abs=1) and not unusable


def test_06_a_mask_of_another_length_than_its_image_costs_itself_only():
    broken = region("brushlabels", format="rle", rle=encode_brush_rle(np.ones((40, 90), bool)), number=2)
    box = region("rectanglelabels", x=10, y=20, width=20, height=20, rotation=0)
    target, unusable = learned(broken, box)
    assert target.boxes_xyxy_px.tolist() == [[10, 10, 30, 20]] and unusable == {"broken_rle": 1}


def test_07_the_box_of_an_object_stays_its_own_beside_its_outline():
    box = region("rectanglelabels", x=10, y=20, width=40, height=40, rotation=0)
    points = [[11, 22], [49, 22], [49, 58], [11, 58]]
    target, _ = learned(box, region("polygonlabels", points=points, number=2))
    assert target.boxes_xyxy_px.tolist() == [[10, 10, 50, 30]] and target.masks[0] is not None


def test_08_a_deep_grey_tiff_keeps_its_contrast():
    deep = np.linspace(0, 65535, 60).astype(np.uint16).reshape(6, 10)
    target = io.BytesIO()
    Image.fromarray(deep).save(target, "TIFF")
    shown = decode_rgb(target.getvalue(), 10_000)
    assert shown.shape == (6, 10, 3) and (shown.min(), shown.max()) == (0, 255)
    assert (np.diff(shown[..., 0].ravel().astype(int)) > 0).all()


def test_09_painted_objects_that_overlap_stay_two():
    left, right = np.zeros((2, 50, 100), bool)
    left[10:30, 10:40], right[10:30, 30:60] = True, True
    areas = [
        region("brushlabels", label, format="rle", rle=encode_brush_rle(mask), number=number)
        for number, (label, mask) in enumerate([("Cat", left), ("Dog", right)])
    ]
    target, _ = learned(*areas)
    assert [mask.area_px for mask in target.masks] == [600, 600]


def test_10_an_annotation_without_results_says_that_nothing_is_there(tmp_path):
    target, unusable = learned()
    assert len(target) == 0 and not unusable


@pytest.mark.parametrize("rle", [[], None, [0] * 7, "AAAA"], ids=["empty", "none", "a head alone", "text"])
def test_11_an_unfinished_brush_stroke_costs_itself_only(rle):
    box = region("rectanglelabels", x=10, y=20, width=20, height=20, rotation=0)
    target, unusable = learned(region("brushlabels", format="rle", rle=rle, number=2), box)
    assert len(target) == 1 and unusable == {"broken_rle": 1}


def test_12_a_prediction_has_an_entry_for_each_task_even_before_any_training(client):
    tasks = [{"id": number, "data": {"image": "1.png"}} for number in (1, 2, 3)]
    answer = client.post("/predict", json={"tasks": tasks, "project": "7.1", "label_config": RECTANGLES})
    assert (answer.status_code, answer.json) == (200, {"results": [[], [], []]})


def test_13_smart_tools_beside_a_header_are_control_tags(client):
    config = (
        '<View><Header value="Select label and click the image to start"/>'
        '<Image name="image" value="$image" zoom="true"/><BrushLabels name="tag" toName="image">'
        '<Label value="Banana"/></BrushLabels><KeyPointLabels name="tag2" toName="image" smart="true">'
        '<Label value="Banana" smart="true"/></KeyPointLabels></View>'
    )
    assert client.post("/validate", json={"config": config}).status_code == 200
    answer = client.post(
        "/predict",
        json={"tasks": [{"id": 1, "data": {"image": "1.png"}}], "project": "7.1", "label_config": config},
    )
    assert (answer.status_code, answer.json) == (200, {"results": [[]]})


def test_14_a_config_without_an_image_is_refused_in_plain_words(client):
    config = (
        '<View><Text name="text" value="$review"/><Choices name="sentiment" toName="text">'
        '<Choice value="Positive"/></Choices></View>'
    )
    body = {"tasks": [{"id": 1, "data": {"review": "fine"}}], "project": "7.1", "label_config": config}
    for path, sent in (("/predict", body), ("/validate", {"config": config})):
        answer = client.post(path, json=sent)
        assert answer.status_code == 400
        assert "no <Image>" in answer.json["error"]


@pytest.mark.parametrize(
    ("points", "box"),
    [
        pytest.param([[-20, 20], [20, 20], [20, 60], [-20, 60]], [0, 10, 20, 30], id="over the left edge"),
        pytest.param([[80, 80], [130, 80], [130, 120], [80, 120]], [80, 40, 100, 50], id="over a corner"),
    ],
)
def test_15_what_sticks_out_of_the_image_is_cut_off(points, box):
    target, unusable = learned(region("polygonlabels", points=points))
    assert target.boxes_xyxy_px.tolist() == [pytest.approx(box, abs=1)] and not unusable
    assert target.masks[0].area_px > 0


def test_16_a_box_that_crosses_the_edge_is_cut_and_one_beside_the_image_is_counted():
    crossing = region("rectanglelabels", x=-10, y=-10, width=30, height=40, rotation=0)
    beside = region("rectanglelabels", x=110, y=10, width=20, height=20, rotation=0, number=2)
    target, unusable = learned(crossing, beside)
    assert target.boxes_xyxy_px.tolist() == [[0, 0, 20, 15]] and unusable == {"outside_image": 1}


@pytest.mark.parametrize("written", ["..\\files\\test.jpg", "../files/test.jpg"], ids=["Windows", "others"])
def test_17_a_path_written_on_another_system_means_the_same_file(tmp_path, written):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "test.jpg").touch()
    assert FolderNames(tmp_path).find(written) == tmp_path / "files" / "test.jpg"
    assert FolderNames(tmp_path / "files").find(written) == tmp_path / "files" / "test.jpg"


def test_18_names_in_any_script_are_found_and_read(tmp_path):
    folder = tmp_path / "张松" / "图片"
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 6), (200, 100, 50)).save(folder / "2f6b1277-猫.png")
    images = FolderImages(folder, FakeImages(), max_bytes=10_000, max_pixels=10_000)
    written = "C:\\Users\\张松\\AppData\\Local\\label-studio\\media\\upload\\19\\2f6b1277-猫.png"
    for reference in (written, "/data/upload/19/2f6b1277-%E7%8C%AB.png", "图片/2f6b1277-猫.png"):
        assert images.load_rgb(reference, ImageAccess()).shape == (6, 8, 3)


@pytest.mark.parametrize("kind", ["keypointlabels", "rectanglelabels"])
def test_19_both_smart_tools_of_one_config_prompt(kind):
    config = parse_label_config(
        '<View><Image name="image" value="$image"/>'
        '<BrushLabels name="tag" toName="image"><Label value="Cat"/></BrushLabels>'
        '<KeyPointLabels name="tag2" toName="image" smart="true"><Label value="Cat"/>'
        '</KeyPointLabels><RectangleLabels name="tag3" toName="image" smart="true"><Label value="Cat"/>'
        "</RectangleLabels></View>"
    )
    value = {"x": 40, "y": 40, "width": 20, "height": 20, "rotation": 0, kind: ["Cat"]}
    drawn = {
        "id": "p",
        "from_name": "tag2" if kind == "keypointlabels" else "tag3",
        "to_name": "image",
        "type": kind,
        "original_width": 100,
        "original_height": 50,
        "is_positive": True,
        "value": value,
    }
    task = {"id": 1, "data": {"image": "1.png"}}
    request = parse_prompts({"result": [drawn]}, task, config)
    assert request is not None and request.label == "Cat" and len(request.pages) == 1
    assert request.pages[0].page.reference == "1.png"


def test_20_classes_that_are_numbers_are_the_labels_of_that_name():
    config = parse_label_config(ALL.replace("Cat", "0").replace("Dog", "1"))
    boxes = [
        region("rectanglelabels", number, number=number, x=10, y=20, width=20, height=20) for number in (0, 1)
    ]
    task = {"id": 1, "data": {"image": "1.png"}, "annotations": [{"id": 1, "result": boxes}]}
    read = annotated_task(task, config)
    assert [labelled.labels for labelled in read.pages[0].regions] == [("0",), ("1",)] and not read.unusable


def test_21_a_label_with_other_blanks_is_the_label():
    config = parse_label_config(ALL.replace("Cat", "sport glove").replace("Dog", "glove"))
    box = region("rectanglelabels", "sport  glove ", x=10, y=20, width=20, height=20)
    task = {"id": 1, "data": {"image": "1.png"}, "annotations": [{"id": 1, "result": [box]}]}
    read = annotated_task(task, config)
    assert [labelled.labels for labelled in read.pages[0].regions] == [("sport glove",)] and not read.unknown


def test_22_a_photograph_of_an_iphone_is_named_with_the_way_out():
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
    with pytest.raises(ImageDecodeError, match=r"HEIC.*convert it to JPEG"):
        decode_rgb(heic, 10_000)


def test_23_a_bucket_without_a_known_label_studio_says_what_to_set():
    with pytest.raises(FetchError, match=r"gs:// image comes through Label Studio.*set LABEL_STUDIO_URL"):
        resolve_reference("gs://path/to/image/in/bucket", ImageAccess(task_id=1))
    url = resolve_reference("gs://b/1.png", ImageAccess(hostname="http://ls:8080", token="t", task_id=1))
    assert url.startswith("http://ls:8080/tasks/1/resolve/?fileuri=")


@pytest.mark.parametrize("name", ["café.png", "猫.png"])
def test_24_a_redirect_that_writes_a_name_as_it_is_leads_to_the_file(name):
    raw = f"/{name}".encode().decode("latin-1")  # as an HTTP client hands over the bytes of a header
    assert redirected_to(raw, "http://host/a") == f"http://host/{quote(name)}"


def test_25_names_from_macos_and_from_elsewhere_are_the_same(tmp_path):
    (tmp_path / unicodedata.normalize("NFD", "Übersicht é.png")).touch()
    found = FolderNames(tmp_path).find(unicodedata.normalize("NFC", "Übersicht é.png"))
    assert found is not None and found.exists()


def test_26_a_signed_address_is_known_as_one_and_its_secret_stays_out_of_messages():
    url = "https://bucket.example/1.png?X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-Signature=secret"
    assert is_signed(url) and not is_signed("https://bucket.example/1.png?size=60")
    assert "secret" not in shown(url)


@pytest.mark.parametrize("result", [None, "[]", {}], ids=str)
def test_27_an_annotation_without_a_list_of_results_is_none(result):
    task = {"id": 1, "data": {"image": "1.png"}, "annotations": [{"id": 1, "result": result}]}
    assert annotated_task(task, parse_label_config(ALL)) is None


def test_28_sixteen_bits_a_channel_keep_their_colours():
    deep = np.zeros((4, 4, 3), np.uint16)
    deep[..., 2], deep[..., 1] = 65535, 32768
    _, content = cv2.imencode(".png", deep)
    assert decode_rgb(content.tobytes(), 10_000)[2, 2].tolist() == [255, 128, 0]


def test_29_a_jpeg_for_print_has_the_colours_that_are_seen():
    target = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 0, 0)).convert("CMYK").save(target, "JPEG")
    assert decode_rgb(target.getvalue(), 10_000)[4, 4] == pytest.approx([200, 0, 0], abs=4)


def test_30_an_outline_with_a_slit_to_a_hole_has_the_hole():
    outer = [[10, 10], [90, 10], [90, 90], [10, 90], [10, 10]]
    hole = [[30, 30], [30, 70], [70, 70], [70, 30], [30, 30]]
    target, unusable = learned(region("polygonlabels", points=outer + hole))
    mask = target.masks[0].full(SIZE)
    assert not mask[25, 50] and mask[10, 50] and mask.sum() == 40 * 80 - 20 * 40 and not unusable


def test_31_a_smart_tool_without_an_answer_still_has_an_entry(client):
    click = region("rectanglelabels", x=200, y=200, width=1, height=1)
    click["is_positive"] = True
    answer = client.post(
        "/predict",
        json={
            "tasks": [{"id": 1, "data": {"image": "1.png"}}],
            "project": "7.1",
            "label_config": ALL,
            "params": {"context": {"result": [click]}},
        },
    )
    assert answer.status_code == 200
    (entry,) = answer.json["results"]
    assert entry["result"] == []


def test_32_a_pointer_of_git_lfs_is_named_with_the_way_out():
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    with pytest.raises(ImageDecodeError, match=r"Git LFS.*git lfs pull"):
        decode_rgb(pointer, 10_000)


@pytest.mark.parametrize(
    ("label", "image", "named"),
    [
        pytest.param("Cat", "b/1.png", "'b/1.png'", id="an image that is not there"),
        pytest.param("Ghost", "1.png", "Ghost", id="a label that is not there"),
    ],
)
def test_the_command_line_says_what_it_left_out(tmp_path, monkeypatch, capsys, label, image, named):
    """The kind of reports 4 and 10, where a user starts: nothing is learned, and he is told why."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    cv2.imwrite(str(tmp_path / "1.png"), picture())
    (tmp_path / "config.xml").write_text(RECTANGLES)
    (tmp_path / "tasks.json").write_text(json.dumps([annotated(1, rectangle(label), image=image)]))
    arguments = ["train", str(tmp_path / "tasks.json"), "--config", str(tmp_path / "config.xml")]
    assert main([*arguments, "--images", str(tmp_path)]) == 1
    assert named in capsys.readouterr().err
