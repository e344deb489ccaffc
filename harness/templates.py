"""Label Studio's own image templates, and tasks labelled as each of them asks.

The control tags of each config are those of the template of that name; headers and styles are left out.
`controls_of` compares a config with the template of an installed Label Studio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from demo.pictures import Picture, Thing, region_of

Json = dict[str, Any]
Store = Callable[[Picture], str]
"""Keeps a picture and returns the reference that a task has of it."""

COMPUTER_VISION, COMMUNITY, RANKING = "computer-vision", "community-contributions", "ranking-and-scoring"
_NOT_CONTROLS = frozenset(("view", "header", "style", "label", "choice", "text", "hypertext"))
_CARS = '<Label value="Airplane"/><Label value="Car"/>'
_BIRADS = (
    "0 - Incomplete",
    "1 - Negative",
    "2 - Benign",
    "3 - Probably Benign",
    "4 - Suspicious Abnormality",
    "5 - Highly Suggestive of Malignancy",
    "6 - Known Biopsy-Proven Malignancy",
)
_DENSITY = (
    "A - Almost entirely fatty",
    "B - Scattered fibroglandular densities",
    "C - Heterogeneously dense",
    "D - Extremely dense",
)
_FINDINGS = ("Mass", "Calcifications", "Architectural Distortion", "Asymmetry", "Skin/Nipple Retraction")


@dataclass(frozen=True)
class Template:
    """One template: its folder in Label Studio, its controls, and what tasks carry beside pictures.

    predicts: the types of the results that predictions have after a training on `labelled_task`s; none where
    there is nothing that this backend learns. pages: under which keys of a task pictures are; a key that ends
    in [] has a list.
    """

    name: str
    config: str
    predicts: frozenset[str]
    pages: tuple[str, ...] = ("image",)
    data: Mapping[str, Any] = field(default_factory=dict)
    group: str = COMPUTER_VISION

    @property
    def is_learned(self) -> bool:
        """Tell whether anything in it is learned."""
        return bool(self.predicts)

    @property
    def places(self) -> range:
        """The `item_index` of each picture, where a task has a list of them; else none."""
        return range(len(self.pages) if self.pages[0].endswith("[]") else 0)

    def installed(self, label_studio: Path) -> str:
        """Return the config of the template in the package `label_studio` at that path."""
        text = (label_studio / "annotation_templates" / self.group / self.name / "config.yml").read_text()
        return str(yaml.safe_load(text)["config"])

    def task(self, pictures: Sequence[Picture], store: Store) -> Json:
        """Return a task that shows these pictures, one for each of its pages."""
        data: Json = dict(self.data)
        for key, picture in zip(self.pages, pictures, strict=True):
            if key.endswith("[]"):
                data.setdefault(key[:-2], []).append(store(picture))
            else:
                data[key] = store(picture)
        return {"data": data}

    def labelled_task(self, number: int, pictures: Sequence[Picture], store: Store) -> Json:
        """Return a task with everything labelled that the config asks; number: chooses among options.

        Of a list every picture is labelled, else the first.
        """
        results = self.results(number, pictures[0])
        if self.places:
            results = [
                {**result, "id": f"{result['id']}-{place}", "item_index": place}
                for place, picture in enumerate(pictures)
                for result in self.results(number, picture)
            ]
        return {**self.task(pictures, store), "annotations": [{"result": results}]}

    def results(self, number: int, picture: Picture) -> list[Json]:
        """Return the results of an annotation of the first picture."""
        root = ElementTree.fromstring(self.config)
        image = next(element.get("name", "") for element in root.iter("Image"))
        results = []
        for element in root.iter():
            shape = element.tag.removesuffix("Labels").lower()
            if element.tag.endswith("Labels") and shape:
                results += list(self._labelled_regions(element, shape, image, picture))
            elif element.tag == "Rectangle":
                results += list(_regions_with_text(root, element.get("name", ""), image, picture))
            elif element.tag == "Choices":
                options = [choice.get("value") for choice in element.iter("Choice")]
                value = {"choices": [options[number % len(options)]]}
                results.append(_result(element, element.get("toName", "").split(",")[0], "choices", value))
            elif element.tag == "Rating":
                stars = {"rating": 1 + number % 5}
                results.append(_result(element, element.get("toName", "").split(",")[0], "rating", stars))
        texts = [element for element in root.iter("TextArea") if element.get("perRegion") == "true"]
        if texts and not any(result["type"] == "textarea" for result in results):
            results += [_text(texts[0].get("name", ""), region, image) for region in list(results)]
        return results

    def _labelled_regions(
        self, control: ElementTree.Element, shape: str, image: str, picture: Picture
    ) -> Iterator[Json]:
        key = control.get("value", "").removeprefix("$")
        named = [one["value"] for one in self.data.get(key, ())] or [e.get("value") for e in control]
        name = control.get("name", "")
        for count, thing in enumerate(picture.things):
            label = str(named[count % len(named)])
            region_id = f"{name}-{count}"
            if shape == "keypoint":
                rows, columns = thing.mask.nonzero()
                height, width = thing.mask.shape
                value = {"x": 100 * columns.mean() / width, "y": 100 * rows.mean() / height, "width": 1}
                value["keypointlabels"] = [label]
                size = {"original_width": width, "original_height": height, "image_rotation": 0}
                yield {**_result(control, image, "keypointlabels", value), **size, "id": region_id}
            else:
                yield {"id": region_id, **region_of(Thing(label, thing.mask), shape, name, image)}


def _regions_with_text(root: ElementTree.Element, name: str, image: str, picture: Picture) -> Iterator[Json]:
    """Yield rectangles with a label and a text each, three results of one id."""
    labels = next(root.iter("Labels"))
    text = next(element.get("name", "") for element in root.iter("TextArea"))
    for count, thing in enumerate(picture.things):
        drawn = region_of(thing, "rectangle", name, image)
        place = {key: value for key, value in drawn["value"].items() if key != "rectanglelabels"}
        shape = {**drawn, "id": f"{name}-{count}", "type": "rectangle", "value": place}
        chosen = [labels[count % len(labels)].get("value")]
        yield shape
        yield {
            **shape,
            "from_name": labels.get("name"),
            "type": "labels",
            "value": {**place, "labels": chosen},
        }
        yield _text(text, shape, image)


def _text(name: str, region: Json, image: str) -> Json:
    place = {key: value for key, value in region["value"].items() if not key.endswith("labels")}
    same = {key: value for key, value in region.items() if key not in ("from_name", "type", "value")}
    return {
        **same,
        "from_name": name,
        "to_name": image,
        "type": "textarea",
        "value": {**place, "text": ["ab"]},
    }


def _result(control: ElementTree.Element, to_name: str, kind: str, value: Json) -> Json:
    return {"from_name": control.get("name"), "to_name": to_name, "type": kind, "value": value}


def controls_of(config: str) -> set[tuple[str, ...]]:
    """Return the image and control tags of a config: tag, name, toName, source, and the options in it."""
    found = set()
    for element in ElementTree.fromstring(config).iter():
        tag = element.tag.lower() if isinstance(element.tag, str) else "view"
        if tag in _NOT_CONTROLS:
            continue
        source = element.get("value") or element.get("valueList") or ""
        options = tuple(child.get("value", "") for child in element)
        asks = (element.get("perRegion", ""), element.get("choice", ""))
        found.add((tag, element.get("name", ""), element.get("toName", ""), source, *asks, *options))
    return found


def _choices(name: str, options: Iterable[str], choice: str = "single") -> str:
    inside = "".join(f'<Choice value="{option}"/>' for option in options)
    views = "left_cc,right_cc,left_mlo,right_mlo"
    return f'<Choices name="{name}" toName="{views}" choice="{choice}">{inside}</Choices>'


def _named(key: str, *values: str) -> dict[str, list[dict[str, str]]]:
    return {key: [{"value": value} for value in values]}


TEMPLATES: tuple[Template, ...] = (
    Template(
        "image-captioning",
        '<View><Image name="image" value="$captioning"/><TextArea name="caption" toName="image"/></View>',
        frozenset(),
        pages=("captioning",),
    ),
    Template(
        "image-classification",
        '<View><Image name="image" value="$image"/><Choices name="choice" toName="image">'
        '<Choice value="Adult content"/><Choice value="Weapons"/><Choice value="Violence"/></Choices></View>',
        frozenset(("choices",)),
    ),
    Template(
        "inventory-tracking",
        '<View><PolygonLabels name="objects" toName="image" value="$objects"/>'
        '<Image name="image" value="$image"/></View>',
        frozenset(("polygonlabels",)),
        data=_named("objects", "Can", "Bottle", "Box"),
    ),
    Template(
        "keypoints",
        '<View><KeyPointLabels name="kp-1" toName="img-1"><Label value="Face"/><Label value="Nose"/>'
        '</KeyPointLabels><Image name="img-1" value="$img"/></View>',
        frozenset(("keypointlabels",)),
        pages=("img",),
    ),
    Template(
        "medical-image-classification-with-bboxes",
        '<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">'
        '<Label value="Tumor"/></RectangleLabels><Choices name="classification" toName="image">'
        '<Choice value="Benign"/><Choice value="Malignant"/><Choice value="Normal"/></Choices></View>',
        frozenset(("rectanglelabels", "choices")),
    ),
    Template(
        "multipage-documents",
        '<View><RectangleLabels name="rectangles" toName="pdf"><Label value="Title"/><Label value="Date"/>'
        '<Label value="Author"/><Label value="Organization"/><Label value="Amount"/></RectangleLabels>'
        '<Image valueList="$pages" name="pdf"/></View>',
        frozenset(("rectanglelabels",)),
        pages=("pages[]", "pages[]"),
    ),
    Template(
        "object-detection-with-bounding-boxes",
        f'<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">{_CARS}'
        "</RectangleLabels></View>",
        frozenset(("rectanglelabels",)),
    ),
    Template(
        "optical-character-recognition",
        '<View><Image name="image" value="$ocr"/><Labels name="label" toName="image"><Label value="Text"/>'
        '<Label value="Handwriting"/></Labels><Rectangle name="bbox" toName="image"/>'
        '<Polygon name="poly" toName="image"/>'
        '<TextArea name="transcription" toName="image" perRegion="true"/></View>',
        frozenset(("rectangle", "labels", "textarea")),
        pages=("ocr",),
    ),
    Template(
        "pdf_ocr",
        '<View><OcrLabels name="ocr" toName="pdf"><Label value="Typo"/><Label value="Incorrect Amount"/>'
        '<Label value="Incorrect Name"/></OcrLabels><Pdf name="pdf" value="$pdf"/></View>',
        frozenset(),
        pages=("pdf",),
    ),
    Template(
        "semantic-segmentation-with-masks",
        f'<View><Image name="image" value="$image"/><BrushLabels name="tag" toName="image">{_CARS}'
        "</BrushLabels></View>",
        frozenset(("brushlabels",)),
    ),
    Template(
        "semantic-segmentation-with-polygons",
        f'<View><Image name="image" value="$image"/><PolygonLabels name="label" toName="image">{_CARS}'
        "</PolygonLabels></View>",
        frozenset(("polygonlabels",)),
    ),
    Template(
        "visual-genome",
        '<View><RectangleLabels name="regions" toName="image" value="$regions"/>'
        '<RectangleLabels name="attributes" toName="image" value="$attributes"/>'
        '<RectangleLabels name="relationships" toName="image" value="$relationships"/>'
        '<Image name="image" value="$image"/></View>',
        frozenset(("rectanglelabels",)),
        data={
            **_named("regions", "a coin on the ground", "a leaf", "a star beside it"),
            **_named("attributes", "coin is round", "leaf is green"),
            **_named("relationships", "coin ON ground", "star BESIDE leaf"),
        },
    ),
    Template(
        "visual-question-answering",
        '<View><Image name="image" value="$image"/><Labels name="aspect" toName="q1">'
        + "".join(
            f'<Label value="{value}"/>'
            for value in (
                "attribute identification",
                "counting",
                "comparison",
                "multiple attention",
                "logical operations",
            )
        )
        + "</Labels>"
        + "".join(
            f'<Text name="q{k}" value="$q{k}"/><TextArea name="answer{k}" toName="q{k}"/>'
            for k in range(1, 5)
        )
        + "</View>",
        frozenset(),
        data={f"q{k}": "How many?" for k in range(1, 5)},
    ),
    Template(
        "ocr-invoices-pre-ner-bio-format",
        '<View><Image name="image" value="$image"/>'
        '<RectangleLabels name="label" toName="image" choice="single"><Label value="O"/></RectangleLabels>'
        '<TextArea name="transcription" toName="image" perRegion="true"/></View>',
        frozenset(("rectanglelabels", "textarea")),
        group=COMMUNITY,
    ),
    Template(
        "breast-cancer-mammogram-classification",
        "<View>"
        + "".join(
            f'<Image name="{name}" value="${key}"/>'
            for name, key in (
                ("left_cc", "img1"),
                ("right_cc", "img3"),
                ("left_mlo", "img2"),
                ("right_mlo", "img4"),
            )
        )
        + "".join(
            _choices(f"birads_{side}", _BIRADS)
            + _choices(f"density_{side}", _DENSITY)
            + _choices(f"findings_{side}", _FINDINGS, "multiple")
            for side in ("left", "right")
        )
        + '<TextArea name="notes" toName="left_cc,right_cc,left_mlo,right_mlo"/></View>',
        frozenset(("choices",)),
        pages=("img1", "img2", "img3", "img4"),
        group=COMMUNITY,
    ),
    Template(
        "content-based-image-search",
        "<View>"
        + "".join(
            f'<Image name="{name}" value="${key}"/>'
            for name, key in (
                ("query", "query_image"),
                ("image1", "image1"),
                ("image2", "image2"),
                ("image3", "image3"),
            )
        )
        + '<Choices name="similar" toName="query" required="true" choice="multiple"><Choice value="One"/>'
        '<Choice value="Two"/><Choice value="Three"/></Choices></View>',
        frozenset(("choices",)),
        pages=("query_image", "image1", "image2", "image3"),
        group=RANKING,
    ),
    Template(
        "pairwise-regression",
        '<View><Rating name="rating" toName="image1,image2"/><Image name="image1" value="$image1"/>'
        '<Image name="image2" value="$image2"/></View>',
        frozenset(("rating",)),
        pages=("image1", "image2"),
        group=RANKING,
    ),
)
"""All image templates of Label Studio 1.23, two that its community gave, and two that rank images."""
