"""Which images a task has: one page per image tag, or one per picture of a list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.core.labelstudio.control_tags import ImageTag
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.regions.values import parse_whole_number
from backend.errors import AnnotationError

UNDEFINED_KEY = (
    "$undefined$"  # where Label Studio keeps the addresses of a plain list before it knows a config
)
_VARIABLE = re.compile(r"\$([\w\[\].{}-]+)")
_PATH_PART = re.compile(r"[^.\[\]{}]+")
# Under which keys an object holds the address of its picture.
_ADDRESS_KEYS = frozenset({"url", "uri", "src", "href", "path", "image", "img", "image_url"})
_SHOWN_KEYS = 10


@dataclass(frozen=True)
class TaskPage:
    """One image of a task: its tag, its place in a list (None for a single image), where it is to be had."""

    image_tag: str
    item_index: int | None
    reference: str


def task_pages(task: Mapping[str, Any], config: LabelConfig) -> list[TaskPage]:
    """Return every image of a task of which a control tag asks something, in the config's order.

    An image tag whose data is missing is passed over as long as another has its own. A picture is also found
    in an object that has one address, in a list of one, and under a key of another case.
    Raises AnnotationError if none is left, naming the keys that were looked for and those that are there.
    """
    data = task.get("data")
    if not isinstance(data, Mapping):
        raise AnnotationError(f"a task needs an object as `data`, got {type(data).__name__}", field="data")
    tags = [image for image in config.images if config.is_asked_of(image.name)]
    pages = [page for tag in tags for page in _pages_of_tag(tag, data)]
    if not pages:
        wanted = ", ".join(repr(tag.repeater.on_key if tag.repeater else tag.value_key) for tag in tags)
        raise AnnotationError(
            f"the task's data has no image under {wanted}; {_shown_keys(data)}", field="data"
        )
    return pages


def _pages_of_tag(tag: ImageTag, data: Mapping[str, Any]) -> list[TaskPage]:
    if tag.repeater is not None:
        items = look_up(tag.repeater.on_key, data)
        indices = range(len(items)) if isinstance(items, list) else ()
        repeated = [(tag.at(index), _value_of(tag.at(index), data)) for index in indices]
        # A tag that names the whole list means the item that it stands for.
        values = [(one, value[k] if value is items else value) for k, (one, value) in enumerate(repeated)]
        return [page for one, value in values for page in _pages_in(one, value)]
    value = _value_of(tag, data)
    return _pages_in(tag, data.get(UNDEFINED_KEY) if value is None else value)


def _pages_in(tag: ImageTag, value: Any) -> list[TaskPage]:
    if not tag.is_list:
        reference = _reference(value)
        return [] if reference is None else [TaskPage(tag.name, None, reference)]
    items = value if isinstance(value, list) else [value]
    references = [_reference(item) for item in items]
    return [
        TaskPage(tag.name, index, reference)
        for index, reference in enumerate(references)
        if reference is not None
    ]


def _value_of(tag: ImageTag, data: Mapping[str, Any]) -> Any:
    return _template_value(tag.template, data) if tag.template else look_up(tag.value_key, data)


def _reference(value: Any) -> str | None:
    """Return the address that a value is or plainly holds; None where it holds none, or several."""
    if isinstance(value, str):
        return _address(value) or None
    if isinstance(value, list):
        return _reference(value[0]) if len(value) == 1 else None
    if isinstance(value, Mapping):
        texts = {key: inner for key, inner in value.items() if isinstance(inner, str) and inner.strip()}
        named = [text for key, text in texts.items() if str(key).lower() in _ADDRESS_KEYS]
        found = named or list(texts.values())
        return _address(found[0]) if len(found) == 1 else None
    return None


def _address(text: str) -> str:
    """Return an address as browsers read it: without blanks around it, its `data:` in any case."""
    stripped = text.strip()
    is_data_uri = stripped[:5].lower() == "data:"
    return f"data:{stripped[5:]}" if is_data_uri else stripped


def _template_value(template: str, data: Mapping[str, Any]) -> str | None:
    """Return a template with its variables filled in; None where one has no value."""
    filled, end = "", 0
    for match in _VARIABLE.finditer(template):
        value = _variable_value(match[1], data)
        if value is None:
            return None
        filled, end = filled + template[end : match.start()] + value, match.end()
    return filled + template[end:]


def _variable_value(text: str, data: Mapping[str, Any]) -> str | None:
    """Return the value of the longest name at the start of a text, and what follows it.

    A full stop or hyphen may belong to the name, or part it from what follows: `$file-name.png`.
    """
    for end in (len(text), *(match.start() for match in reversed([*re.finditer(r"[.-]", text)]))):
        value = look_up(text[:end], data)
        if isinstance(value, str | int):
            return f"{value}{text[end:]}"
    return None


def look_up(key: str, data: Mapping[str, Any]) -> Any:
    """Return data[key], or the value at the end of a dotted path, or None; case counts where it must."""
    if key in data:
        return data[key]
    found: Any = data
    parts = _PATH_PART.findall(key)
    for part in parts:
        if isinstance(found, Mapping):
            alike = [part] if part in found else [k for k in found if str(k).lower() == part.lower()]
            found = found[alike[0]] if len(alike) == 1 else None
        elif isinstance(found, list):
            place = parse_whole_number(part)
            found = found[place] if place is not None and place < len(found) else None
        else:
            return None
    return found if parts else None


def _shown_keys(data: Mapping[str, Any]) -> str:
    if not data:
        return "it is empty"
    keys = [f"{str(key)[:40]!r} ({_kind_of(value)})" for key, value in data.items()]
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return f"it has {', '.join(keys[:_SHOWN_KEYS])}{more}"


def _kind_of(value: Any) -> str:
    if isinstance(value, str):
        return "text" if value.strip() else "empty text"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, Mapping):
        return "an object with " + (", ".join(str(key)[:40] for key in list(value)[:5]) or "no keys")
    return "nothing" if value is None else "a number"
