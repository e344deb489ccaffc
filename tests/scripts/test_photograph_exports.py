"""Exports of labelling services, in clones made here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts.near_copies import NearCopies
from scripts.photograph_exports import Export, of_export, unrest
from scripts.snapshots import NOT_JUDGED, Snapshot, Source

WIDTH, HEIGHT = 80, 60
HEXAGON = [(0.25, 0.25), (0.5, 0.2), (0.75, 0.25), (0.75, 0.75), (0.5, 0.8), (0.25, 0.75)]
SOURCE = Source("some/one", "HEAD", "CC0")


def picture(seed: int, strewn: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blurred = cv2.GaussianBlur(rng.integers(40, 220, (HEIGHT, WIDTH, 3)).astype(np.uint8), (0, 0), 4)
    made = np.clip((blurred.astype(np.float32) - 128) * 4 + 128, 30, 230).astype(np.uint8)
    made[rng.integers(0, HEIGHT, strewn), rng.integers(0, WIDTH, strewn)] = 255
    return made


def clone_of(root: Path, files: dict[str, bytes]) -> Snapshot:
    work = root / "work"
    for path, content in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_bytes(content)
    git = ["git", "-C", str(work), "-c", "user.name=n", "-c", "user.email=e"]
    for step in (["init", "-q"], ["add", "."], ["commit", "-qm", "export"]):
        subprocess.run([*git, *step], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(root / "some+one")], check=True)
    return Snapshot(root, SOURCE)


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def line(points: list[tuple[float, float]]) -> str:
    return "0 " + " ".join(f"{value}" for point in points for value in point)


def yolo_files(names: list[str]) -> dict[str, bytes]:
    text = f"{line(HEXAGON)}\n0 0.05 0.05 0.1 0.1\n"
    files = {f"train/images/{name}.png": png(picture(k)) for k, name in enumerate(names)}
    return files | {f"train/labels/{name}.txt": text.encode() for name in names}


def test_polygons_are_objects_and_boxes_are_not_judged(tmp_path):
    clone = clone_of(tmp_path, yolo_files(["a"]))
    (photograph,) = of_export(clone, Export(SOURCE, "yolo", ("train",)))
    owner = photograph.owner
    assert (owner[30, 40], owner[3, 4], owner[55, 75]) == (1, NOT_JUDGED, 0)


def test_of_copies_of_a_picture_the_calmest_is_taken(tmp_path):
    files = yolo_files(["a.rf.1", "a.rf.2", "a.rf.3"])
    for k, strewn in ((1, 300), (2, 0), (3, 90)):
        files[f"train/images/a.rf.{k}.png"] = png(picture(0, strewn))
    (photograph,) = of_export(clone_of(tmp_path, files), Export(SOURCE, "yolo", ("train",)))
    assert np.array_equal(photograph.bgr, picture(0)) and photograph.stem == "a"


def test_specks_and_black_borders_are_unrest():
    bordered = picture(0)
    bordered[:, :20] = 0
    assert unrest(picture(0)) < 0.01 < unrest(picture(0, 300)) < unrest(bordered)


def test_pictures_are_chosen_by_name_and_spread_over_all(tmp_path):
    clone = clone_of(tmp_path, yolo_files([f"a{k}" for k in range(9)] + ["b1"]))
    chosen = [p.stem for p in of_export(clone, Export(SOURCE, "yolo", ("train",), name="a", most=3))]
    assert chosen == ["a0", "a4", "a8"]


def test_pieces_without_objects_are_left_out(tmp_path):
    files = yolo_files(["a"])
    corner = [(x * 0.4, y * 0.4) for x, y in HEXAGON]
    files["train/labels/a.txt"] = line(corner).encode()
    (piece,) = of_export(clone_of(tmp_path, files), Export(SOURCE, "yolo", ("train",), pieces=2))
    assert piece.stem == "a-00" and piece.owner.shape == (HEIGHT // 2, WIDTH // 2)
    assert np.array_equal(piece.bgr, picture(0)[: HEIGHT // 2, : WIDTH // 2])


def test_a_coco_export_is_read_in_the_frame_that_it_names(tmp_path):
    # Listed at twice the size of the file.
    ring = [value for x, y in HEXAGON for value in (x * WIDTH * 2, y * HEIGHT * 2)]
    listed = {
        "images": [{"id": 7, "file_name": "a.png", "width": WIDTH * 2, "height": HEIGHT * 2}],
        "annotations": [
            {"image_id": 7, "segmentation": [ring], "bbox": [0, 0, 1, 1], "iscrowd": 0},
            {"image_id": 7, "segmentation": [], "bbox": [0, 0, 20, 20]},
        ],
    }
    files = {"a/_annotations.coco.json": json.dumps(listed).encode(), "a/a.png": png(picture(0))}
    (photograph,) = of_export(clone_of(tmp_path, files), Export(SOURCE, "coco", ("a",)))
    owner = photograph.owner
    assert (owner[30, 40], owner[5, 5], owner[15, 5]) == (1, NOT_JUDGED, 0)


def test_a_file_that_the_clone_lacks_is_none_and_the_next_one_is_read(tmp_path):
    clone = clone_of(tmp_path, {"a": b"one\n", "b": b"two"})
    assert clone.read_all(["a", "missing", "b"]) == [b"one\n", None, b"two"]


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_copy_in_other_size_and_light_is_found(tmp_path, is_mirrored):
    cv2.imwrite(str(tmp_path / "known.png"), picture(0))
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "other.png"), picture(2))
    known = NearCopies([tmp_path])
    copy = cv2.resize(picture(0), (160, 120))[:, :: -1 if is_mirrored else 1] // 2 + 60
    assert known.has_like(np.ascontiguousarray(copy))
    assert not known.has_like(picture(1)) and not known.has_like(picture(2))
    assert not NearCopies([]).has_like(picture(0))
