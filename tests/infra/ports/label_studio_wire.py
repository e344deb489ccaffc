"""A project of a Label Studio behind its HTTP API, as far as the LabelStudio port calls it.

Source: Label Studio 1.23.2; `make e2e` asks a real one the same.
"""

from __future__ import annotations

import itertools
import json
import re
from urllib.parse import parse_qs

from tests.http_server import Answer

GONE = Answer(status=404)


class LabelStudioWire:
    """Answers for one project; give it to a WebServer as its `routes`."""

    def __init__(self, project_id, tasks, label_config):
        self.project = {
            "id": project_id,
            "label_config": label_config,
            "model_version": None,
            "sampling": "Sequential sampling",
        }
        self.tasks = {task["id"]: dict(task) for task in tasks}
        self.annotations, self.predictions, self.views = {}, {}, {}
        self._ids = itertools.count(1)

    def get(self, path, default=None):
        """Return what answers a path, as the routes of a WebServer do."""
        for pattern, answer in self._patterns():
            if found := re.fullmatch(pattern, path):
                numbers = [int(number) for number in found.groups()]
                return lambda seen: answer(seen, *numbers)
        return default

    def _patterns(self):
        return (
            (r"/api/projects/", lambda seen: _reply({"results": [self.project], "next": None})),
            (r"/api/projects/(\d+)/", self._project),
            (r"/api/projects/(\d+)/export", self._export),
            (r"/api/projects/(\d+)/import/predictions", self._import),
            (r"/api/tasks/", self._list),
            (r"/api/tasks/(\d+)/annotations/", self._annotations),
            (r"/api/annotations/(\d+)/", self._annotation),
            (r"/api/predictions/", self._predictions),
            (r"/api/predictions/(\d+)/", self._prediction),
            (r"/api/dm/views/", self._new_view),
            (r"/api/dm/views/(\d+)/", lambda seen, number: self._delete(self.views, number)),
            (r"/api/(?:ml|webhooks)/", lambda seen: _reply([])),
        )

    def _project(self, seen, project_id):
        if project_id != self.project["id"]:
            return GONE
        if seen.method == "PATCH":
            self.project.update(json.loads(seen.body))
        return _reply(self.project)

    def _export(self, seen, project_id):
        if project_id != self.project["id"]:
            return GONE
        whole = [
            {**task, "annotations": self._of(self.annotations, task["id"])} for task in self.tasks.values()
        ]
        return _reply([task for task in whole if task["annotations"]])

    def _import(self, seen, project_id):
        sent = json.loads(seen.body)
        if any(item["task"] not in self.tasks for item in sent):
            return _reply({"detail": "there is no such task"}, 400)
        for item in sent:
            self._add(self.predictions, item)
        return _reply({"created": len(sent)}, 201)

    def _list(self, seen):
        asked = {name: values[0] for name, values in parse_qs(seen.query).items()}
        if int(asked["project"]) != self.project["id"]:
            return GONE
        found = [self._row(task) for task in self.tasks.values()]
        for condition in json.loads(asked["query"])["filters"]["items"]:
            found = [row for row in found if self._holds(condition, row)]
        size, page = int(asked["page_size"]), int(asked["page"])
        shown = found[size * (page - 1) : size * page]
        return _reply({"tasks": shown, "total": len(found)}) if shown or page == 1 else GONE

    def _row(self, task):
        predictions = self._of(self.predictions, task["id"])
        scores = [prediction["score"] for prediction in predictions]
        return {
            **task,
            "total_annotations": len(self._of(self.annotations, task["id"])),
            "total_predictions": len(predictions),
            "predictions_score": sum(scores) / len(scores) if scores else None,
        }

    def _holds(self, condition, row):
        column, value = condition["filter"].removeprefix("filter:tasks:"), condition["value"]
        if column == "predictions_model_versions":
            return any(item["model_version"] in value for item in self._of(self.predictions, row["id"]))
        return row[column] > value if condition["operator"] == "greater" else row[column] < value

    def _annotations(self, seen, task_id):
        if task_id not in self.tasks:
            return GONE
        if seen.method == "POST":
            return _reply(self._add(self.annotations, {"task": task_id, **json.loads(seen.body)}), 201)
        return _reply(self._of(self.annotations, task_id))

    def _annotation(self, seen, number):
        if seen.method != "PATCH":
            return self._delete(self.annotations, number)
        if number not in self.annotations:
            return GONE
        self.annotations[number].update(json.loads(seen.body))
        return _reply(self.annotations[number])

    def _prediction(self, seen, number):
        if seen.method != "PATCH":
            return self._delete(self.predictions, number)
        if number not in self.predictions:
            return GONE
        self.predictions[number].update(json.loads(seen.body))
        return _reply(self.predictions[number])

    def _new_view(self, seen):
        return _reply(self._add(self.views, json.loads(seen.body)), 201)

    def _predictions(self, seen):
        return _reply(self._of(self.predictions, int(parse_qs(seen.query)["task"][0])))

    def _add(self, table, item):
        number = next(self._ids)
        table[number] = {"id": number, **item}
        return table[number]

    @staticmethod
    def _of(table, task_id):
        return [item for item in table.values() if item["task"] == task_id]

    @staticmethod
    def _delete(table, number):
        return GONE if table.pop(number, None) is None else Answer(status=204)


def _reply(value, status=200):
    return Answer(json.dumps(value).encode(), status, {"Content-Type": "application/json"})
