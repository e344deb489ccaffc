"""Why a region teaches nothing: the reasons that a training counts, and how they are raised."""

from __future__ import annotations

REASONS = {
    "bad_geometry": "its coordinates are missing, not numbers, or do not make a shape",
    "broken_rle": "its brush mask cannot be decoded",
    "keypoint": "a key point has no extent to learn from",
    "no_kind": "it has no type, and neither its value nor its control tag tells its kind",
    "no_label": "it has no label",
    "not_predicted": 'only tags with model_skip="true" and key points have its label',
    "outside_image": "it lies outside the image",
    "prompt": "it is a smart tool's prompt that was left in the annotation",
    "shared_id": "it shares its id with another region; both are kept, as regions of their own",
    "unknown_control": "its from_name or to_name is not in the labeling config",
    "unknown_label": "its label is not in the labeling config",
    "unknown_page": "its item_index is not one of the task's pages",
    "unsupported_shape": "this backend does not learn from its kind (bitmask, vector, magic wand)",
    "zero_area": "it covers no pixel",
}


class UnusableRegion(Exception):
    """A region teaches nothing; `reason` is a key of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason
