"""Why a region, or an answer about an image or a region, teaches nothing: the reasons a training counts."""

from __future__ import annotations

from collections.abc import Iterable

REASONS = {
    "bad_answer": "its answer about the image or region is not of the form that its control tag stores",
    "bad_geometry": "its coordinates are missing, not numbers, or do not make a shape",
    "numbers_as_text": "its coordinates are texts, not numbers",
    "path_too_short": "its path ends above a leaf of the taxonomy, and its control tag takes leaves only",
    "pixels": "its coordinates are pixels, and Label Studio's are percent of the image",
    "bad_number": "its number is none, or is not finite",
    "broken_png": "its bitmask is no PNG in a data URL, is cut short, or is far larger than its image",
    "broken_rle": "its brush mask cannot be decoded",
    "keypoint": "it is a point of a smart tool's tag, and another tag draws its label",
    "no_answer": "nothing is answered of what the labeling config asks about the image",
    "no_kind": "it has no type, and neither its value nor its control tag tells its kind",
    "no_label": "it has no label",
    "not_predicted": 'only tags with model_skip="true" have its label',
    "number_out_of_range": "its number lies outside its control tag's min and max",
    "open_line": "an open line holds no area to learn from",
    "outside_image": "it lies outside the image",
    "prompt": "it is a smart tool's prompt that was left in the annotation",
    "rating_out_of_range": "its rating is not from 1 to its control tag's maxRating",
    "region_missing": "it is about a region, and the annotation has no region of its id",
    "several_choices": "its control tag takes one choice, and several are given",
    "several_values": "its control tag takes one value, and several are given",
    "shared_id": "it shares its id with another region; both are kept, as regions of their own",
    "unknown_choice": "its choice is not in the labeling config",
    "unknown_control": "its from_name or to_name is not in the labeling config",
    "unknown_label": "its label is not in the labeling config",
    "unknown_path": "its path leads nowhere in the taxonomy of the labeling config",
    "unknown_page": "its item_index is not one of the task's pages",
    "unsupported_shape": "this backend does not learn from its kind",
    "zero_area": "it covers no pixel",
}

NEXT_MOVES = {
    "bad_answer": "Answer these anew in Label Studio, or import them as it exports them.",
    "bad_geometry": "Correct or delete these regions.",
    "bad_number": "Give these numbers anew in Label Studio, or import them without quotes.",
    "broken_png": "Paint these areas again, or import each mask as a PNG of its image's size.",
    "broken_rle": "Paint these areas again.",
    "keypoint": 'Take smart="true" from the key points\' tag if they are to be learned.',
    "no_answer": "Answer them, or leave them as they are if nothing is to be learned from these images.",
    "no_kind": "Give each result its `type`, or the name of its control tag.",
    "no_label": "Give these regions a label.",
    "not_predicted": "Draw them in a tag that is learned, or take model_skip away.",
    "number_out_of_range": "Correct these numbers, or the min and max of the control tag.",
    "numbers_as_text": "Write coordinates as numbers, without quotes, and import again.",
    "open_line": 'Close these lines (closable="true" lets annotators do so), or draw outlines or boxes.',
    "outside_image": "Delete these regions, or see whether the image was replaced by a smaller one.",
    "path_too_short": "Lead these paths to a leaf, or take leafsOnly away from the control tag.",
    "pixels": "Divide by the image's width or height, multiply by 100, and import again.",
    "prompt": "Submit the region that the smart tool drew, without its click.",
    "rating_out_of_range": "Rate these anew, or raise maxRating in the labeling config.",
    "region_missing": "Delete these answers, or import the regions that they are about.",
    "several_choices": 'Leave one choice in each of these, or set choice="multiple" in the control tag.',
    "several_values": "Leave one value in each of these.",
    "unknown_choice": "Add the choice to the labeling config, or correct the answers.",
    "unknown_control": "Give the control tag its old name back, or correct the from_name of the results.",
    "unknown_label": "Add the label to the labeling config, or correct the regions.",
    "unknown_path": "Add the path to the labeling config, or correct the answers.",
    "unknown_page": "See whether the task's list of images has become shorter.",
    "unsupported_shape": "Draw these as rectangles, polygons, ellipses or with the brush.",
    "zero_area": "Draw these regions again, or delete them.",
}
"""What to do about each. A region that shares its id is learned all the same."""

STAND_FOR_NOTHING_LEARNED = frozenset({"keypoint", "not_predicted", "shared_id"})
"""An image with such regions alone is complete: what they mark is not to be found, or was learned.

Regions left out for any other reason mark objects. An image that has lost all of them is no empty one.
"""


def mark_objects(reasons: Iterable[str]) -> bool:
    """Tell whether any of the regions left out for these reasons marks an object to be found."""
    return any(reason not in STAND_FOR_NOTHING_LEARNED for reason in reasons)


class UnusableRegion(Exception):
    """A region or an answer teaches nothing; `reason` is a key of REASONS.

    names: what it says and nobody knows, such as its label.
    """

    def __init__(self, reason: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason
        self.names = names
