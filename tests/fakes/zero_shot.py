"""Stands for a network that finds objects by the names of their labels."""

from __future__ import annotations

from collections.abc import Callable

from backend.errors import VersionError
from backend.service.engine.named_network import NamedNetwork
from backend.service.engine.zero_shot import ZERO_SHOT, OpenVocabularyNetwork, Vocabulary, ZeroShot
from backend.service.projects.projects import Projects
from tests.fakes.predictor import FakePredictor

NAME = "zero-shot-a-b"


class FakeZeroShot:
    """Finds one object per label; notes what it was asked for. Give `make` to `make_services`.

    before_loading: takes the time of a download; without it the network is there from the start.
    """

    def __init__(
        self,
        seconds: float = 0.0,
        problem: str | None = None,
        before_loading: Callable[[], object] | None = None,
    ) -> None:
        self.asked: list[Vocabulary] = []
        self.seconds = seconds
        self.problem = problem
        self.before_loading = before_loading

    def make(self, projects: Projects) -> ZeroShot:
        network = NamedNetwork("ZERO_SHOT_MODEL a/b", self._load, ZERO_SHOT, is_local=True)
        made = ZeroShot(projects, NAME, network)
        if self.before_loading is None:
            made.warm_up()
        return made

    def _load(self) -> OpenVocabularyNetwork:
        if self.before_loading is not None:
            self.before_loading()
        if self.problem is not None:
            raise VersionError(self.problem)
        return OpenVocabularyNetwork(self._predictor, "mit")

    def _predictor(self, version: str, vocabulary: Vocabulary) -> FakePredictor:
        self.asked.append(vocabulary)
        predictor = FakePredictor(vocabulary.labels, version, self.seconds)
        predictor.most_at_once = 1
        return predictor
