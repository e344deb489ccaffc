"""Photographs with object masks, packed into one file that several training processes share.

A set is a folder with `images/*.jpg` and `masks/*.png` of the same stems: 8-bit index masks, 0 ground, 1..254
objects, 255 not judged (`scripts/coldstart_photographs.py` makes them).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from backend.core.geometry.instances import BoolArray
from backend.core.prompting.windows import ByteArray
from backend.training.prompts.annotators import MaskedObject, Rng
from backend.written_whole import written_whole

SMALLEST_OBJECT_PX = 200
SMALLEST_SHARE = 0.0008
OTHERS_MAX = 4
AREA_POWER = 0.35
"""Larger objects of a picture are likelier to be pointed at, by this power of their area."""
MERGED_SHARE = 0.06
"""How often the object is two neighbours together: no lone click can mean that, a box or two clicks can."""


@dataclass(frozen=True)
class SetPlan:
    """A set's folders, how often it is drawn from, the longest side kept, whether its objects are parts."""

    folders: tuple[str, ...]
    share: float
    longest_px: int = 512
    is_parts: bool = False


PLANS = (
    SetPlan(("coco_mval",), 0.26),
    SetPlan(("coco128", "coco_mini", "coco_tiny"), 0.26),
    SetPlan(("davis_train",), 0.10),
    SetPlan(("cats",), 0.07, 416),
    SetPlan(("persons",), 0.10, 448),
    SetPlan(("garments",), 0.08, 448, is_parts=True),
    SetPlan(("animals",), 0.08),
    SetPlan(("cakes",), 0.05),
    SetPlan(("mushrooms",), 0.04, 640),
    SetPlan(("screws",), 0.04, 640),
    SetPlan(("bolts",), 0.02),
    SetPlan(("nanoparticles",), 0.04),
    SetPlan(("nuclei",), 0.07),
    SetPlan(("stones",), 0.04),
)


@dataclass(frozen=True)
class _Entry:
    plan: int
    offset: int
    height: int
    width: int
    objects: tuple[int, ...]


