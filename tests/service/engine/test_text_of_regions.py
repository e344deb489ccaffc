import time
from dataclasses import replace

import numpy as np
import pytest

from backend.core.labelstudio.label_config import parse_label_config
from backend.core.text.lines import LineHabit
from backend.errors import TextReadingError
from backend.service.engine.text_lines import TextLines
from backend.service.jobs.jobs import RunningJob
from backend.service.predicting.answer import PredictRequest
from backend.service.projects.projects import Projects
from backend.service.text.reading import TextReading
from harness.templates import TEMPLATES
from tests.fakes.documents import FakeDocuments
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.lease import FakeLease
from tests.fakes.predictor import FakePredictor
from tests.fakes.services import add_version, make_services
from tests.fakes.text import FakeReader, page_with

KEY = "7.1763750000"
CONFIG = """<View><Image name="image" value="$image"/>
  <RectangleLabels name="label" toName="image"><Label value="Text"/></RectangleLabels>
  <TextArea name="transcription" toName="image" perRegion="true"/></View>"""
FIELDS = CONFIG.replace('<Label value="Text"/>', '<Label value="Total"/><Label value="Date"/>')
PAGE = page_with((10, 10, 60, 22, 10), (10, 60, 90, 72, 20), (120, 60, 190, 72, 99))


def services_of(tmp_path, text=None, **changes):
    images = FakeImages({f"{k}.png": PAGE for k in range(1, 9)})
    return make_services(tmp_path, images=images, text=text or TextReading(FakeReader()), **changes)


def lines_of(text, config):
    return TextLines(text, Projects(FakeDocuments())).predictor(KEY, config)


def predict(services, count=1, config=CONFIG):
    tasks = [{"id": k, "data": {"image": f"{k}.png"}} for k in range(1, count + 1)]
    return services.backend.predictions.predict(PredictRequest(KEY, config, tasks))


def texts_of(prediction):
    return [result["value"]["text"][0] for result in prediction["result"] if result["type"] == "textarea"]


@pytest.mark.parametrize("count", [1, 4])
def test_before_any_training_the_lines_of_text_are_proposed(tmp_path, count):
    for prediction in predict(services_of(tmp_path), count):
        assert prediction["model_version"] == "ocr-fake"
        assert prediction["score"] == pytest.approx(0.8)
        assert texts_of(prediction) == ["TOTAL", "12.50"]  # in the third bar nothing can be read
        shapes = [result for result in prediction["result"] if result["type"] == "rectanglelabels"]
        assert [shape["value"]["rectanglelabels"] for shape in shapes] == [["Text"], ["Text"]]
        assert {r["id"] for r in prediction["result"]} == {shape["id"] for shape in shapes}


def test_setup_names_the_lines_of_text_and_a_whole_project_gets_them_in_the_background(tmp_path):
    label_studio = FakeLabelStudio([{"id": k, "data": {"image": f"{k}.png"}} for k in range(1, 4)], CONFIG)
    settings = {"label_studio_url": "http://ls", "label_studio_api_key": "key"}
    services = services_of(tmp_path, label_studio=label_studio, settings=settings)
    assert services.versions.reported(KEY) == "not-trained"
    services.projects.remember(KEY, label_config=CONFIG)
    assert services.versions.reported(KEY) == "ocr-fake"
    services.backend.background.predict_project(KEY)
    [record] = services.queue.records()
    services.queue.jobs[record.job_id] = replace(services.queue.jobs[record.job_id], status="started")
    services.run(RunningJob(services.queue, services.queue.record(record.job_id), FakeLease()))
    assert [texts_of(prediction) for prediction in label_studio.pushed] == [["TOTAL", "12.50"]] * 3
    assert label_studio.model_version == "ocr-fake"


def test_lines_have_no_label_where_several_could_be_meant(tmp_path):
    [prediction] = predict(services_of(tmp_path), config=FIELDS)
    shapes = [result for result in prediction["result"] if result["type"] == "rectanglelabels"]
    assert [shape["value"]["rectanglelabels"] for shape in shapes] == [[], []]
    assert texts_of(prediction) == ["TOTAL", "12.50"]


@pytest.mark.parametrize("label", ["text", "Text", " TEXT "])
def test_a_label_called_text_is_that_of_lines(label):
    config = parse_label_config(FIELDS.replace("Date", label))
    assert lines_of(TextReading(FakeReader()), config).line_habit == LineHabit(label)


