"""Labels that stand in the data of each task: `<RectangleLabels value="$objects">`.

The data has a list of objects there, `{"value": "Cola", "alias": "c", "background": "#c00"}`. A training
learns what its tasks name, all together; what is predicted or answered in a task takes its own labels alone.
Source: the editor of Label Studio 1.23.2, its DynamicChildrenMixin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from backend.core.labelstudio.config_xml import WrittenLabel
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.label_names import read_names
from backend.core.labelstudio.task_pages import look_up

MOST_LABELS = 1000
"""So many labels of tasks are learned by place in the data, those first that most tasks name."""

Task = Mapping[str, Any]


def config_of_task(config: LabelConfig, task: Task) -> LabelConfig:
    """Return the config with the labels of one task, and of no other."""
    if not config.task_keys:
        return config
    return config.with_task_labels({key: _labels_at(key, task) or () for key in config.task_keys})


def config_of_tasks(config: LabelConfig, tasks: Iterable[Any]) -> LabelConfig:
    """Return the config with the labels that any of the tasks names: those named most often first."""
    if not config.task_keys:
        return config
    found: dict[str, dict[str, WrittenLabel]] = {key: {} for key in config.task_keys}
    named: dict[str, Counter[str]] = {key: Counter() for key in config.task_keys}
    for task in tasks:
        for key in config.task_keys if isinstance(task, Mapping) else ():
            its_labels = {label.stored: label for label in _labels_at(key, task) or ()}
            named[key].update(its_labels.keys())
            found[key] = its_labels | found[key]
    return config.with_task_labels(
        {
            key: [found[key][name] for name, _ in counted.most_common(MOST_LABELS)]
            for key, counted in named.items()
        }
    )


def keys_without_labels(config: LabelConfig, task: Task) -> tuple[str, ...]:
    """Return where a task's data should have a list of labels and has none."""
    return tuple(key for key in config.task_keys if not _labels_at(key, task))


def _labels_at(key: str, task: Task) -> tuple[WrittenLabel, ...] | None:
    """Return the labels of a list in a task's data; None where no list of labels stands there."""
    data = task.get("data")
    items = look_up(key, data) if isinstance(data, Mapping) else None
    if not isinstance(items, list):
        return None
    return tuple(label for item in items if (label := _label(item)) is not None)


def _label(item: Any) -> WrittenLabel | None:
    if not isinstance(item, Mapping):
        return None
    [value, *_] = [*read_names(item.get("value")), ""]
    [stored, *_] = [*read_names(item.get("alias")), value]
    color = item.get("background")
    return WrittenLabel(stored, value, color if isinstance(color, str) else "") if stored else None
