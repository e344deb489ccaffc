"""Which images a task has: one page per image tag, or one per picture of a list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.core.labelstudio.label_config import ImageTag, LabelConfig
from backend.errors import AnnotationError

UNDEFINED_KEY = (
    "$undefined$"  # where Label Studio keeps the addresses of a plain list before it knows a config
)
_VARIABLE = re.compile(r"\$([\w\[\].{}]+)")


@dataclass(frozen=True)
class TaskPage:
    """One image of a task: its tag, its place in a list (None for a single image), where it is to be had."""

    image_tag: str
    item_index: int | None
    reference: str


def task_pages(task: Mapping[str, Any], config: LabelConfig) -> list[TaskPage]:
    """Return every image of a task on which a control tag draws, in the config's order.

    An image tag whose data is missing is passed over as long as another has its own.
    Raises AnnotationError if none is left, naming the keys that were looked for.
    """
    data = task.get("data")
    if not isinstance(data, Mapping):
        raise AnnotationError(f"a task needs an object as `data`, got {type(data).__name__}", field="data")
    tags = [image for image in config.images if config.controls_for_image(image.name)]
    pages = [page for tag in tags for page in _pages_of_tag(tag, data)]
    if not pages:
        wanted = ", ".join(repr(tag.value_key) for tag in tags)
        raise AnnotationError(f"the task's data has no image under {wanted}", field="data")
    return pages


def _pages_of_tag(tag: ImageTag, data: Mapping[str, Any]) -> list[TaskPage]:
    value = _template_value(tag.template, data) if tag.template else _look_up(tag.value_key, data)
    if value is None:
        value = data.get(UNDEFINED_KEY)
    if tag.is_list:
        items = value if isinstance(value, list) else [value]
        return [
            TaskPage(tag.name, index, item)
            for index, item in enumerate(items)
            if isinstance(item, str) and item
        ]
    return [TaskPage(tag.name, None, value)] if isinstance(value, str) and value else []


def _template_value(template: str, data: Mapping[str, Any]) -> str | None:
    values = {name: _look_up(name, data) for name in _VARIABLE.findall(template)}
    if any(not isinstance(value, str | int) for value in values.values()):
        return None
    return _VARIABLE.sub(lambda match: str(values[match.group(1)]), template)


def _look_up(key: str, data: Mapping[str, Any]) -> Any:
    """Return data[key], or the value at the end of a dotted path, or None."""
    if key in data:
        return data[key]
    found: Any = data
    for part in re.findall(r"\w+", key):
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found if key else None
