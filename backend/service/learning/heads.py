"""What the labels of a config can teach where boxes are switched off: painted areas, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from backend.core.labelstudio.control_tags import ControlTag
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.regions.kind import Teaches
from backend.errors import LabelConfigError, ParameterError
from backend.training.inputs import TrainingSample
from backend.training.parameters import TrainingParams


def check_teaches(config: LabelConfig, params: TrainingParams) -> None:
    """Raise where a config teaches nothing.

    Raises LabelConfigError where nothing of it can be learned, ParameterError where boxes are switched off
    and it has tags for nothing else.
    """
    if config.why_nothing_is_learned is not None:
        raise LabelConfigError(config.why_nothing_is_learned, field="label_config")
    tags = _learned_tags(config)
    draws_more = any(tag.kind.teaches is not Teaches.BOX for tag in tags)
    if params.enable_detection or config.learned_answers or draws_more:
        return
    wanted = " or ".join(kind.labels_title for kind in config.kinds if kind.teaches is Teaches.MASK)
    names = ", ".join(tag.name for tag in tags)
    raise ParameterError(
        f"enable_detection is false, so only painted areas can be learned, but the tags of this labeling "
        f"config ({names}) give boxes alone; switch enable_detection on, or add {wanted}",
        field="enable_detection",
    )


def without_boxes(
    config: LabelConfig, params: TrainingParams, samples: Sequence[TrainingSample]
) -> str | None:
    """Return in a sentence what is not learned since boxes are switched off; None where nothing is lost."""
    if params.enable_detection:
        return None
    tags = [tag.name for tag in _learned_tags(config) if tag.kind.teaches is Teaches.BOX]
    regions = sum(mask is None for sample in samples for mask in sample.target.masks)
    if not tags and not regions:
        return None
    said = [f"{', '.join(tags)} will get no predictions"] if tags else []
    if regions:
        plural = "regions are boxes that teach" if regions > 1 else "region is a box that teaches"
        said.append(f"{regions} {plural} no area")
    return f"enable_detection is false: {', and '.join(said)}; switch it on to learn boxes too"


def _learned_tags(config: LabelConfig) -> list[ControlTag]:
    return [tag for tag in config.controls if tag.is_learned]