class PhotographPool:
    """The packed photographs of every plan; pixels are read from the file as they are needed."""

    def __init__(self, packed: Path) -> None:
        """Open what `pack_photographs` wrote."""
        listed = json.loads(packed.with_suffix(".json").read_text())
        self._pixels = np.memmap(packed, dtype=np.uint8, mode="r")
        self._entries: list[list[_Entry]] = [[] for _ in PLANS]
        for plan, offset, height, width, objects in listed:
            self._entries[plan].append(_Entry(plan, offset, height, width, tuple(objects)))
        self.counts = [len(entries) for entries in self._entries]

    def draw(self, rng: Rng) -> MaskedObject:
        """Return an object of a photograph, augmented; larger objects are somewhat likelier."""
        shares = np.array([plan.share * (count > 0) for plan, count in zip(PLANS, self.counts, strict=True)])
        plan = int(rng.choice(len(PLANS), p=shares / shares.sum()))
        entry = self._entries[plan][int(rng.integers(len(self._entries[plan])))]
        image, owner = self._read(entry)
        image, owner = augmented(rng, image, owner)
        areas = np.bincount(owner.ravel(), minlength=256)
        sizes = areas[list(entry.objects)] ** AREA_POWER
        sizes[areas[list(entry.objects)] < SMALLEST_OBJECT_PX // 2] = 0
        if not sizes.any():
            return self.draw(rng)
        number = int(rng.choice(entry.objects, p=sizes / sizes.sum()))
        rest = [n for n in entry.objects if n != number and areas[n] > 0]
        others = [owner == n for n in rng.permutation(rest)[:OTHERS_MAX]] if rest else []
        mask, is_part = owner == number, PLANS[plan].is_parts
        if others and rng.random() < MERGED_SHARE:
            grown = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
            touching = [other for other in others if (grown & other).any()]
            if touching:
                mask, is_part = mask | touching[0], True
                others = [other for other in others if other is not touching[0]]
        return MaskedObject(image, mask, tuple(others), is_part)

    def _read(self, entry: _Entry) -> tuple[ByteArray, ByteArray]:
        pixels = entry.height * entry.width
        image = self._pixels[entry.offset : entry.offset + 3 * pixels]
        owner = self._pixels[entry.offset + 3 * pixels : entry.offset + 4 * pixels]
        return image.reshape(entry.height, entry.width, 3), owner.reshape(entry.height, entry.width)


def pack_photographs(root: Path, packed: Path) -> None:
    """Write the photographs of every plan's folders under `root` that exist, and a list of them beside."""
    listed: list[tuple[int, int, int, int, list[int]]] = []
    offset = 0
    with written_whole(packed) as part:
        with part.open("wb") as file:
            for number, plan in enumerate(PLANS):
                for image, owner in _read_sets(root, plan):
                    areas = np.bincount(owner.ravel(), minlength=256)
                    least = max(SMALLEST_OBJECT_PX, SMALLEST_SHARE * owner.size)
                    objects = [n for n in range(1, 255) if areas[n] >= least]
                    if objects:
                        file.write(image.tobytes() + owner.tobytes())
                        listed.append((number, offset, *owner.shape, objects))
                        offset += 4 * owner.size
        packed.with_suffix(".json").write_text(json.dumps(listed))


def _read_sets(root: Path, plan: SetPlan) -> Iterator[tuple[ByteArray, ByteArray]]:
    for folder in plan.folders:
        for path in sorted((root / folder / "images").glob("*.jpg")):
            bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
            owner = cv2.imread(str(root / folder / "masks" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
            if bgr is None or owner is None or owner.shape != bgr.shape[:2]:
                raise ValueError(f"{path}: picture and mask must both be there and of one size")
            shrink = plan.longest_px / max(owner.shape)
            if shrink < 1:
                size_wh = (round(owner.shape[1] * shrink), round(owner.shape[0] * shrink))
                bgr = cv2.resize(bgr, size_wh, interpolation=cv2.INTER_AREA)
                owner = cv2.resize(owner, size_wh, interpolation=cv2.INTER_NEAREST)
            yield (
                np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8),
                np.asarray(owner, dtype=np.uint8),
            )


def augmented(rng: Rng, image: ByteArray, owner: ByteArray) -> tuple[ByteArray, ByteArray]:
    """Return a picture and its index mask mirrored, turned, and in other light and colours, by chance."""
    if rng.random() < 0.5:
        image, owner = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(owner[:, ::-1])
    if rng.random() < 0.25:
        height, width = owner.shape
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-20, 20)), 1.0)
        matrix[0] *= rng.uniform(0.85, 1.15)
        image = np.asarray(
            cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101), dtype=np.uint8
        )
        owner = np.asarray(
            cv2.warpAffine(owner, matrix, (width, height), flags=cv2.INTER_NEAREST), dtype=np.uint8
        )
    if rng.random() < 0.8:
        image = _in_other_light(rng, image)
    if rng.random() < 0.08:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    if rng.random() < 0.1:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 1.5))), dtype=np.uint8)
    return image, owner


def _in_other_light(rng: Rng, image: ByteArray) -> ByteArray:
    """Return the picture through a random curve per channel: gamma, gain and lift, mostly shared."""
    levels = np.linspace(0, 1, 256)[:, None]
    gamma = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.06, 3))
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.92, 1.08, 3)
    curves = (levels**gamma * gain + rng.uniform(-0.06, 0.06)) * 255
    table = np.clip(curves, 0, 255).astype(np.uint8)[None]
    return np.asarray(cv2.LUT(image, table), dtype=np.uint8)


def is_object(mask: BoolArray) -> bool:
    """Tell whether a mask is large enough to point at."""
    return bool(np.count_nonzero(mask) >= SMALLEST_OBJECT_PX)
