"""Any export is read back as what was drawn: objects, their JSON as Label Studio writes it, what is read.

Drawn are labeling configs of all tags, plain and with labels and aliases, one page or several, objects of
several labels and in two tags, annotators who agree or left nothing, ids of every form, images of any size.
Written beside the objects, as the editor does, are texts and choices of regions, relations, skipped
annotations; results and annotations come in any order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from backend.core.geometry.instances import ImageSize
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.regions.brush_rle import encode_brush_rle
from backend.core.regions.kinds import KINDS
from backend.service.panel.label_statistics import count_labels
from tests.editor_masks import mask_url, ring_of

LEARNED = {kind.name: kind for kind in KINDS if kind.draws_objects}
LABELS = ("Red", "b", "Grün 🌱", "a/b")
VALUES = {"b": "Blue"}  # of the label that has an alias


def label_tags(labels):
    named = ((VALUES.get(label, label), f' alias="{label}"' if label in VALUES else "") for label in labels)
    return "".join(f'<Label value="{value}"{alias}/>' for value, alias in named)


@dataclass(frozen=True)
class Tag:
    """A control tag; groups: for a plain one the names and labels of the `<Labels>` beside it."""

    name: str
    kind: str
    is_plain: bool
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    takes_several: bool


@dataclass(frozen=True)
class Drawn:
    """An object in one tag: where it was drawn, its box in pixels, its labels by group."""

    tag: Tag
    page: int
    box: tuple[int, int, int, int]
    labels: tuple[tuple[str, tuple[str, ...]], ...]
    region_id: str | int | None

    @property
    def all_labels(self):
        return tuple(label for _, labels in self.labels for label in labels)


@dataclass
class Export:
    """What was drawn, each object in one tag or in two, and the task as it is written."""

    config: str
    task: dict
    size: ImageSize
    objects: list[list[Drawn]] = field(default_factory=list)
    pages: int = 1

    @property
    def drawings(self):
        return [drawing for drawings in self.objects for drawing in drawings]


@st.composite
def tags(draw):
    """Draw one or two control tags of different kinds; plain tags share the `<Labels>` of the image."""
    kinds = draw(st.lists(st.sampled_from(sorted(LEARNED)), min_size=1, max_size=2, unique=True))
    shared = (("kind", LABELS[:2]), ("state", LABELS[2:]))[: draw(st.integers(1, 2))]
    several = draw(st.booleans())
    found = []
    for kind in kinds:
        is_plain = draw(st.booleans())
        groups = shared if is_plain else ((f"tag-{kind}", LABELS),)
        found.append(Tag(f"tag-{kind}", kind, is_plain, groups, several))
    return found


def config_of(control_tags, is_list):
    image = '<Image name="img" valueList="$pages"/>' if is_list else '<Image name="img" value="$pages"/>'
    written = [image]
    choice = ' choice="multiple"' if control_tags[0].takes_several else ""
    for tag in control_tags:
        title = LEARNED[tag.kind].title
        if tag.is_plain:
            written.append(f'<{title} name="{tag.name}" toName="img"/>')
        else:
            inner = label_tags(LABELS)
            written.append(f'<{title}Labels name="{tag.name}" toName="img"{choice}>{inner}</{title}Labels>')
    for name, labels in next((tag.groups for tag in control_tags if tag.is_plain), ()):
        inner = label_tags(labels)
        written.append(f'<Labels name="{name}" toName="img"{choice}>{inner}</Labels>')
    written.append('<Choices name="quality" toName="img" perRegion="true"><Choice value="good"/></Choices>')
    written.append('<TextArea name="note" toName="img" perRegion="true"/>')
    return f"<View>{''.join(written)}</View>"


@st.composite
def boxes(draw, size, count):
    """Draw boxes that lie apart, each in its own column, so that no two can be taken for one object."""
    column = size.width // max(count, 1)
    found = []
    for number in range(count):
        left = number * column + draw(st.integers(0, column // 3))
        top = draw(st.integers(0, size.height // 3))
        right = draw(st.integers(left + 6, (number + 1) * column - 1))
        found.append((left, top, right, draw(st.integers(top + 6, size.height))))
    return found


def geometry(kind, box, size, is_dragged):
    left, top, right, bottom = box
    x, x2 = 100 * left / size.width, 100 * right / size.width
    y, y2 = 100 * top / size.height, 100 * bottom / size.height
    if kind == "rectangle":
        if is_dragged:
            return {"x": x2, "y": y2, "width": x - x2, "height": y - y2, "rotation": 0}
        return {"x": x, "y": y, "width": x2 - x, "height": y2 - y, "rotation": 0}
    if kind == "ellipse":
        sign = -1 if is_dragged else 1
        radii = {"radiusX": sign * (x2 - x) / 2, "radiusY": (y2 - y) / 2}
        return {"x": (x + x2) / 2, "y": (y + y2) / 2, **radii, "rotation": 0}
    if kind == "vector":
        return ring_of((x, y), (x2, y), (x2, y2), (x, y2))
    if kind == "polygon":
        return {"points": [[x, y], [x2, y], [x2, y2], [x, y2]], "closed": True}
    mask = np.zeros((size.height, size.width), dtype=bool)
    mask[top:bottom, left:right] = True
    if kind == "bitmask":
        return {"imageDataURL": mask_url(mask)}
    return {"format": "rle", "rle": encode_brush_rle(mask)}


@st.composite
def results_of(draw, thing, size, is_list):
    """Draw the results of an object as the editor writes them: its shape, its labels, what it says beside."""
    kind = LEARNED[thing.tag.kind]
    value = geometry(kind.name, thing.box, size, draw(st.booleans()))
    common = {
        "to_name": "img",
        "original_width": size.width,
        "original_height": size.height,
        "image_rotation": 0,
        "origin": draw(st.sampled_from(["manual", "prediction", "prediction-changed"])),
    }
    if thing.region_id is not None:
        common["id"] = thing.region_id
    if is_list or draw(st.booleans()):
        common["item_index"] = thing.page
    if not thing.tag.is_plain:
        value = {**value, kind.labels_tag: draw(written_labels(thing.all_labels))}
        written = [{**common, "from_name": thing.tag.name, "type": kind.labels_tag, "value": value}]
    else:
        written = [{**common, "from_name": thing.tag.name, "type": kind.name, "value": value}]
        for name, labels in thing.labels:
            of_group = {**value, "labels": draw(written_labels(labels))}
            written.append({**common, "from_name": name, "type": "labels", "value": of_group})
    if thing.region_id is not None and draw(st.booleans()):
        said = {**value, "choices": ["good"]}
        written.append({**common, "from_name": "quality", "type": "choices", "value": said})
    if thing.region_id is not None and draw(st.booleans()):
        said = {**value, "text": ["a note"]}
        written.append({**common, "from_name": "note", "type": "textarea", "value": said})
    for result in written[1:]:
        if draw(st.integers(0, 5)) == 0:
            del result["type"]
    if draw(st.integers(0, 5)) == 0:
        del written[0]["type"]
    return written


@st.composite
def labels_of(draw, tag):
    several = 2 if tag.takes_several else 1
    groups = draw(st.lists(st.sampled_from(tag.groups), min_size=1, max_size=len(tag.groups), unique=True))
    return tuple(
        (name, tuple(draw(st.lists(st.sampled_from(labels), min_size=1, max_size=several, unique=True))))
        for name, labels in groups
    )


def written_labels(labels):
    """Draw the labels as they stand in a result: the editor writes the alias, imports may hold the value."""
    return st.tuples(*(st.sampled_from([label, VALUES.get(label, label)]) for label in labels)).map(list)


def id_of(form, tag, own):
    """Return a region's id; a plain tag's labels need one, and strokes of one id are one area."""
    if form == "none" and not tag.is_plain:
        return None
    if form == "one for all" and not LEARNED[tag.kind].joins_parts:
        return "result1"
    return own if form == "number" else f"r{own}"


def in_other_tag(drawing, tag, region_id):
    """Return the same object drawn in another tag; None where that does not have its labels."""
    by_group = tuple(
        (name, tuple(label for label in labels if label in drawing.all_labels)) for name, labels in tag.groups
    )
    known = tuple((name, labels) for name, labels in by_group if labels)
    twin = replace(drawing, tag=tag, labels=known, region_id=region_id)
    return twin if set(twin.all_labels) == set(drawing.all_labels) else None


@st.composite
def exports(draw):
    size = ImageSize(draw(st.integers(60, 400)), draw(st.integers(30, 200)))
    control_tags = draw(tags())
    pages = draw(st.integers(1, 3))
    is_list = pages > 1 or draw(st.booleans())
    form = draw(st.sampled_from(["own", "number", "none", "one for all"]))
    objects = []
    for page in range(pages):
        for number, box in enumerate(draw(boxes(size, draw(st.integers(0, size.width // 30))))):
            own = 200 * page + 2 * number
            tag, *others = draw(st.permutations(control_tags))
            drawings = [Drawn(tag, page, box, draw(labels_of(tag)), id_of(form, tag, own))]
            if others and draw(st.booleans()):
                twin = in_other_tag(drawings[0], others[0], id_of(form, others[0], own + 1))
                drawings += [twin] if twin else []
            objects.append(drawings)
    export = Export(config_of(control_tags, is_list), {}, size, objects, pages)
    grouped = [draw(results_of(drawing, size, is_list)) for drawing in export.drawings]
    results = [result for group in draw(st.permutations(grouped)) for result in draw(st.permutations(group))]
    if results and draw(st.booleans()):
        results.append({"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"})
    annotations = [annotation(7, 3, results, day=2), *draw(other_annotations(results))]
    names = [f"{page}.png" for page in range(pages)]
    data = {"pages": names if is_list else names[0]}
    task = {"id": draw(st.integers(1, 999)), "data": data, "annotations": draw(st.permutations(annotations))}
    event(f"ids: {form}, tags: {'+'.join(sorted(tag.kind for tag in control_tags))}")
    export.task = json.loads(json.dumps(task, allow_nan=False))
    return export


def annotation(id_, annotator, results, *, day, **more):
    moment = f"2026-01-{day:02}T10:00:00.000000Z"
    return {
        "id": id_,
        "completed_by": annotator,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": moment,
        "updated_at": moment,
        "lead_time": 3.2,
        "result": results,
        **more,
    }


@st.composite
def other_annotations(draw, results):
    """Draw annotations that do not count: skipped ones, and older ones of the same annotator or another."""
    found = []
    if draw(st.booleans()):
        found.append(annotation(8, 4, results[:1], day=9, was_cancelled=True))
    if draw(st.booleans()):
        found.append(annotation(5, 3, [], day=1))
    if results and draw(st.booleans()):
        found.append(annotation(9, 6, [], day=8))  # somebody else's newer one, which is empty
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(exports())
def test_what_was_drawn_is_read_back(export):
    config = parse_label_config(export.config)
    annotated = annotated_task(export.task, config)
    assert annotated.annotation_id == 7 and len(annotated.pages) == export.pages
    assert annotated.unusable == shared_ids(export)
    for number, page in enumerate(annotated.pages):
        built = build_target(page.regions, config.labels, export.size)
        assert not built.unusable
        check_page([each for each in export.objects if each[0].page == number], built.target, config)
    counted = count_labels([export.task], config)
    assert counted["total"] == len(export.objects)
    labels = [label for drawings in export.objects for label in drawings[0].all_labels]
    for entry in counted["labels"]:
        assert entry["shapes"] + entry["painted"] == labels.count(entry["label"])


def shared_ids(export):
    """Return how many drawings have the id of another one of their page, as it is counted."""
    pages = [drawing.page for drawing in export.drawings if drawing.region_id == "result1"]
    extra = len(pages) - len(set(pages))
    return {"shared_id": extra} if extra else {}


def check_page(objects, target, config):
    assert target.object_count == len(objects)
    for drawings in objects:
        box, kinds = drawings[0].box, {drawing.tag.kind for drawing in drawings}
        rows = [row for row in range(len(target)) if np.abs(target.boxes_xyxy_px[row] - box).max() <= 1.01]
        assert {config.labels[target.label_indices[row]] for row in rows} == set(drawings[0].all_labels)
        assert len({target.object_of_row[row] for row in rows}) == 1
        mask = target.masks[rows[0]]
        assert (mask is None) == (kinds == {"rectangle"})
        if kinds & {"polygon", "vector", "brush", "bitmask"}:
            left, top, right, bottom = box
            assert mask.area_px == (right - left) * (bottom - top)