def test_label_studio_s_own_template_has_a_label_of_lines():
    [template] = (one for one in TEMPLATES if one.name == "optical-character-recognition")
    lines = lines_of(TextReading(FakeReader()), parse_label_config(template.config))
    assert lines.line_habit == LineHabit("Text")


@pytest.mark.parametrize(
    "config", [CONFIG.replace("perRegion", "other"), CONFIG.replace("<TextArea", "<Other")]
)
def test_nothing_is_proposed_where_no_text_of_regions_is_wanted(tmp_path, config):
    assert predict(services_of(tmp_path), config=config) == [[]]


def test_without_an_engine_nothing_is_proposed_and_the_log_says_what_to_install(tmp_path, caplog):
    services = services_of(tmp_path, TextReading(None, "RapidOCR is not there; install it: pip install"))
    assert predict(services) == [[]]
    services = services_of(
        tmp_path, TextReading(None, "RapidOCR is not there; install it"), predictor=FakePredictor(("Text",))
    )
    add_version(services, KEY, labels=["Text"])
    [prediction] = predict(services)
    assert [result["type"] for result in prediction["result"]] == ["rectanglelabels"]
    predict(services)
    assert caplog.text.count("the text of regions is not read: RapidOCR is not there; install it") == 1


def test_a_trained_version_has_the_text_in_its_boxes(tmp_path):
    services = services_of(tmp_path, predictor=FakePredictor(("Text",)))  # its box is the upper left quarter
    add_version(services, KEY, labels=["Text"])
    [prediction] = predict(services)
    assert prediction["model_version"] == "v1"
    assert texts_of(prediction) == ["TOTAL"]


def test_a_version_that_learned_lines_gets_those_it_missed(tmp_path):
    predictor = FakePredictor(("Text",))
    predictor.line_habit = LineHabit("Text")
    services = services_of(tmp_path, predictor=predictor)
    add_version(services, KEY, labels=["Text"])
    [prediction] = predict(services)
    assert texts_of(prediction) == ["TOTAL", "12.50"]


def test_a_broken_engine_costs_the_text_and_not_the_boxes(tmp_path, caplog):
    reader = FakeReader()
    reader.failure = TextReadingError("the engine is out of order")
    services = services_of(tmp_path, TextReading(reader), predictor=FakePredictor(("Text",)))
    assert predict(services, 3) == [[], [], []]  # before any training there would be no more than text
    add_version(services, KEY, labels=["Text"])
    for prediction in predict(services, 3):
        assert [result["type"] for result in prediction["result"]] == ["rectanglelabels"]
    assert "the engine is out of order" in caplog.text


class SlowReader(FakeReader):
    def find_lines(self, image):
        time.sleep(0.6)
        return super().find_lines(image)


def test_the_deadline_holds_and_the_rest_is_read_in_the_background(tmp_path):
    label_studio = FakeLabelStudio([{"id": k, "data": {"image": f"{k}.png"}} for k in range(1, 7)], CONFIG)
    services = services_of(
        tmp_path,
        TextReading(SlowReader()),
        label_studio=label_studio,
        settings={"predict_deadline_s": 1.0, "label_studio_url": "http://ls", "label_studio_api_key": "key"},
    )
    started = time.monotonic()
    entries = predict(services, 6)
    assert time.monotonic() - started < 3
    assert [] in entries
    [record] = services.queue.records()
    services.queue.jobs[record.job_id] = replace(services.queue.jobs[record.job_id], status="started")
    services.run(RunningJob(services.queue, services.queue.record(record.job_id), FakeLease()))
    assert label_studio.pushed
    assert all(texts_of(prediction) == ["TOTAL", "12.50"] for prediction in label_studio.pushed)
    assert {prediction["model_version"] for prediction in label_studio.pushed} == {"ocr-fake"}


def test_a_thin_line_is_no_object():
    reading = TextReading(FakeReader())
    predictor = lines_of(reading, parse_label_config(CONFIG))
    [nothing] = predictor.predict([PAGE], confidence_threshold=0.3, nms_threshold=0.4)
    found = reading.read(
        np.full((50, 50, 3), 255, np.uint8),
        nothing,
        predictor.labels,
        predictor.line_habit,
        0.3,
        lambda work: work(),
    )
    assert len(found.detections) == 0
    assert found.detections.image_score == 0.0
