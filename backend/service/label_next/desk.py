"""What a person or a script sees of the order of a project's pictures, and may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from backend.errors import QueueError
from backend.service.jobs import jobs
from backend.service.jobs.requests import JobRequests
from backend.service.label_next.ranking import KeptRankings
from backend.service.label_next.requests import RankRequests
from backend.service.label_next.scores import PredictionScores
from backend.service.label_next.switch import Switch
from backend.service.label_next.switched import KeptSwitches
from backend.service.ports import JobRecord, Json


@dataclass(frozen=True)
class LabelNextDesk:
    """The web's half of the order."""

    requests: RankRequests
    rankings: KeptRankings
    switches: KeptSwitches
    scores: PredictionScores
    switch: Switch
    jobs: JobRequests

    def listed(self, key: str, *, offset: int, limit: int) -> Json:
        """Return a part of the last order, the most useful first, and whether tasks are handed out by it."""
        ranking, switched = self.rankings.last(key), self.switches.read(key)
        tasks = {} if ranking is None else ranking.tasks
        best = sorted(tasks.items(), key=lambda item: (-item[1].usefulness, item[0]))
        return {
            "is_on": switched.is_on,
            "score": switched.score,
            "made_at": None if ranking is None else ranking.made_at,
            "version": None if ranking is None else ranking.version,
            "labelled": 0 if ranking is None else ranking.labelled,
            "job": self._job(key),
            "total": len(tasks),
            "offset": offset,
            "tasks": [
                {"task_id": task_id, "usefulness": one.usefulness, "why": one.why}
                for task_id, one in best[offset : offset + limit]
            ],
        }

    def _job(self, key: str) -> Json | None:
        """Return the newest ranking that was asked for, in short; None while Redis is away."""
        try:
            records = self.jobs.queue.records(key)
        except QueueError:
            return None
        newest: JobRecord | None = next((one for one in records if one.kind == jobs.RANK), None)
        if newest is None:
            return None
        return {
            "job_id": newest.job_id,
            "status": newest.status,
            "is_active": newest.is_active,
            "step": newest.progress.get("step"),
            "fraction": newest.progress.get("fraction"),
            "error": newest.error,
        }
