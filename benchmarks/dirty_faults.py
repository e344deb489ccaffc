"""Tasks with known faults, as projects have them, and what a training should count of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
from PIL import Image

from demo.pictures import Picture, draw_pictures, region_of

SIZE_WH = (320, 240)
LABELS = "".join(f'<Label value="{label}"/>' for label in ("Coin", "Leaf", "Star"))
CONFIG = f"""<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image">{LABELS}</RectangleLabels>
  <PolygonLabels name="outline" toName="image" choice="multiple">{LABELS}<Label value="Worn"/></PolygonLabels>
  <EllipseLabels name="round" toName="image">{LABELS}</EllipseLabels>
  <BrushLabels name="paint" toName="image">{LABELS}</BrushLabels>
  <Rectangle name="frame" toName="image"/>
  <Labels name="kind" toName="image">{LABELS}</Labels>
  <Labels name="state" toName="image"><Label value="Torn"/></Labels>
  <KeyPointLabels name="point" toName="image">{LABELS}</KeyPointLabels>
  <BitmaskLabels name="bitmask" toName="image">{LABELS}</BitmaskLabels>
  <Repeater on="$pages" indexFlag="{{{{idx}}}}">
    <Image name="page_{{{{idx}}}}" value="$pages[{{{{idx}}}}]"/>
    <RectangleLabels name="labels_{{{{idx}}}}" toName="page_{{{{idx}}}}">{LABELS}</RectangleLabels>
  </Repeater>
