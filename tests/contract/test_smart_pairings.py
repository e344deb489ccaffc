"""Each recorded smart tool with each control the answer may come in, over HTTP, as the editor takes it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.core.geometry.instances import ImageSize, MaskPatch
from backend.core.regions.brush_rle import decode_brush_rle
from backend.core.regions.kinds import KINDS
from backend.infra.images.fetcher import ImageFetcher
from backend.infra.machine.file_cache import FileCache
from backend.infra.machine.waiting_room import MachineWaitingRoom
from backend.nn.prompts.segmenter import SegmentedObject
from backend.service.engine.loaded_versions import NOT_TRAINED
from backend.service.smart_tools.answers import Interactive
from backend.service.smart_tools.encoded_images import EncodedImages
from model import LearningBackend
from tests.fakes.encoding_files import FakeEncodingFiles
from tests.fakes.images import FakeImages
from tests.fakes.services import make_services
from tests.fakes.tasks import picture

CAPTURES = Path(__file__).parent / "captures"
TOOLS = sorted(
    path.stem
    for path in CAPTURES.glob("interactive_*.json")
    if json.loads(path.read_text())["request"]["json"]["params"]["context"]["result"]
)
ANSWER_KINDS = tuple(kind.name for kind in KINDS if kind.draws_objects)
OUTPUTS = (*ANSWER_KINDS, None)
TAGS = {"brush": "Brush", "polygon": "Polygon", "ellipse": "Ellipse", "rectangle": "Rectangle"}
TAGS |= {"keypoint": "KeyPoint", "bitmask": "Bitmask", "vector": "Vector"}
# What the editor tells a shape by, and needs to draw it. Source: the recorded answer_all_shapes.json; for
# the last two, the regions' source in the editor of Label Studio 1.23.2.
MODEL = {
    region["type"].removesuffix("labels"): set(region["value"])
    for region in json.loads((CAPTURES / "answer_all_shapes.json").read_text())["backend_answer"]["results"][
        0
    ]["result"]
} | {"bitmask": {"imageDataURL"}, "vector": {"vertices", "closed"}}


class Disc:
    """Finds a disc in the middle, whatever was pointed at."""

    def segment(self, encoding, prompts, label_index=None, detector=None):
        height, width = encoding.size.height, encoding.size.width
        rows, columns = np.mgrid[:height, :width]
        disc = (columns - width / 2) ** 2 + (rows - height / 2) ** 2 < (min(width, height) / 4) ** 2
        return SegmentedObject(MaskPatch.from_full(disc), 0.8, None)


class RedInside:
    """Finds what is red inside the rough shape: right only where shape and image have one frame."""

    def segment(self, encoding, prompts, label_index=None, detector=None):
        (left, top), (right, bottom) = prompts.outline_px.min(0), prompts.outline_px.max(0)
        rows, columns = np.mgrid[: encoding.size.height, : encoding.size.width]
        inside = (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)
        return SegmentedObject(MaskPatch.from_full(inside & (encoding.image[..., 1] < 80)), 0.8, None)


class AnyImage(FakeImages):
    def __init__(self, size_wh):
        super().__init__()
        self.size_wh = size_wh

    def load_rgb(self, reference, access):
        self.asked.append((reference, access))
        return picture(*self.size_wh)


def pairing(tool: str, output: str | None):
    """Return the recorded body with a config that has the smart tool and one more control."""
    body = json.loads((CAPTURES / f"{tool}.json").read_text())["request"]["json"]
    sent = body["params"]["context"]["result"]
    first = sent[0]
    kind = first["type"].removesuffix("labels")
    is_plain = any(result["type"] == "labels" for result in sent)
    label = next(
        value[0] for result in sent for key, value in result["value"].items() if key.endswith("labels")
    )
    labels = f'<Label value="{label}"/>'
    ending = "" if is_plain else "Labels"
    inside = "" if is_plain else labels
    value = 'valueList="$pages"' if "pages" in body["tasks"][0]["data"] else 'value="$image"'
    tags = [f'<Image name="{first["to_name"]}" {value}/>']
    for tag_kind, name in ((kind, first["from_name"]), (output, "wanted")):
        if tag_kind is not None:
            tag = TAGS[tag_kind] + ending
            tags.append(f'<{tag} name="{name}" toName="{first["to_name"]}" smart="true">{inside}</{tag}>')
    if is_plain:
        name = next(result["from_name"] for result in sent if result["type"] == "labels")
        tags.append(f'<Labels name="{name}" toName="{first["to_name"]}">{labels}</Labels>')
    candidates = [found for found in ANSWER_KINDS if found in (kind, output)]
    return {**body, "label_config": f"<View>{''.join(tags)}</View>"}, (candidates or [kind])[0], label


@pytest.fixture
def ask(tmp_path):
    """Return a function that sends a body and gives the answer's results and the size of the image."""

    def send(body):
        first = body["params"]["context"]["result"][0]
        size_wh = (first.get("original_width", 320), first.get("original_height", 240))
        services = make_services(tmp_path, images=AnyImage(size_wh))
        prepared = EncodedImages(
            services.images,
            services.versions,
            services.batching,
            lambda folder: Disc(),
            services.store.local_folder,
            FakeEncodingFiles(),
            memory_bytes=1 << 24,
        )
        interactive = Interactive(
            prepared,
            services.versions,
            services.batching,
            services.waiting_room,
            services.images,
            services.text,
            followed_by=services.after_task,
            answer_within_s=60.0,
        )
        services = make_services(tmp_path, images=services.images, interactive=interactive)
        client = services.app(lambda: LearningBackend).test_client()
        answer = client.post("/predict", json=body)
        assert answer.status_code == 200
        [entry] = answer.json["results"]
        assert entry["model_version"] == NOT_TRAINED
        return entry["result"], ImageSize(*size_wh), services.images.asked

    return send


