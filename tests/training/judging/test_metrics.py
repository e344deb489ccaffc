from backend.training.judging.metrics import precision_recall, scores_by_label
from tests.learning_found import detections, target


def test_precision_and_recall_count_a_second_hit_as_wrong():
    found = detections([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]], [0.9, 0.8, 0.1])
    truth = target([[0, 0, 10, 10], [80, 80, 90, 90]])
    assert precision_recall([found], [truth], 0.3) == (0.5, 0.5)
    assert precision_recall([found], [truth], 0.95) == (0.0, 0.0)


def test_scores_by_label_count_each_label_alone():
    boxes = [[0, 0, 10, 10], [20, 20, 30, 30]]
    truth = target(boxes)
    found = detections(boxes, [0.9, 0.2])
    by_label = scores_by_label([found], [truth], ["Cat", "Dog"], 0.3)
    assert by_label["Cat"]["recall"] == 0.5 and by_label["Cat"]["precision"] == 1.0
    assert by_label["Cat"]["objects"] == 2
    assert by_label["Dog"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "objects": 0}
