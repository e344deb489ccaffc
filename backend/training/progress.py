"""How far a training is, over all its stages: what a user's progress bar shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from backend.training.inputs import EpochReport, Stage, TrainingObserver, TrainingProgress

LOADING_SHARE = 0.05
"""The part of the bar that loading images gets: how long it takes is known only when it is over."""


class StagedObserver:
    """Passes on what a training reports, and says each time how much of the whole is done.

    After loading, the bar shows time: what was spent, over what was spent and is left. It never goes back.
    seconds_after: how long the stages after learning take where learning took so many seconds.
    """

    def __init__(self, observer: TrainingObserver, seconds_after: Callable[[float], float]) -> None:
        self._observer = observer
        self._seconds_after = seconds_after
        self._fraction = 0.0
        self._learning_s = 0.0

    def loading(self, done: int, total: int) -> None:
        """Say how many of the images are loaded."""
        self._tell(Stage.LOAD, LOADING_SHARE * done / max(total, 1), None)

    def on_epoch(self, report: EpochReport) -> None:
        """Pass on an epoch; the time left counts the later stages too."""
        self._learning_s = report.seconds_spent
        after_s = self._seconds_after(report.seconds_spent + report.seconds_left)
        self._spend(Stage.TRAIN, report.seconds_spent, report.seconds_left + after_s)
        self._observer.on_epoch(replace(report, seconds_left=report.seconds_left + after_s))

    def on_judging(self) -> None:
        """Say that what was learned is being judged."""
        self._spend(Stage.JUDGE, self._learning_s, self._seconds_after(self._learning_s))

    def tuning(self, seconds_spent: float, seconds_left: float) -> None:
        """Say how long the smart tools have been tuned, and how long they still will be."""
        self._spend(Stage.TUNE, self._learning_s + seconds_spent, seconds_left)

    def writing(self) -> None:
        """Say that only the version's files are left to write."""
        self._tell(Stage.WRITE, 1.0, 0.0)

    def tiles(self, reason: str) -> None:
        """Say how the images are cut, and why."""
        self._observer.on_tiles(reason)

    def on_warning(self, message: str) -> None:
        """Pass on a warning."""
        self._observer.on_warning(message)

    def stop_requested(self) -> str | None:
        """Pass on the question whether to stop."""
        return self._observer.stop_requested()

    def _spend(self, stage: Stage, spent_s: float, left_s: float) -> None:
        share = spent_s / max(spent_s + left_s, 1e-6)
        self._tell(stage, LOADING_SHARE + (1 - LOADING_SHARE) * share, left_s)

    def _tell(self, stage: Stage, fraction: float, left_s: float | None) -> None:
        self._fraction = max(self._fraction, fraction)
        self._observer.on_progress(TrainingProgress(stage, self._fraction, left_s))
