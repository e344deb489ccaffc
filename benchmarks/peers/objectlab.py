"""ObjectLab of cleanlab on kept pictures: reads them from standard input, writes its rows, worst first.

Runs in an environment of its own that has cleanlab. An annotated box counts by the worse of its scores for a
bad place and for another label, a detection by its score for an object that was overlooked; those are what
cleanlab's functions return with their own defaults.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from cleanlab.object_detection import rank


def main() -> None:
    content = json.load(sys.stdin)
    labels, predictions = [], []
    for picture in content["pictures"]:
        objects, found = picture["objects"], picture["found"]
        labels.append(
            {
                "bboxes": np.array(objects["boxes"], float).reshape(-1, 4),
                "labels": np.array(objects["labels"], int),
            }
        )
        boxes = np.column_stack([np.array(found["boxes"], float).reshape(-1, 4), found["scores"]])
        of_label = np.array(found["labels"], int)
        predictions.append(
            np.array([boxes[of_label == k] for k in range(len(content["labels"]))] + [None], dtype=object)[
                :-1
            ]
        )
    badloc = rank.compute_badloc_box_scores(labels=labels, predictions=predictions)
    swap = rank.compute_swap_box_scores(labels=labels, predictions=predictions)
    overlooked = rank.compute_overlooked_box_scores(labels=labels, predictions=predictions)
    rows: list[tuple[float, int, int | None, list[float] | None, str]] = []
    for i, (bad, other, missed) in enumerate(zip(badloc, swap, overlooked, strict=True)):
        for k, (a, b) in enumerate(zip(bad, other, strict=True)):
            rows.append((float(min(a, b)), i, k, None, "badloc" if a <= b else "swap"))
        boxes = [box for of_label in predictions[i] for box in of_label]
        rows += [
            (float(score), i, None, box[:4].tolist(), "overlooked")
            for score, box in zip(missed, boxes, strict=True)
            if not np.isnan(score)
        ]
    json.dump(sorted(rows, key=lambda row: row[0]), sys.stdout)


if __name__ == "__main__":
    main()
