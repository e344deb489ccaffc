"""A labeling config changes under a trained version, in every way that people change it."""

from __future__ import annotations

import pytest

from backend.core.labelstudio.label_config import parse_label_config
from backend.errors import LabelConfigError, ParameterError, RequestError
from backend.service.predicting.answer import PredictRequest
from tests.fakes.images import FakeImages
from tests.fakes.services import add_version, make_services
from tests.fakes.tasks import RECTANGLES, picture

KEY = "7.1763750000"
TASKS = [{"id": k, "data": {"image": f"{k}.png"}} for k in (1, 2)]
TWO_IMAGES = """
<View>
  <Image name="left" value="$left"/><Image name="right" value="$right"/>
  <RectangleLabels name="a" toName="left"><Label value="Cat"/></RectangleLabels>
  <RectangleLabels name="b" toName="right"><Label value="Dog"/></RectangleLabels>
</View>
"""
PAGES = """
<View>
  <Image name="image" valueList="$pages"/>
  <RectangleLabels name="label" toName="image"><Label value="Cat"/></RectangleLabels>
</View>
"""
VARIANTS = {
    "another shape": RECTANGLES.replace("RectangleLabels", "PolygonLabels"),
    "brush": RECTANGLES.replace("RectangleLabels", "BrushLabels"),
    "ellipse": RECTANGLES.replace("RectangleLabels", "EllipseLabels"),
    "renamed tag": RECTANGLES.replace('name="label"', 'name="other"'),
    "renamed image": RECTANGLES.replace('"image"', '"photo"').replace('value="$image"', 'value="$image"'),
    "another field": RECTANGLES.replace("$image", "$url"),
    "a label less": RECTANGLES.replace('<Label value="Dog"/>', ""),
    "other labels": RECTANGLES.replace("Cat", "Cow").replace("Dog", "Sheep"),
    "odd labels": RECTANGLES.replace("Cat", "&lt;é 名 &amp;").replace("Dog", " "),
    "two images": TWO_IMAGES,
    "pages": PAGES,
    "skipped": RECTANGLES.replace('toName="image"', 'toName="image" model_skip="true"'),
    "threshold": RECTANGLES.replace('toName="image"', 'toName="image" model_score_threshold="2"'),
    "no image": '<View><Text name="t" value="$t"/><TextArea name="c" toName="t"/></View>',
    "points to nothing": RECTANGLES.replace('toName="image"', 'toName="gone"'),
    "no labels": '<View><Image name="image" value="$image"/></View>',
    "empty": "<View/>",
    "cut off": RECTANGLES[:60],
    "no XML": "none",
}


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_changed_config_never_crashes_a_prediction(tmp_path, config):
    services = make_services(tmp_path, images=FakeImages({"1.png": picture(), "2.png": picture()}))
    add_version(services, KEY)
    try:
        entries = services.backend.predictions.predict(PredictRequest(KEY, config, TASKS))
    except RequestError as exc:  # an answer in plain words, for a config that nothing can be predicted for
        assert isinstance(exc, LabelConfigError | ParameterError)
        return
    assert len(entries) == 2
    names = parse_label_config(config).labels
    for region in (region for entry in entries if entry for region in entry["result"]):
        assert set(region["value"].get(region["type"], ())) <= set(names)
