"""What a person sees of what would be, and was, accepted by precision."""

from __future__ import annotations

from dataclasses import dataclass

from backend.service.acceptance.requests import AcceptRequests
from backend.service.acceptance.survey import Batch, KeptSurveys, plan
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.jobs import jobs
from backend.service.jobs.requests import JobRequests
from backend.service.ports import Json


@dataclass(frozen=True)
class AcceptanceDesk:
    """The web's half of accepting by precision."""

    requests: AcceptRequests
    kept: KeptSurveys
    jobs: JobRequests
    versions: LoadedVersions

    def shown(self, key: str, precision: float) -> Json:
        """Return what would be accepted at a precision, what was, and the newest job."""
        survey = self.kept.survey(key)
        batches = self.kept.batches(key)
        content: Json = {
            "precision": precision,
            "survey": None,
            "batches": [_batch_view(batch) for batch in batches],
            "job": self.jobs.newest(key, jobs.ACCEPT, "done", "total"),
        }
        if survey is None:
            return content
        accepted = {task for b in batches if b.state != "undone" for task, _, _ in b.annotations}
        found = plan(survey, precision, accepted)
        content["survey"] = {
            "made_at": survey.made_at,
            "version": survey.version,
            "is_current": survey.version == self.versions.current(key),
            "held_out_images": survey.held_out,
            "tasks": len(survey.tasks),
            "tasks_accepted": len(found.whole),
            "tasks_doubtful": found.doubtful,
            "tasks_empty": found.empty,
            "regions_accepted": found.regions,
            "mistakes_expected": round(found.mistakes, 1),
            "labels": [
                {
                    "label": label,
                    "score": cut.score,
                    "objects": cut.objects,
                    "right": cut.right,
                    "precision": round(cut.precision, 4),
                }
                for label, cut in zip(survey.labels, found.cutoffs, strict=True)
            ],
        }
        return content


def _batch_view(batch: Batch) -> Json:
    return {
        "batch_id": batch.batch_id,
        "made_at": batch.made_at,
        "version": batch.version,
        "precision": batch.precision,
        "state": batch.state,
        "tasks": len(batch.annotations),
        "regions": batch.regions,
        "mistakes_expected": round(batch.mistakes, 1),
        "passed_over": batch.passed_over,
        "kept": batch.kept,
    }
