"""The training parameters, declared once: name, type, range, default, title, meaning and place in the panel.

The checks and their messages, the panel's form, the OpenAPI description and the README's table are all drawn
from `TrainingParams`; a new parameter is one field of it. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from backend.errors import ParameterError

SCRATCH = "scratch"
AUTO = "auto"
_WITH_IMAGENET, _WITHOUT_IMAGENET = "tf_efficientnet_lite0", "resnet18"
"""The backbones that `auto` stands for; both come with weights of a whole network."""
CURRENT = "current"
"""Starts from whatever version serves when the training begins, so that it can be saved as a default."""

Tab = Literal["training", "model", "inference", "images"]
"""The tab of the panel's settings that shows a parameter; those of `inference` count when predicting."""
ImageSize = Literal[224, 320, 416, 512, 640]
IMAGE_SIZES: tuple[int, ...] = get_args(ImageSize)
Tiles = Literal["auto", "off", "1/2", "1/3", "1/4", "1/6", "1/8", "1/12"]
"""How pictures are cut; a share is that of a tile's side in a picture's longer side."""
_TAB = "x-panel-tab"
_SHOWN_CHARS = 80
_WANTED = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "text": "a name",
    "list": "a non-empty list of whole numbers, or null for all",
}


def _whole(value: Any) -> Any:
    """Return the int that a whole float stands for (8.0), anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Whole = BeforeValidator(_whole)
Name = Annotated[str, Field(min_length=1, max_length=200)]


def parameter(default: Any, title: str, meaning: str, tab: Tab, **limits: Any) -> Any:
    """Return the field of one parameter; limits: pydantic's `ge`, `le`, `min_length` and so on."""
    return Field(default, title=title, description=meaning, json_schema_extra={_TAB: tab}, **limits)


class AtLeastOneOn(BaseModel):
    """Switches that must not all be off, because a training would then learn nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    names: tuple[str, ...]
    next_move: str


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class TrainingParams:
    """Everything a user may set for one training."""

    # Making one checks every value, and so does `dataclasses.replace`.
    at_least_one_on: ClassVar[AtLeastOneOn] = AtLeastOneOn(
        names=("enable_detection", "enable_segmentation"), next_move="Switch at least one head on."
    )

    epochs: Annotated[int, _Whole] = parameter(
        50,
        "Epochs",
        "Passes over the training images. More is better up to a point, and slower.",
        "training",
        ge=1,
        le=500,
    )
    batch_size: Annotated[int, _Whole] = parameter(
        8,
        "Batch size",
        "Images learned from at once. Take fewer when memory runs out.",
        "training",
        ge=1,
        le=64,
    )
    learning_rate: float = parameter(
        0.002,
        "Learning rate",
        "Length of a step. Lower it when the loss jumps, raise it when it hardly falls.",
        "training",
        ge=0.00001,
        le=0.1,
    )
    image_size: Annotated[ImageSize, _Whole] = parameter(
        416,
        "Image size",
        "Longer side in pixels that the network sees. Larger finds smaller objects, and is slower.",
        "training",
    )
    tiles: Tiles = parameter(
        "auto",
        "Tiles",
        "Cut pictures into overlapping tiles. auto: where things would be too small in the whole picture.",
        "training",
    )
    enable_detection: bool = parameter(
        True,
        "Detection head",
        "Learn boxes, and so single objects. Off: painted areas are found as a whole, rectangles not at all.",
        "model",
    )
    enable_segmentation: bool = parameter(
        True,
        "Segmentation head",
        "Learn the area inside: from paintbrush labels, polygons, ellipses and turned rectangles.",
        "model",
    )
    mirrored_view: bool = parameter(
        True,
        "Mirrored view",
        "Look at each picture twice, the second time mirrored: better boxes and masks. Off: predict faster.",
        "model",
    )
    pretrained: bool = parameter(
        True,
        "Pretrained backbone",
        "Start the backbone from ImageNet weights. Recommended unless the images are very unusual.",
        "model",
    )
    backbone: Name = parameter(
        AUTO,
        "Backbone architecture",
        "The timm network that looks at the image. auto: the start version's, else a small one.",
        "model",
    )
    confidence_threshold: float = parameter(
        0.30,
        "Confidence threshold",
        "Regions below this score are left out of predictions.",
        "inference",
        ge=0.01,
        le=1.0,
    )
    nms_threshold: float = parameter(
        0.40,
        "NMS threshold",
        "Of two regions of one label that overlap (IoU) more than this, only the better one stays.",
        "inference",
        ge=0.01,
        le=1.0,
    )
    task_ids: Annotated[tuple[StrictInt, ...], Field(min_length=1, strict=False)] | None = parameter(
        None,
        "Training images",
        "The tasks to train on. If none are named, all annotated ones are used.",
        "images",
    )
    start_from: Name = parameter(
        SCRATCH,
        "Start from",
        "Start weights: scratch, current (the model that serves), or a version with the same backbone.",
        "model",
    )

    @model_validator(mode="after")
    def _learns_something(self) -> TrainingParams:
        names = self.at_least_one_on.names
        if not any(getattr(self, name) for name in names):
            message = f"{' and '.join(names)} are both false. {self.at_least_one_on.next_move}"
            raise PydanticCustomError("nothing_on", "{message}", {"message": message, "field": names[0]})
        return self

    def with_named_backbone(self) -> TrainingParams:
        """Return the parameters with the network that `auto` stands for, where no start version names one."""
        if self.backbone != AUTO:
            return self
        return replace(self, backbone=_WITH_IMAGENET if self.pretrained else _WITHOUT_IMAGENET)

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready types."""
        values: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return values

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Return the JSON schema of an object of parameters, all optional."""
        return TypeAdapter(cls).json_schema()

    @classmethod
    def fields(cls) -> tuple[ParameterField, ...]:
        """Return the description of every parameter, in the order of the declaration."""
        return tuple(_describe(name, schema) for name, schema in cls.schema()["properties"].items())


class ParameterField(BaseModel):
    """One parameter: what it may be, what it does, and where the panel shows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    title: str
    type: Literal["integer", "number", "choice", "boolean", "text", "list"]
    default: Any
    explanation: str
    minimum: int | float | None = None
    maximum: int | float | None = None
    choices: list[Any] | None = None
    tab: Tab

    @property
    def wanted(self) -> str:
        """What the value must be, for a message: `a whole number from 1 to 64`."""
        if self.choices is not None:
            return f"one of {', '.join(map(str, self.choices))}"
        kind = _WANTED[self.type]
        if self.minimum is None or self.maximum is None:
            return kind
        return f"{kind} from {plain_number(self.minimum)} to {plain_number(self.maximum)}"


