"""The label-studio-ml class: works under 1.0.9 and 2.x, in our own server and in theirs.

Their servers build it anew for every request, so it holds only names; the work is in `backend.service`.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from backend import INSTALL_LABEL_STUDIO_ML

try:
    from label_studio_ml.model import LabelStudioMLBase
except ImportError as exc:
    raise ImportError(INSTALL_LABEL_STUDIO_ML) from exc

from backend.bootstrap.backend import shared_backend
from backend.service.backend import Backend
from backend.service.engine.pipeline import task_id_of
from backend.service.predicting.answer import PredictRequest, config_of
from backend.service.projects.documents import ImageCredentials
from backend.service.projects.projects import key_of_project_object, parse_project_key

logger = logging.getLogger(__name__)

START_TRAINING = "START_TRAINING"
UNNAMED_PROJECT = "0"
OWN_KEYS = ("model_version", "label_config", "parsed_label_config", "extra_params")
# 2.x is built with a project id, 1.0.9 with a labeling config alone.
_TAKES_PROJECT = "project_id" in inspect.signature(LabelStudioMLBase.__init__).parameters


class LearningBackend(LabelStudioMLBase):  # type: ignore[misc]
    """Learns from a project's annotations and predicts its tasks."""

    def __init__(
        self,
        project_id: str | None = None,
        label_config: str | None = None,
        train_output: Mapping[str, Any] | None = None,
        *,
        backend: Backend | None = None,
        **kwargs: Any,
    ) -> None:
        """Take what either generation hands over; backend: that of our own server, where it builds this."""
        self._backend = backend or shared_backend()
        self._project = parse_project_key(project_id) if project_id else None
        self._label_config = label_config
        if _TAKES_PROJECT:
            super().__init__(project_id=self._project, label_config=label_config)
        else:
            super().__init__(label_config=None, train_output=train_output, **kwargs)
            self._label_config = label_config
        if self._project is not None and backend is None:
            self._backend.projects.remember(self._key(), label_config=label_config)

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[Any]:
        """Return one entry per task; with a context, the one answer to a smart tool's prompts.

        kwargs: login, password and thresholds, as they stand in the request's `params`; our own server adds
        is_label_studio.
        """
        login, password = kwargs.pop("login", None), kwargs.pop("password", None)
        is_label_studio = bool(kwargs.pop("is_label_studio", False))
        key = self._key(tasks)
        if context:
            config = config_of(self._backend.projects, key, self._label_config)
            task = tasks[0] if tasks else {}
            access = self._backend.connections.image_access(
                key, task_id_of(task), ImageCredentials(login, password)
            )
            return [self._backend.smart_tools.answer(task, config, context, key, access)]
        request = PredictRequest(
            project=key,
            label_config=self._label_config,
            tasks=tasks,
            params=kwargs,
            login=login,
            password=password,
            is_label_studio=is_label_studio,
        )
        return self._backend.predictions.predict(request)

    def fit(self, what: Any = (), data: Any = None, /, **kwargs: Any) -> dict[str, Any]:
        """Queue a training and return at once; nothing is trained in here.

        2.x: fit('START_TRAINING', data), or both by name; other events are hints. 1.0.9: fit(tasks, workdir,
        **kwargs), where for an event the tasks are empty and event and data stand in kwargs.
        """
        if isinstance(what, str):
            event, tasks = what, []
        else:
            event, tasks = str(kwargs.get("event", START_TRAINING)), list(what or ())
            data = kwargs.get("data")
        project = data.get("project") if isinstance(data, Mapping) else None
        if event != START_TRAINING and not tasks:
            return {"status": self._backend.events.note(event, project)}
        raw = key_of_project_object(project) if project else self._key(tasks)
        config = project.get("label_config") if isinstance(project, Mapping) else None
        config = config or self._label_config
        key = self._backend.projects.canonical(raw, config)
        job_id = self._backend.trainings.request(
            key, label_config=config, tasks=tasks or None, follow_up=True, source=event
        )
        return {"job": job_id, "project": key}

    # -- what 2.x keeps in a cache file: ours come from the service ---------------------------------------

    @property
    def label_config(self) -> str | None:
        """The labeling config this instance was built with, else the project's last known one."""
        return self._label_config or self._backend.projects.connection(self._key()).label_config

    @label_config.setter
    def label_config(self, value: str | None) -> None:
        self._label_config = value

    def use_label_config(self, label_config: str) -> None:
        """Take a labeling config; it is read when it is needed."""
        self._label_config = label_config

    def get(self, key: str) -> Any:
        """Return a value that 2.x's server asks for; `model_version` is the version that serves."""
        if key == "model_version":
            return self._backend.models.loaded.reported(self._key())
        if key == "label_config":
            return self._label_config
        if key == "extra_params":
            return json.dumps(self._backend.projects.connection(self._key()).extra_params)
        if key == "parsed_label_config":
            return json.dumps(_parse_config(self._label_config))
        return super().get(key) if _TAKES_PROJECT else None

    def set(self, key: str, value: Any) -> None:
        """Keep a value in 2.x's cache; ours are not to be overwritten from there."""
        if _TAKES_PROJECT and key not in OWN_KEYS:
            super().set(key, str(value))

    def has(self, key: str) -> bool:
        """Tell whether `get` has a value."""
        return key in OWN_KEYS or (_TAKES_PROJECT and bool(super().has(key)))

    def set_extra_params(self, extra_params: Any) -> None:
        """Take the connection's Extra params."""
        self._backend.projects.remember(self._key(), extra_params=extra_params)

    @property
    def extra_params(self) -> dict[str, Any]:
        """The usable Extra params of the connection."""
        return self._backend.projects.connection(self._key()).extra_params

    def _key(self, tasks: Iterable[Any] = ()) -> str:
        """Return the project's key; 1.0.9 names no project, so there it is read off the tasks."""
        project = self._project
        if project is None:
            project = next((task.get("project") for task in tasks if isinstance(task, Mapping)), None)
        return self._backend.projects.canonical(
            UNNAMED_PROJECT if project is None else project, self._label_config
        )


def _parse_config(label_config: str | None) -> dict[str, Any]:
    """Return what label-studio-ml 2.x calls the parsed labeling config."""
    from label_studio_sdk._extensions.label_studio_tools.core.label_config import parse_config

    return dict(parse_config(label_config)) if label_config else {}  # type: ignore[no-untyped-call]