@pytest.mark.parametrize("output", OUTPUTS, ids=[str(output or "itself") for output in OUTPUTS])
@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_answers_in_every_control(ask, tool, output):
    body, kind, label = pairing(tool, output)
    results, size, asked = ask(body)
    sent = body["params"]["context"]["result"][0]
    region = results[0]
    is_plain = body["params"]["context"]["result"][-1]["type"] == "labels"
    assert len(results) == (2 if is_plain else 1)
    assert region["type"] == (kind if is_plain else f"{kind}labels")
    assert region["to_name"] == sent["to_name"]
    assert region["from_name"] in (sent["from_name"], "wanted")
    assert (region["original_width"], region["original_height"]) == (size.width, size.height)
    assert region.get("item_index") == sent.get("item_index")
    assert MODEL[kind] - {"closed", f"{kind}labels"} <= set(region["value"])
    # Fewer, and the editor takes it for a choice, unless it is a bitmask's.
    assert len(region["value"]) >= 2 or kind == "bitmask"
    named = results[1]["value"]["labels"] if is_plain else region["value"][f"{kind}labels"]
    assert named == [label]
    if is_plain:
        assert (results[1]["type"], results[1]["id"]) == ("labels", region["id"])
    if kind == "brush":
        mask = decode_brush_rle(region["value"]["rle"], size) > 127
        assert mask[size.height // 2, size.width // 2] and not mask[0, 0]
    if "pages" in body["tasks"][0]["data"]:
        assert asked[0][0] == body["tasks"][0]["data"]["pages"][sent["item_index"]]


def test_every_tool_was_recorded():
    kinds = {
        json.loads((CAPTURES / f"{tool}.json").read_text())["request"]["json"]["params"]["context"]["result"][
            0
        ]["type"].removesuffix("labels")
        for tool in TOOLS
    }
    assert kinds == {"rectangle", "keypoint", "ellipse", "polygon", "brush"}


def test_a_brush_prompt_arrives_whole_though_the_masks_of_the_task_are_left_unread(tmp_path):
    body = json.loads((CAPTURES / "interactive_brush.json").read_text())["request"]["json"]
    body["tasks"][0]["annotations"] = [{"id": 1, "result": body["params"]["context"]["result"]}]
    services = make_services(tmp_path)
    services.app(lambda: LearningBackend).test_client().post("/predict", json=body)
    [(task, _, context, _, _)] = services.interactive.asked
    assert context == body["params"]["context"]
    assert len(context["result"][0]["value"]["rle"]) > 100
    assert task["annotations"][0]["result"][0]["value"]["rle"] == [-1]


def test_an_image_that_is_stored_turned_is_answered_as_the_browser_shows_it(tmp_path):
    """The recorded file is 64 x 48 pixels with EXIF orientation 6: browsers show it 48 wide and 64 high."""
    body = json.loads((CAPTURES / "interactive_rectangle_exif.json").read_text())["request"]["json"]
    [prompt] = body["params"]["context"]["result"]
    size = ImageSize(prompt["original_width"], prompt["original_height"])
    value = prompt["value"]
    rows, columns = np.mgrid[: size.height, : size.width]
    across = (columns / size.width * 100 - value["x"]) / value["width"] * 2 - 1
    down = (rows / size.height * 100 - value["y"]) / value["height"] * 2 - 1
    shown = across**2 + down**2 < 1
    pixels = np.where(shown[..., None], (220, 40, 40), (120, 120, 120)).astype(np.uint8)
    stored, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(pixels)).save(stored, "JPEG", quality=98, exif=exif)
    body["tasks"][0]["data"]["image"] = (
        "data:image/jpeg;base64," + base64.b64encode(stored.getvalue()).decode()
    )
    body["label_config"] = body["label_config"].replace(
        "</View>", '<BrushLabels name="wanted" toName="img"><Label value="Cat"/></BrushLabels></View>'
    )
    client = real_services(tmp_path).app(lambda: LearningBackend).test_client()
    [entry] = client.post("/predict", json=body).json["results"]
    [region] = entry["result"]
    assert (region["original_width"], region["original_height"]) == (size.width, size.height) == (48, 64)
    mask = decode_brush_rle(region["value"]["rle"], size) > 127
    assert (mask & shown).sum() / (mask | shown).sum() > 0.8


