from __future__ import annotations

import time

import numpy as np

from backend.core.label_next.order import order_pictures


def groups(*counts, spread=0.05, width=12):
    """Rows in groups that lie far apart; the pictures of a group resemble each other."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(len(counts), width)) * 3
    rows = [c + rng.normal(0, spread, (n, width)) for c, n in zip(centres, counts, strict=True)]
    return np.concatenate(rows).astype(np.float32), np.repeat(np.arange(len(counts)), counts)


def test_the_first_pictures_are_of_all_sorts_and_the_most_frequent_sort_comes_first():
    rows, sorts = groups(20, 12, 6, 4, spread=0.5)
    order = order_pictures(rows, rows[:0])
    first = sorts[order.rows[:4]]
    assert first[0] == 0 and set(first.tolist()) == {0, 1, 2, 3}
    assert sorted(order.rows.tolist()) == list(range(len(rows)))


def test_what_is_labelled_already_is_not_asked_for_again():
    rows, sorts = groups(10, 10, 10, spread=0.5)
    is_labelled = (np.arange(len(rows)) % 10 < 2) & (sorts != 2)
    left = np.flatnonzero(~is_labelled)
    order = order_pictures(rows[left], rows[is_labelled])
    assert (sorts[left[order.rows[:2]]] == 2).any() and sorts[left[order.rows[0]]] == 2
    assert order.novelty[sorts[left] == 2].min() > order.novelty[sorts[left] != 2].max()


def test_near_duplicates_come_once_and_then_last():
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(40, 12)).astype(np.float32)
    twins = rows[:10] + rng.normal(0, 0.02, (10, 12)).astype(np.float32)
    order = order_pictures(np.concatenate([rows, twins]), rows[:0])
    of_first = order.rows[:40] % 40
    assert len(set(of_first.tolist())) == 40
    assert (order.twin_of >= 0).sum() == 10
    last = order.rows[40:]
    assert all(order.twin_of[row] % 40 == row % 40 for row in last.tolist())


def test_a_twin_of_a_labelled_picture_names_it():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(30, 12)).astype(np.float32)
    order = order_pictures(np.concatenate([rows, rows[:1] + 0.001]), rows[:1])
    assert order.twin_of[30] == 31 and order.rows[-1] in (0, 30)


def test_of_equally_new_pictures_the_doubtful_ones_come_first():
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(60, 12)).astype(np.float32)
    doubt = np.zeros(60, np.float32)
    doubt[::3] = 5.0
    order = order_pictures(rows, rng.normal(size=(10, 12)).astype(np.float32), doubt)
    places = np.empty(60)
    places[order.rows] = np.arange(60)
    assert places[::3].mean() + 10 < np.delete(places, np.arange(0, 60, 3)).mean()


def test_no_pictures_one_picture_and_equal_pictures():
    assert len(order_pictures(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32)).rows) == 0
    assert order_pictures(np.ones((1, 4), np.float32), np.zeros((0, 0), np.float32)).rows.tolist() == [0]
    same = order_pictures(np.ones((5, 4), np.float32), np.ones((1, 4), np.float32))
    assert sorted(same.rows.tolist()) == [0, 1, 2, 3, 4] and np.isfinite(same.novelty).all()


def test_ten_thousand_pictures_take_seconds():
    rows = np.random.default_rng(5).normal(size=(10_000, 64)).astype(np.float32)
    started = time.process_time()
    order = order_pictures(rows, rows[:500])
    assert len(set(order.rows.tolist())) == 10_000
    assert time.process_time() - started < 30
