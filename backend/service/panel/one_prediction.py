"""The prediction of one task that a person asks for in the panel."""

from __future__ import annotations

from dataclasses import dataclass

from backend.errors import ConflictError
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.ports import Json
from backend.service.predicting.answer import PredictRequest, TaskPredictions
from backend.service.projects.connections import Connections
from backend.service.projects.projects import project_id


@dataclass(frozen=True)
class OnePrediction:
    """Predicts a task as `/predict` does, with the labeling config that Label Studio has now."""

    connections: Connections
    versions: LoadedVersions
    predictions: TaskPredictions

    def predict(self, key: str, task: Json, lowest_score: float) -> Json | None:
        """Return `{result, score, model_version}`, None where nothing predicts the project yet.

        Raises ConflictError where the task cannot be predicted, LabelStudioError.
        """
        project = self.connections.label_studio(key).project(project_id(key))
        if self.versions.serving(key) is None:
            return None
        request = PredictRequest(
            project=key,
            label_config=str(project["label_config"]),
            tasks=[task],
            regions_from=lowest_score,
        )
        entry = self.predictions.predict(request)[0]
        if isinstance(entry, list):
            entry = entry[0] if entry else {}
        if not entry:
            raise ConflictError(f"task {task['id']} could not be predicted; the service's log says why")
        return entry