def real_services(folder):
    """Return services with the real images and the real cache."""
    fakes = make_services(folder)
    images = ImageFetcher.from_settings(fakes.settings)
    prepared = EncodedImages(
        images,
        fakes.versions,
        fakes.batching,
        lambda folder: RedInside(),
        fakes.store.local_folder,
        FileCache(folder / "encodings", 1 << 24),
        memory_bytes=1 << 24,
    )
    room = MachineWaitingRoom(folder / "waiting")
    interactive = Interactive(
        prepared,
        fakes.versions,
        fakes.batching,
        room,
        images,
        fakes.text,
        followed_by=fakes.after_task,
        answer_within_s=60.0,
    )
    return make_services(folder, images=images, interactive=interactive)


@pytest.mark.parametrize(
    ("tool", "is_turned"), [("interactive_rectangle_rotated", True), ("interactive_rectangle", False)]
)
def test_a_rough_rectangle_is_answered_turned_if_it_was_drawn_turned(ask, monkeypatch, tool, is_turned):
    def leaning(self, encoding, prompts, label_index=None, detector=None):
        rows, columns = np.mgrid[: encoding.size.height, : encoding.size.width]
        bar = (np.abs(2 * rows - columns) < 40) & (np.abs(columns - encoding.size.width / 2) < 70)
        return SegmentedObject(MaskPatch.from_full(bar), 0.8, None)

    monkeypatch.setattr(Disc, "segment", leaning)
    body, _, _ = pairing(tool, None)
    [region], *_ = ask(body)
    assert region["type"] == "rectanglelabels"
    assert (region["value"]["rotation"] != 0) is is_turned
