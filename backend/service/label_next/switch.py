"""Handing out a project's pictures by their usefulness, by Label Studio's own means, and taking that back."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from backend.errors import LabelStudioError
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.label_next.requests import RankRequests
from backend.service.label_next.switched import KeptSwitches, Switched
from backend.service.ports import Json, LabelStudio
from backend.service.predicting.requests import BackgroundRequests
from backend.service.projects.connections import Connections
from backend.service.projects.projects import project_id

logger = logging.getLogger(__name__)

UNCERTAINTY, SEQUENTIAL = "Uncertainty sampling", "Sequential sampling"
"""Values of a project's `sampling` in Label Studio 1.23.2 (projects/models.py); it has the second one from
the start."""
TAB_TITLE = "Label next"
_UNLABELLED = {
    "filter": "filter:tasks:total_annotations",
    "operator": "equal",
    "type": "Number",
    "value": 0,
}
TAB: Json = {
    "title": TAB_TITLE,
    "type": "list",
    "target": "tasks",
    # Ascending: the lowest score is the most useful task, and tasks without a score come last.
    "ordering": ["tasks:predictions_score"],
    "filters": {"conjunction": "and", "items": [_UNLABELLED]},
}


@dataclass(frozen=True)
class Switch:
    """Switches the order of all projects on and off; threads may share it."""

    switches: KeptSwitches
    requests: RankRequests
    background: BackgroundRequests
    versions: LoadedVersions
    connections: Connections

    def turn(self, key: str, is_on: bool, score: str) -> str:
        """Switch the order on or off, choose what scores carry, and return the id of the job that follows.

        On: the project's sampling becomes uncertainty, a tab is made in the Data Manager, and what has no
        prediction of the serving version yet is predicted. Off: the sampling is what it was, unless somebody
        changed it meanwhile, and the tab is gone. Raises LabelStudioError, StoreError, QueueError.
        """
        before = self.switches.read(key)
        if is_on and not before.is_on:
            self._switch_on(key, replace(before, score=score))
        elif is_on:
            self.switches.write(key, replace(before, score=score))
        elif before.is_on:
            self._switch_off(key, replace(before, score=score))
        job_id = self.requests.request(key, scores_only=not is_on)
        if is_on and not before.is_on and self.versions.serving(key) is not None:
            self.background.predict_project(key)
        return job_id

    def _switch_on(self, key: str, before: Switched) -> None:
        number, label_studio = project_id(key), self.connections.label_studio(key)
        sampling = label_studio.project(number).get("sampling") or SEQUENTIAL
        view_id = label_studio.create_view(number, TAB)
        after = replace(before, is_on=True, sampling_before=str(sampling), view_id=view_id)
        # First what has to be restored, then the change: a process that is killed in between loses nothing.
        self.switches.write(key, after)
        try:
            label_studio.set_sampling(number, UNCERTAINTY)
        except LabelStudioError:
            self._remove_tab(key, label_studio, view_id)
            self.switches.write(key, before)
            raise
        logger.info("project %s: tasks are handed out by usefulness, before: %s", key, sampling)

    def _switch_off(self, key: str, before: Switched) -> None:
        number, label_studio = project_id(key), self.connections.label_studio(key)
        if label_studio.project(number).get("sampling") == UNCERTAINTY:
            label_studio.set_sampling(number, before.sampling_before or SEQUENTIAL)
        if before.view_id is not None:
            self._remove_tab(key, label_studio, before.view_id)
        self.switches.write(key, replace(before, is_on=False, sampling_before=None, view_id=None))
        logger.info("project %s: tasks are handed out as before", key)

    def _remove_tab(self, key: str, label_studio: LabelStudio, view_id: int) -> None:
        try:
            label_studio.delete_view(view_id)
        except LabelStudioError as exc:
            logger.warning("project %s: the tab %r stays: %s", key, TAB_TITLE, exc)
