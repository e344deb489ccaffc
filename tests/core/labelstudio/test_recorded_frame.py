import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize, MaskPatch
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.recorded_frame import Fit, can_be_turned_back, fit_of, turned_back
from backend.core.regions.kind import Drawn


@pytest.mark.parametrize(
    ("recorded", "size", "fit"),
    [
        pytest.param(None, (320, 240), Fit.SAME, id="not recorded"),
        pytest.param((320, 240), (320, 240), Fit.SAME, id="equal"),
        pytest.param((320, 240), (4000, 3000), Fit.SAME, id="smaller"),
        pytest.param((4000, 3000), (320, 240), Fit.SAME, id="larger"),
        pytest.param((1024, 683), (3000, 2000), Fit.SAME, id="smaller, rounded up"),
        pytest.param((1024, 682), (3000, 2000), Fit.SAME, id="smaller, cut off"),
        pytest.param((33, 25), (4000, 3000), Fit.SAME, id="a thumbnail"),
        pytest.param((321, 240), (320, 240), Fit.SAME, id="a pixel more"),
        pytest.param((100, 100), (100, 100), Fit.SAME, id="square"),
        pytest.param((240, 320), (320, 240), Fit.TURNED, id="turned"),
        pytest.param((240, 320), (640, 480), Fit.OTHER, id="turned, of another size"),
        pytest.param((320, 320), (320, 240), Fit.OTHER, id="another shape"),
        pytest.param((320, 240), (320, 200), Fit.OTHER, id="cut"),
        pytest.param((1920, 1088), (1920, 1080), Fit.OTHER, id="eight rows more"),
    ],
)
def test_how_a_recorded_size_fits(recorded, size, fit):
    assert fit_of(None if recorded is None else ImageSize(*recorded), ImageSize(*size)) is fit


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        pytest.param(1, lambda a: np.rot90(a), id="the file has lost its orientation"),
        pytest.param(6, lambda a: np.rot90(a, -1), id="drawn on the file as it is stored, turned right"),
        pytest.param(8, lambda a: np.rot90(a), id="drawn on the file as it is stored, turned left"),
    ],
)
def test_regions_lie_on_the_same_pixels_as_before(orientation, turn):
    before = np.zeros((6, 10), bool)
    before[1:3, 2:7] = True
    before[1, 2] = False
    drawn = Drawn(np.array([2, 1, 7, 3], np.float32), MaskPatch.from_full(before))
    turned = turned_back(drawn, ImageSize(10, 6), orientation)
    after = turn(before)
    rows, columns = np.nonzero(turn(before | (np.pad(np.ones((2, 5), bool), ((1, 3), (2, 3))))))
    assert turned.box_xyxy_px.tolist() == [
        columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    ]  # fmt: skip
    assert np.array_equal(turned.mask.full(ImageSize(6, 10)), after)


def test_a_box_without_mask_turns_too():
    drawn = Drawn(np.array([2, 1, 7, 3], np.float32), None)
    assert turned_back(drawn, ImageSize(10, 6), 1).mask is None


def test_mirrored_files_are_not_guessed_at():
    assert [orientation for orientation in range(1, 9) if not can_be_turned_back(orientation)] == [5, 7]


REGIONS = {
    "rectanglelabels": {"x": 10, "y": 10, "width": 20, "height": 40, "rotation": 0},
    "polygonlabels": {"points": [[10, 10], [30, 10], [30, 50], [10, 50]]},
    "ellipselabels": {"x": 20, "y": 30, "radiusX": 10, "radiusY": 20, "rotation": 0},
}


@pytest.mark.parametrize("kind", sorted(REGIONS))
def test_every_kind_is_turned(kind):
    tag = {"rectanglelabels": "RectangleLabels", "polygonlabels": "PolygonLabels"}.get(kind, "EllipseLabels")
    config = parse_label_config(
        f'<View><Image name="i" value="$image"/><{tag} name="r" toName="i"><Label value="A"/></{tag}></View>'
    )
    region = {
        "id": "1", "from_name": "r", "to_name": "i", "type": kind,
        "original_width": 100, "original_height": 200,
        "value": {**REGIONS[kind], kind: ["A"]},
    }  # fmt: skip
    task = {"data": {"image": "a.png"}, "annotations": [{"id": 1, "result": [region]}]}
    (page,) = annotated_task(task, config).pages
    (box,) = build_target(page.regions, ("A",), ImageSize(200, 100)).target.boxes_xyxy_px.tolist()
    assert box == pytest.approx([20, 70, 100, 90], abs=1.01)
