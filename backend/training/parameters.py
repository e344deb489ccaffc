"""The training parameters: names, ranges, defaults, and where each value came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from backend.errors import ParameterError

IMAGE_SIZES = (224, 320, 416, 512, 640)
SCRATCH = "scratch"
CURRENT = "current"
"""Starts from whatever version serves when the training begins, so that it can be saved as a default."""
RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, 500),
    "batch_size": (1, 64),
    "learning_rate": (0.00001, 0.1),
    "confidence_threshold": (0.01, 1.0),
    "nms_threshold": (0.01, 1.0),
}


@dataclass(frozen=True)
class TrainingParams:
    """Everything a user may set for one training; thresholds are used when predicting."""

    epochs: int = 50
    batch_size: int = 8
    learning_rate: float = 0.002
    image_size: int = 416
    enable_detection: bool = True
    enable_segmentation: bool = True
    pretrained: bool = True
    backbone: str = "resnet18"
    confidence_threshold: float = 0.30
    nms_threshold: float = 0.40
    task_ids: tuple[int, ...] | None = None
    start_from: str = SCRATCH

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready types."""
        values = asdict(self)
        values["task_ids"] = None if self.task_ids is None else list(self.task_ids)
        return values


PARAMETER_NAMES = tuple(f.name for f in fields(TrainingParams))


def parse_parameter(name: str, value: Any) -> Any:
    """Return the value of one parameter in its own type.

    Numbers given as text are refused except where a whole float stands for an int (8.0).
    Raises ParameterError naming field, range and value.
    """
    if name not in PARAMETER_NAMES:
        raise ParameterError(
            f"unknown parameter {name!r}; known are {', '.join(PARAMETER_NAMES)}", field=name
        )
    if name in ("epochs", "batch_size"):
        return _parse_int(name, value)
    if name in ("learning_rate", "confidence_threshold", "nms_threshold"):
        return _parse_float(name, value)
    if name == "image_size":
        if isinstance(value, bool) or value not in IMAGE_SIZES:
            raise _wrong(name, f"one of {', '.join(map(str, IMAGE_SIZES))}", value)
        return int(value)
    if name in ("enable_detection", "enable_segmentation", "pretrained"):
        if not isinstance(value, bool):
            raise _wrong(name, "true or false", value)
        return value
    if name == "task_ids":
        return _parse_task_ids(value)
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise _wrong(name, "a name", value)
    return value


def resolve_params(layers: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[TrainingParams, dict[str, str]]:
    """Merge layers of (origin, values), strongest first, over the defaults.

    Returns the parameters and the origin of each value ("default" where no layer has it).
    Raises ParameterError for an unknown name, a bad value, or both heads switched off.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(PARAMETER_NAMES, "default")
    for origin, layer in reversed(list(layers)):
        for name, raw in layer.items():
            try:
                values[name] = parse_parameter(name, raw)
            except ParameterError as exc:
                raise ParameterError(f"{exc} (from {origin})", field=exc.field) from exc
            origins[name] = origin
    params = TrainingParams(**values)
    if not params.enable_detection and not params.enable_segmentation:
        raise ParameterError(
            "enable_detection and enable_segmentation are both false; switch at least one on",
            field="enable_detection",
        )
    return params, origins


def _parse_int(name: str, value: Any) -> int:
    low, high = RANGES[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _wrong(name, f"a whole number from {low:g} to {high:g}", value)
    if value != int(value):
        raise _wrong(name, f"a whole number from {low:g} to {high:g}", value)
    return int(value)


def _parse_float(name: str, value: Any) -> float:
    low, high = RANGES[name]
    wanted = f"a number from {low:.5f} to {high:g}" if low < 0.001 else f"a number from {low:g} to {high:g}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _wrong(name, wanted, value)
    return float(value)


def _parse_task_ids(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not value:
        raise _wrong("task_ids", "a non-empty list of task ids, or null for all", value)
    if any(isinstance(item, bool) or not isinstance(item, int) for item in value):
        raise _wrong("task_ids", "a list of whole numbers", value)
    return tuple(value)


def _wrong(name: str, wanted: str, value: Any) -> ParameterError:
    return ParameterError(f"{name} must be {wanted}, got {str(value)[:80]!r}", field=name)
