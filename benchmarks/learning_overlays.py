"""Draw truth (left) and prediction (right) of validation images:
`python -m benchmarks.learning_overlays --data <folder> --set brush --version <folder> --out sheet.png`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from benchmarks.data_sets import SETS, load_samples

COLOURS = [(230, 25, 75), (60, 180, 75), (67, 99, 216), (245, 130, 49), (145, 30, 180)]


def draw(image, boxes, labels, masks, scores=None):
    out = image.copy()
    for k, box in enumerate(boxes):
        colour = COLOURS[int(labels[k]) % len(COLOURS)]
        if masks[k] is not None:
            m = masks[k]
            rows = slice(m.top_px, m.top_px + m.bits.shape[0])
            columns = slice(m.left_px, m.left_px + m.bits.shape[1])
            tint = np.array(COLOURS[k % len(COLOURS)], np.float32)
            part = out[rows, columns].astype(np.float32)
            bits = m.bits[: part.shape[0], : part.shape[1], None]
            out[rows, columns] = np.where(bits, part * 0.45 + tint * 0.55, part).astype(np.uint8)
        x1, y1, x2, y2 = (round(float(v)) for v in box)
        cv2.rectangle(out, (x1, y1), (x2, y2), colour, 2)
        if scores is not None:
            text, place = f"{scores[k]:.2f}", (x1 + 2, y1 + 14)
            cv2.putText(out, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 0), 1)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--version", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10)
    args = parser.parse_args()
    from backend.nn.detector.predictor import load_predictor

    samples, _, _ = load_samples(args.data, args.set, "val")
    samples = samples[:: max(1, len(samples) // args.count)][: args.count]
    images = [s.load_rgb() for s in samples]
    found = load_predictor(args.version).predict(images, confidence_threshold=0.30, nms_threshold=0.40)
    rows = []
    for image, sample, d in zip(images, samples, found, strict=True):
        t = sample.target
        pair = [
            draw(image, t.boxes_xyxy_px, t.label_indices, t.masks),
            draw(image, d.boxes_xyxy_px, d.label_indices, d.masks, d.scores),
        ]
        scale = 300 / image.shape[0]
        rows.append(np.hstack([cv2.resize(p, (round(image.shape[1] * scale), 300)) for p in pair]))
    width = max(r.shape[1] for r in rows)
    rows = [np.pad(r, ((0, 4), (0, width - r.shape[1] + 4), (0, 0)), constant_values=255) for r in rows]
    half = (len(rows) + 1) // 2
    columns = [np.vstack(rows[:half]), np.vstack(rows[half:])]
    height = max(c.shape[0] for c in columns)
    room = [((0, height - c.shape[0]), (0, 0), (0, 0)) for c in columns]
    sheet = np.hstack([np.pad(c, r, constant_values=255) for c, r in zip(columns, room, strict=True)])
    args.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(args.out), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
