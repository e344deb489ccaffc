"""What a person or a script sees of the order of a project's pictures, and may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from backend.service.jobs import jobs
from backend.service.jobs.requests import JobRequests
from backend.service.label_next.ranking import KeptRankings
from backend.service.label_next.requests import RankRequests
from backend.service.label_next.scores import PredictionScores
from backend.service.label_next.switch import Switch
from backend.service.label_next.switched import KeptSwitches
from backend.service.ports import Json


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
            "job": self.jobs.newest(key, jobs.RANK, "step", "fraction"),
            "total": len(tasks),
            "offset": offset,
            "tasks": [
                {"task_id": task_id, "usefulness": one.usefulness, "why": one.why}
                for task_id, one in best[offset : offset + limit]
            ],
        }
