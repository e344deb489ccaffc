"""Train a U-Net (ResNet18 encoder, random weights, bf16) on brush tasks and report its semantic IoU.

    .venv-peers/bin/python benchmarks/peers/unet.py --data DATA --tasks tasks_brush.json [--time-epochs N]

Reads the object masks beside the tasks (`masks/<image>.png`, 0 is background). Prints one JSON line: seconds
of training, scaled to all epochs if only some were run, and the IoU of the union mask over the held-out part.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch.nn import functional


def load(data: Path, task: dict, side: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Image [3, side, side] and mask [side, side], long side fitted, padded at the right and bottom."""
    path = data / task["data"]["image"]
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    mask = (cv2.imread(str(data / "masks" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED) > 0).astype(np.uint8)
    height, width = mask.shape
    scale = side / max(height, width)
    size = round(width * scale), round(height * scale)
    padded = np.full((side, side, 3), 114, np.uint8), np.zeros((side, side), np.uint8)
    padded[0][: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    padded[1][: size[1], : size[0]] = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    return padded[0].transpose(2, 0, 1), padded[1], (size[1], size[0])


def augmented(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if rng.random() < 0.5:
        image, mask = image[:, :, ::-1], mask[:, ::-1]
    side = mask.shape[0]
    scale = rng.uniform(0.7, 1.4)
    shift = rng.uniform(-0.1, 0.1, 2) * side + (1 - scale) * side / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    moved = cv2.warpAffine(image.transpose(1, 2, 0).copy(), matrix, (side, side), borderValue=(114,) * 3)
    gain = rng.uniform(0.7, 1.3)
    moved = np.clip(moved.astype(np.float32) * gain, 0, 255)
    moved_mask = cv2.warpAffine(mask.copy(), matrix, (side, side), flags=cv2.INTER_NEAREST)
    return moved.transpose(2, 0, 1).astype(np.uint8), moved_mask


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", default="tasks_brush.json")
    parser.add_argument("--first", type=int, help="use only the first N training ids")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--image-size", type=int, default=416)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--time-epochs", type=int)
    args = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    tasks = {t["id"]: t for t in json.loads((args.data / args.tasks).read_text())}
    splits = json.loads((args.data / "splits.json").read_text())
    train = [load(args.data, tasks[i], args.image_size) for i in splits["train100"][: args.first]]
    val = [load(args.data, tasks[i], args.image_size) for i in splits["val"]]
    net = smp.Unet("resnet18", encoder_weights=None, classes=1).to(memory_format=torch.channels_last)
    epochs = args.time_epochs or args.epochs
    steps = args.epochs * (len(train) // args.batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    start = time.monotonic()
    ends = []
    for _ in range(epochs):
        net.train()
        order = rng.permutation(len(train))
        for first in range(0, len(train) - args.batch + 1, args.batch):
            pairs = [augmented(train[i][0], train[i][1], rng) for i in order[first : first + args.batch]]
            images = torch.from_numpy(np.stack([p[0] for p in pairs])).float().div_(127.5).sub_(1)
            masks = torch.from_numpy(np.stack([p[1] for p in pairs])).float()[:, None]
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(images.contiguous(memory_format=torch.channels_last))
            logits = logits.float()
            scores = logits.sigmoid()
            dice = 1 - (2 * (scores * masks).sum() + 1) / (scores.sum() + masks.sum() + 1)
            loss = functional.binary_cross_entropy_with_logits(logits, masks) + dice
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        ends.append(time.monotonic() - start)
    seconds = ends[-1]
    rate = (ends[-1] - ends[0]) / (epochs - 1)  # seconds an epoch; the first has the warming up in it
    net.eval()
    inter = union = 0
    with torch.no_grad():
        for image, mask, (height, width) in val:
            batch = torch.from_numpy(image)[None].float().div_(127.5).sub_(1)
            with torch.autocast("cpu", torch.bfloat16):
                found = net(batch)[0, 0, :height, :width].float().numpy() > 0
            truth = mask[:height, :width] > 0
            inter += int((found & truth).sum())
            union += int((found | truth).sum())
    print(
        json.dumps(
            {
                "peer": "unet-resnet18",
                "data": args.data.name,
                "images": len(train),
                "epochs": epochs,
                "images_seen": epochs * len(train),
                "train_seconds": round(seconds, 1),
                "seconds_for_all_epochs": round(seconds + (args.epochs - epochs) * rate),
                "iou": round(inter / max(union, 1), 4),
            }
        )
    )


if __name__ == "__main__":
    main()
