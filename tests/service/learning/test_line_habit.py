import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize, TrainingTarget
from backend.core.text.lines import LineHabit
from backend.errors import ImageNotFound, TextReadingError
from backend.service.jobs.jobs import RunningJob
from backend.service.learning import line_habit
from backend.service.learning.line_habit import MOST_IMAGES, learn_line_habit
from backend.service.text.reading import TextReading
from backend.training.inputs import TrainingSample
from tests.fakes.images import FakeImages
from tests.fakes.lease import FakeLease
from tests.fakes.services import make_services
from tests.fakes.tasks import RECTANGLES, annotated, rectangle
from tests.fakes.text import FakeReader, page_with

KEY = "7.1763750000"
BARS = [(10, 10, 60, 22, 10), (10, 40, 90, 52, 20), (10, 70, 90, 82, 30)]


def sample(task_id, *boxes, labels=None, load=lambda: page_with(*BARS)):
    target = TrainingTarget(
        ImageSize(200, 100),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels or [0] * len(boxes), np.int64),
        (None,) * len(boxes),
    )
    return TrainingSample(task_id, load, target)


@pytest.mark.parametrize(
    ("boxes", "labels", "learned"),
    [
        ([(10, 10, 60, 22), (8, 38, 92, 54)], [1, 1], "Line"),
        ([(10, 10, 60, 22), (10, 40, 90, 52), (10, 70, 90, 82)], [0, 1, 1], "Line"),
        ([(10, 10, 60, 22)], [1], None),
        ([(10, 10, 60, 22), (10, 40, 90, 52), (100, 0, 190, 90)], [0, 1, 0], None),
        ([(0, 0, 200, 100)], [0], None),
        ([], [], None),
    ],
)
def test_a_label_is_that_of_lines_where_most_lines_have_it(boxes, labels, learned):
    reading = TextReading(FakeReader())
    habit = learn_line_habit(reading, [sample(1, *boxes, labels=labels)], ("Field", "Line"))
    assert (habit and habit.label) == learned


def test_the_sides_are_those_that_people_draw():
    tight = [(10 + 3, 10 + 3, 60 - 6, 22 - 3), (10 + 3, 40 + 3, 90 - 6, 52 - 3)]
    habit = learn_line_habit(TextReading(FakeReader()), [sample(1, *tight)], ("Line",))
    assert habit == LineHabit("Line", (0.25, 0.25, -0.5, -0.25))


def missing():
    raise ImageNotFound("gone")


def test_images_that_cannot_be_had_and_a_broken_engine_cost_nothing_but_themselves():
    good = sample(1, (10, 10, 60, 22), (10, 40, 90, 52))
    assert learn_line_habit(
        TextReading(FakeReader()), [sample(2, load=missing), good], ("Line",)
    ) == LineHabit("Line")
    reader = FakeReader()
    reader.failure = TextReadingError("broken")
    assert learn_line_habit(TextReading(reader), [good], ("Line",)) is None
    assert learn_line_habit(TextReading(None, "not there"), [good], ("Line",)) is None


def test_only_some_images_are_looked_at_and_for_a_while(monkeypatch):
    looked: list[int] = []

    def at(number):
        return lambda: looked.append(number) or page_with(*BARS)

    samples = [sample(k, (10, 10, 60, 22), load=at(k)) for k in range(100)]
    learn_line_habit(TextReading(FakeReader()), samples, ("Line",))
    assert len(looked) == MOST_IMAGES
    assert (looked[0], looked[-1]) == (0, 99)
    looked.clear()
    monkeypatch.setattr(line_habit, "WITHIN_S", 2.5)
    seconds = iter(range(100))
    learn_line_habit(TextReading(FakeReader()), samples, ("Line",), clock=lambda: next(seconds))
    assert len(looked) == 2


@pytest.mark.parametrize(("attribute", "learned"), [("perRegion", LineHabit("Cat")), ("other", None)])
def test_a_version_knows_the_label_of_lines_where_their_text_is_wanted(tmp_path, attribute, learned):
    config = RECTANGLES.replace(
        "</View>", f'<TextArea name="said" toName="image" {attribute}="true"/></View>'
    )
    size = {"original_width": 200, "original_height": 100}
    places = [{"x": 5, "y": 10, "width": 25, "height": 12}, {"x": 5, "y": 40, "width": 40, "height": 12}]
    regions = [{**rectangle("Cat", **place), **size} for place in places]
    images = FakeImages({"1.png": page_with(*BARS)})
    services = make_services(tmp_path, images=images, text=TextReading(FakeReader()))
    job_id = services.backend.trainings.request(KEY, label_config=config, tasks=[annotated(1, *regions)])
    job = RunningJob(services.queue, services.queue.record(job_id), FakeLease())
    outcome = services.run(job)
    assert services.store.card(KEY, outcome.model_version).line_habit == learned
