from __future__ import annotations

import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts.coldstart_photographs import write_set
from scripts.photograph_pool import PhotographPool, pack_photographs
from scripts.snapshots import MOST_OBJECTS, NOT_JUDGED, Photograph, Snapshot, Source, from_yolo, painted

RED = np.full((60, 80, 3), (30, 30, 200), np.uint8)


def test_small_objects_lie_on_top_and_crowds_are_not_judged():
    large, small = [0, 0, 40, 0, 40, 40, 0, 40], [10, 10, 20, 10, 20, 20, 10, 20]
    owner = painted((60, 80), [[small], [large]], unjudged=[(50, 0, 20, 10)])
    assert (owner[30, 30], owner[15, 15], owner[5, 60], owner[50, 70]) == (1, 2, NOT_JUDGED, 0)


def test_objects_beyond_the_numbers_of_a_mask_are_not_judged():
    squares = [[[x, 0, x + 2, 0, x + 2, 2, x, 2]] for x in range(0, 4 * MOST_OBJECTS + 4, 4)]
    owner = painted((4, 1200), squares)
    assert len(np.unique(owner)) == MOST_OBJECTS + 2 and np.count_nonzero(owner == NOT_JUDGED) == 9


def test_a_yolo_line_is_a_class_and_a_polygon_in_shares():
    owner = from_yolo(RED, "3 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n5 0.1 0.1 0.2 0.2\n")
    assert owner[30, 40] == 1 and owner[5, 5] == 0 and set(np.unique(owner)) == {0, 1}


def test_files_are_read_from_one_commit_of_a_clone(tmp_path):
    clone = tmp_path / "some+one"
    (clone / "pictures").mkdir(parents=True)
    (clone / "pictures" / "a.png").write_bytes(cv2.imencode(".png", RED)[1].tobytes())
    git = ["git", "-C", str(clone), "-c", "user.name=n", "-c", "user.email=e"]
    for step in (["init", "-q"], ["add", "."], ["commit", "-qm", "pictures"]):
        subprocess.run([*git, *step], check=True)
    snapshot = Snapshot(tmp_path, Source("some/one", "HEAD", "CC0"))
    snapshot._git = ["git", f"--git-dir={clone / '.git'}"]
    assert snapshot.paths("pictures") == ["pictures/a.png"]
    assert np.array_equal(snapshot.picture("pictures/a.png"), RED)
    assert snapshot.picture("pictures/b.png") is None


def photographs() -> list[Photograph]:
    owner = np.zeros((60, 80), np.uint8)
    owner[10:50, 10:40] = 1
    owner[10:50, 43:70] = 2
    owner[55:, :] = NOT_JUDGED
    return [Photograph(f"p{k}", RED, owner) for k in range(3)] + [Photograph("empty", RED, owner * 0)]


def test_a_set_counts_pictures_and_objects_and_leaves_out_what_shows_none(tmp_path):
    assert write_set(iter(photographs()), tmp_path / "davis_train", is_judge=False) == (3, 6)
    assert sorted(p.name for p in (tmp_path / "davis_train" / "images").iterdir()) == [
        "p0.jpg",
        "p1.jpg",
        "p2.jpg",
    ]


def test_what_was_packed_is_drawn_again(tmp_path):
    write_set(iter(photographs()), tmp_path / "davis_train", is_judge=False)
    pack_photographs(tmp_path, tmp_path / "packed.bin")
    assert len(json.loads((tmp_path / "packed.json").read_text())) == 3
    pool = PhotographPool(tmp_path / "packed.bin")
    rng = np.random.default_rng(0)
    areas = []
    for _ in range(40):
        drawn = pool.draw(rng)
        assert drawn.image.shape[:2] == drawn.mask.shape and len(drawn.others) <= 1
        areas.append(int(drawn.mask.sum()))
    assert len({area for area in areas if area > 800}) > 3  # turned and stretched, so not the same every time
    assert max(areas) > 1.4 * np.median(areas)  # now and then two neighbours together


def test_a_mask_of_another_size_is_named(tmp_path):
    write_set(iter(photographs()), tmp_path / "davis_train", is_judge=False)
    wrong = Path(tmp_path / "davis_train" / "masks" / "p1.png")
    cv2.imwrite(str(wrong), np.ones((5, 5), np.uint8))
    with pytest.raises(ValueError, match=r"p1\.jpg: picture and mask must both be there and of one size"):
        pack_photographs(tmp_path, tmp_path / "packed.bin")