</View>"""
Json = dict[str, Any]


@dataclass
class Case:
    """One task to be: its picture, the picture's address, what it holds, and what the job should count.

    objects: learned ones; None: as many as the picture shows.
    """

    picture: Picture
    name: str
    url: str
    folder: Path
    data: Any = None
    results: list[Json] = field(default_factory=list)
    annotations: list[Json] | None = None
    counted: Counter[str] = field(default_factory=Counter)
    objects: int | None = None
    images: int = 1
    is_disputed: bool = False

    @property
    def path(self) -> Path:
        return self.folder / self.name

    def draw(self, shape: str, from_name: str, to_name: str = "image") -> list[Json]:
        regions = [region_of(thing, shape, from_name, to_name) for thing in self.picture.things]
        return [{"id": f"r{number}", **region} for number, region in enumerate(regions)]

    def leave_out(self, reason: str, *, image: bool = False) -> None:
        """Expect every region to be left out for a reason, and the image with them."""
        self.counted[reason] += 1 if image else len(self.results)
        self.objects = 0
        self.images = 0


def clean(case: Case) -> None:
    shape, tag = (("rectangle", "box"), ("polygon", "outline"), ("brush", "paint"))[len(case.name) % 3]
    case.results = case.draw(shape, tag)


def twins(case: Case) -> None:
    pairs = zip(case.draw("rectangle", "box"), case.draw("polygon", "outline"), strict=True)
    results = [result for pair in pairs for result in pair]
    case.results = [{**result, "id": f"t{number}"} for number, result in enumerate(results)]


def shared_ids(case: Case) -> None:
    case.results = [{**result, "id": "result1"} for result in case.draw("rectangle", "box")]
    case.counted["shared_id"] = len(case.results) - 1


def negative_sizes(case: Case) -> None:
    case.results = case.draw("rectangle", "box")
    for result in case.results:
        value = result["value"]
        value["x"] += value["width"]
        value["y"] += value["height"]
        value["width"], value["height"] = -value["width"], -value["height"]


def negative_radii(case: Case) -> None:
    case.results = case.draw("ellipse", "round")
    for result in case.results:
        result["value"]["radiusX"] *= -1


def no_type(case: Case) -> None:
    clean(case)
    for result in case.results:
        del result["type"]


def two_labels_on_a_region(case: Case) -> None:
    case.results = case.draw("polygon", "outline")
    for result in case.results:
        result["value"]["polygonlabels"].append("Worn")


def two_labels_tags(case: Case) -> None:
    for result in case.draw("rectangle", "box"):
        value = result["value"]
        (label,) = value.pop("rectanglelabels")
        shape = {**result, "from_name": "frame", "type": "rectangle", "value": value}
        kind = {**result, "from_name": "kind", "type": "labels", "value": {**value, "labels": [label]}}
        state = {**result, "from_name": "state", "type": "labels", "value": {**value, "labels": ["Torn"]}}
        case.results += [shape, kind, state]


def emptied_by_another(case: Case) -> None:
    clean(case)
    case.annotations = [annotation(case.results, 1, 1), annotation([], 2, 2)]
    case.is_disputed = True


def emptied_by_the_same(case: Case) -> None:
    clean(case)
    case.annotations = [annotation(case.results, 1, 1), annotation([], 1, 2)]
    case.objects = 0


def pages(case: Case) -> None:
    case.data = {"pages": [case.url, case.url]}
    first, second = (case.draw("rectangle", f"labels_{page}", f"page_{page}") for page in (0, 1))
    case.results = first + [{**result, "id": f"{result['id']}b"} for result in second]
    case.objects = 2 * len(case.picture.things)
    case.images = 2


def made_smaller(case: Case) -> None:
    case.results = case.draw("polygon", "outline")
    for result in case.results:
        result.update(original_width=SIZE_WH[0] * 2, original_height=SIZE_WH[1] * 2)


def turned(case: Case) -> None:
    """Label a photograph that stands; then its file loses the orientation."""
    case.results = case.draw("rectangle", "box")
    for result in case.results:
        value = result["value"]
        x, y, width, height = (value[key] for key in ("x", "y", "width", "height"))
        value.update(x=100 - y - height, y=x, width=height, height=width)
        result.update(original_width=SIZE_WH[1], original_height=SIZE_WH[0])


def replaced(case: Case) -> None:
    clean(case)
    write(case.path, case.picture.rgb[:, :200])
    case.leave_out("size_disagrees", image=True)


def odd_data(kind: int) -> Callable[[Case], None]:
    def fill(case: Case) -> None:
        clean(case)
        case.data = (
            {"image": {"url": case.url}},
            {"image": [case.url]},
            {"IMAGE": case.url},
            {"image": {"image": case.url}},
        )[kind]

    return fill


def two_addresses(case: Case) -> None:
    clean(case)
    case.data = {"left_photo": case.url, "right_photo": case.url}
    case.leave_out("task_without_image", image=True)


def not_there(case: Case) -> None:
    clean(case)
    case.path.unlink()
    case.leave_out("image_not_found", image=True)


def not_readable(case: Case) -> None:
    clean(case)
    case.path.write_bytes(b"no picture")
    case.leave_out("image_not_readable", image=True)


def renamed_tag(case: Case) -> None:
    case.results = case.draw("rectangle", "bbox")
    case.leave_out("unknown_control")


def label_gone(case: Case) -> None:
    case.results = case.draw("rectangle", "box")
    for result in case.results:
        result["value"]["rectanglelabels"] = ["Button"]
    case.leave_out("unknown_label")


def pixels(case: Case) -> None:
    case.results = case.draw("rectangle", "box")
    for result in case.results:
        for key, side in (("x", 0), ("y", 1), ("width", 0), ("height", 1)):
            result["value"][key] *= SIZE_WH[side] / 100
    case.results[0]["value"].update(x=200, width=80)  # one is surely none of percent
    case.leave_out("pixels")


def texts(case: Case) -> None:
    case.results = case.draw("rectangle", "box")
    for result in case.results:
        result["value"]["x"] = f"{result['value']['x']:.2f}"
    case.leave_out("numbers_as_text")


def no_label(case: Case) -> None:
    case.results = case.draw("rectangle", "box")
    for result in case.results:
        result["value"]["rectanglelabels"] = []
    case.leave_out("no_label")


def key_points(case: Case) -> None:
    for result in case.draw("rectangle", "point"):
        value = {"x": result["value"]["x"], "y": result["value"]["y"], "width": 1}
        value["keypointlabels"] = result["value"]["rectanglelabels"]
        case.results.append({**result, "type": "keypointlabels", "value": value})
    case.leave_out("keypoint")
    case.images = 1  # nothing is hidden: key points are no objects to be found


def bitmasks(case: Case) -> None:
    for result in case.draw("rectangle", "bitmask"):
        value = {"imageDataURL": "data:image/png;base64,", "bitmasklabels": ["Coin"]}
        case.results.append({**result, "type": "bitmasklabels", "value": value})
    case.leave_out("unsupported_shape")


def clicks_left(case: Case) -> None:
    key_points(case)
    for result in case.results:
        result["is_positive"] = True
    case.counted = Counter(prompt=len(case.results))
    case.images = 0


def outside(case: Case) -> None:
    case.results = case.draw("rectangle", "box")
    for result in case.results:
        result["value"]["x"] = 120
    case.leave_out("outside_image")


def no_area(case: Case) -> None:
    case.results = case.draw("rectangle", "box")
    for result in case.results:
        result["value"]["width"] = 0
    case.leave_out("zero_area")


def broken_strokes(case: Case) -> None:
    case.results = case.draw("brush", "paint")
    for result in case.results:
        result["value"]["rle"] = [1, 2, 3]
    case.leave_out("broken_rle")


def unfinished(case: Case) -> None:
    case.annotations = []
    case.leave_out("task_without_annotation", image=True)


def skipped(case: Case) -> None:
    case.annotations = [{**annotation([], 1, 1), "was_cancelled": True}]
    case.leave_out("task_without_annotation", image=True)


def turned_by_exif(case: Case) -> None:
    """Store a photograph on its side; its EXIF turns it upright, as the browser shows it."""
    clean(case)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(case.picture.rgb).rotate(90, expand=True).save(case.path, "JPEG", exif=exif)


FAULTS: tuple[tuple[str, str, int, Callable[[Case], None]], ...] = (
    ("1", "each object as rectangle and as polygon", 6, twins),
    ("2", "all regions carry one id", 5, shared_ids),
    ("3", "negative width and height", 3, negative_sizes),
    ("3", "negative radius", 2, negative_radii),
    ("4", "no type", 4, no_type),
    ("5", "two labels on a region", 5, two_labels_on_a_region),
    ("6", "two <Labels> for one <Rectangle>", 5, two_labels_tags),
    ("7", "another annotator's newer, empty annotation", 5, emptied_by_another),
    ("7", "the same annotator's newer, empty annotation", 1, emptied_by_the_same),
    ("8", "pages in a <Repeater>", 3, pages),
    ("9", "the picture was made smaller", 3, made_smaller),
    ("9", "the picture lost its orientation", 3, turned),
    ("9", "another picture under the name", 3, replaced),
    *(("11", f"an odd place of the address ({kind})", 1, odd_data(kind)) for kind in range(4)),
    ("11", "two other keys", 2, two_addresses),
    ("15", "renamed tag", 3, renamed_tag),
    ("15", "label gone from the config", 2, label_gone),
    ("15", "pixels instead of percent", 3, pixels),
    ("15", "numbers as texts", 2, texts),
    ("15", "no label", 1, no_label),
    ("16", "key points", 1, key_points),
    ("16", "bitmasks", 1, bitmasks),
    ("19", "a photograph on its side", 2, turned_by_exif),
    ("", "the picture is not there", 3, not_there),
    ("", "the file is no picture", 1, not_readable),
    ("", "a click left in the annotation", 1, clicks_left),
    ("", "outside the image", 1, outside),
    ("", "no width", 1, no_area),
    ("", "broken strokes", 1, broken_strokes),
    ("", "no annotation", 2, unfinished),
    ("", "skipped", 1, skipped),
)
HOPELESS = (renamed_tag, label_gone, pixels, texts, key_points, not_there, two_addresses, unfinished)


def annotation(results: list[Json], annotator: int, hour: int) -> Json:
    moment = f"2026-01-31T{hour:02d}:00:00Z"
    return {
        "id": hour,
        "completed_by": annotator,
        "created_at": moment,
        "updated_at": moment,
        "result": results,
    }


def write(path: Path, rgb) -> None:
    assert cv2.imwrite(str(path), rgb[:, :, ::-1])


def make_cases(folder: Path, address: str, faults, count: int) -> list[tuple[str, str, Case]]:
    """Return row, fault and case of each task; clean ones make up the number."""
    wanted = [(row, what, spoil) for row, what, number, spoil in faults for _ in range(number)]
    wanted += [("", "clean", clean)] * (count - len(wanted))
    cases = []
    for number, (picture, (row, what, spoil)) in enumerate(
        zip(draw_pictures(count, 3, SIZE_WH), wanted, strict=True)
    ):
        name = f"{number}{'x' * (number % 3)}.jpg"
        case = Case(picture, name, f"{address}/{name}", folder)
        write(case.path, picture.rgb)
        spoil(case)
        cases.append((row, what, case))
    return cases


def task_of(number: int, case: Case) -> Json:
    annotations = [annotation(case.results, 1, 1)] if case.annotations is None else case.annotations
    return {"id": 1001 + number, "data": case.data or {"image": case.url}, "annotations": annotations}
