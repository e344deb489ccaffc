import pytest

from backend.training.judging.holdout import sample_learned, split_by_task, split_late
from tests.learning_found import target


@pytest.mark.parametrize(("count", "least", "most"), [(1, 0, 0), (19, 0, 0), (20, 2, 5), (1000, 70, 130)])
def test_how_many_are_held_out(count, least, most):
    training, held_out = split_by_task(list(range(count)))
    assert least <= len(held_out) <= most
    assert sorted(training + held_out) == list(range(count))


@pytest.mark.parametrize(("count", "late"), [(1, 0), (7, 0), (8, 2), (10, 2), (19, 4), (20, 0), (500, 0)])
def test_how_many_join_late(count, late):
    first, joining = split_late(list(range(count)), [{0}] * count)
    assert len(joining) == late
    assert sorted(first + joining) == list(range(count))


def test_a_task_of_many_pages_does_not_join_late_nor_the_only_one_that_shows_a_label():
    for task in range(30):
        pages = [task] * 6 + [100 + task, 200 + task, 300 + task, 400 + task]
        first, joining = split_late(pages, [{0}] * 10)
        assert set(range(6)) <= set(first)
        assert len(joining) == 2
        labels_shown = [{0, 1} if i == joining[0] else {0} for i in range(10)]
        assert joining[0] not in split_late(pages, labels_shown)[1]


def test_what_the_network_has_learned_from_before_is_not_held_out():
    tasks = list(range(100))
    _, held_out = split_by_task(tasks)
    training, others = split_by_task(tasks, known=set(held_out[:-1]))
    assert not set(others) & set(held_out[:-1]) and len(others) >= 2
    assert sorted(training + others) == tasks
    assert split_by_task(tasks, known=set(tasks)) == (tasks, [])
    assert split_by_task(tasks, known=set(tasks[1:]))[1] == [0]


def test_at_most_so_many_are_held_out():
    assert len(split_by_task(list(range(5000)))[1]) == 200


def test_a_task_keeps_its_side_whatever_joins_or_leaves_the_project():
    def held_out_of(tasks):
        return {tasks[i] for i in split_by_task(tasks)[1]}

    first = list(range(300, 400))
    grown = list(range(1000))
    shrunk = list(range(350, 800, 2))
    assert held_out_of(first) == held_out_of(grown) & set(first)
    assert held_out_of(shrunk) == held_out_of(grown) & set(shrunk)


def test_the_pages_of_a_task_stay_together():
    ids = [i // 2 for i in range(80)]
    _, held_out = split_by_task(ids)
    tasks = {ids[i] for i in held_out}
    assert all((ids[i] in tasks) == (i in held_out) for i in range(80))


@pytest.mark.parametrize("pages", [1, 3, 7, 90])
def test_of_tasks_with_many_pages_no_more_images_are_held_out(pages):
    held_out = split_by_task([i // pages for i in range(5000)])[1]
    assert 200 - pages < len(held_out) <= 200


@pytest.mark.parametrize("pages", [[7, 7, 7], [30, 1, 1], [11, 9], [10, 10]])
def test_of_few_tasks_with_many_pages_half_of_the_images_teach_at_least(pages):
    for first in range(20):  # whichever is first by digest
        ids = [first + number for number, count in enumerate(pages) for _ in range(count)]
        training, held_out = split_by_task(ids)
        assert 0 < len(held_out) <= len(training)


def test_of_many_images_some_of_all_kinds_are_asked():
    box = [[0, 0, 9, 9]]
    rare = [target(box if i % 100 == 99 else []) for i in range(3000)]
    asked = sample_learned(rare)
    assert len(set(asked)) == 32
    assert sum(len(rare[i]) > 0 for i in asked) == 16
    assert max(asked) - min(asked) > 2800
    few = [target(box if i > 35 else []) for i in range(40)]
    assert [i for i in sample_learned(few) if i > 35] == [36, 37, 38, 39]
    assert len(set(sample_learned([target(box)] * 33))) == 32
    assert sample_learned([target(box)] * 10) == list(range(10))