def _describe(name: str, schema: Mapping[str, Any]) -> ParameterField:
    kind = schema.get("type")
    choices = schema.get("enum")
    types = {"integer": "integer", "number": "number", "boolean": "boolean", "string": "text"}
    return ParameterField(
        name=name,
        title=schema["title"],
        type="choice" if choices is not None else types.get(str(kind), "list"),  # type: ignore[arg-type]
        default=schema["default"],
        explanation=schema["description"],
        minimum=schema.get("minimum"),
        maximum=schema.get("maximum"),
        choices=choices,
        tab=schema[_TAB],
    )


PARAMETERS: Mapping[str, ParameterField] = {field.name: field for field in TrainingParams.fields()}
PARAMETER_NAMES = tuple(PARAMETERS)
THRESHOLD_NAMES = tuple(field.name for field in PARAMETERS.values() if field.tab == "inference")
"""The parameters that count when predicting."""


def parse_parameter(name: str, value: Any) -> Any:
    """Return the value of one parameter in its own type.

    Numbers given as text are refused; a whole float may stand for an int (8.0).
    Raises ParameterError naming field, what was wanted, and the value.
    """
    if name not in PARAMETERS:
        raise ParameterError(
            f"unknown parameter {name!r}; known are {', '.join(PARAMETER_NAMES)}", field=name
        )
    try:
        # The others have their defaults, so that this one alone can be refused.
        return getattr(TrainingParams(**{name: value}), name)
    except ValidationError as exc:
        wanted, came = PARAMETERS[name].wanted, repr(str(value)[:_SHOWN_CHARS])
        raise ParameterError(f"{name} must be {wanted}, got {came}", field=name) from exc


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
    try:
        return TrainingParams(**values), origins
    except ValidationError as exc:
        context = exc.errors()[0]["ctx"]
        raise ParameterError(context["message"], field=context["field"]) from exc


def plain_number(value: float) -> str:
    """Return a number as a person writes it, without an exponent: `0.00001`, `500`."""
    return f"{value:.5f}".rstrip("0").rstrip(".")
