"""Predictions before the first label: a network that finds objects by the names of their labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backend.core.labelstudio.label_config import LabelConfig
from backend.core.regions.kind import Teaches
from backend.errors import NotReadyError, VersionError
from backend.service.engine.image_predictor import ImagePredictor
from backend.service.engine.named_network import NamedNetwork, NetworkState, Role
from backend.service.engine.stand_in import StandIn
from backend.service.projects.extra_params import label_texts
from backend.service.projects.projects import Projects

ZERO_SHOT = Role(
    "%s predicts projects that have no trained version; licence of its weights: %s",
    "projects that have no trained version get no predictions, because %s cannot be used: %s",
)


@dataclass(frozen=True)
class Vocabulary:
    """What to look for. labels: by name; texts: how the network is asked for each, in the same order.

    with_masks: whether outlines are wanted, not only boxes.
    """

    labels: tuple[str, ...]
    texts: tuple[str, ...]
    with_masks: bool


@dataclass(frozen=True)
class OpenVocabularyNetwork:
    """A loaded network. predictor: for a version's name and a vocabulary. licence: of the weights."""

    predictor: Callable[[str, Vocabulary], ImagePredictor]
    licence: str


class ZeroShot(StandIn):
    """Predicts projects in which no trained version serves. Threads may share it."""

    def __init__(
        self, projects: Projects, name: str = "", network: NamedNetwork[OpenVocabularyNetwork] | None = None
    ) -> None:
        """Load nothing yet. name: of its predictions' version. network: None where the settings name none."""
        self._projects = projects
        self._name = name
        self._network = network

    @property
    def name(self) -> str | None:
        """The name that its predictions carry; None without a network, and where it cannot be loaded."""
        if self._network is None or self._network.state.problem is not None:
            return None
        return self._name

    def version(self, project_key: str) -> str | None:
        """Return the same name for every project."""
        return self.name

    def is_own(self, version: str) -> bool:
        """Tell whether predictions of that name are its own."""
        return version == self.name

    @property
    def state(self) -> NetworkState:
        """Say whether the network answers now."""
        return NetworkState() if self._network is None else self._network.state

    def warm_up(self) -> None:
        """Load the network; where it has to be downloaded this does not wait for it."""
        if self._network is not None:
            self._network.warm_up()

    def vocabulary(self, project_key: str, config: LabelConfig) -> Vocabulary:
        """Return what is looked for in a project: its labels, by the texts of its connection or by name."""
        texts = label_texts(self._projects.connection(project_key).extra_params)
        return Vocabulary(
            config.labels,
            tuple(texts.get(label) or _as_text(label) for label in config.labels),
            any(
                control.kind.teaches is Teaches.MASK and control.learned_labels for control in config.controls
            ),
        )

    def predictor(self, project_key: str, config: LabelConfig) -> ImagePredictor | None:
        """Return what predicts a project now, None without a network or labels.

        Raises NotReadyError while the network is being loaded, or downloaded.
        """
        loaded = None if self._network is None else self._network.loaded()
        if loaded is None and self.name is not None and config.labels:
            raise NotReadyError(
                f"the network of {self.name} is still being loaded; ask again in a minute", version=self.name
            )
        return self._predictor(project_key, config, loaded)

    def awaited_predictor(self, project_key: str, version: str, config: LabelConfig) -> ImagePredictor:
        """Return the same once the network is loaded. Raises VersionError where it cannot be used."""
        loaded = None if self._network is None else self._network.awaited()
        found = self._predictor(project_key, config, loaded)
        if found is None:
            raise VersionError(
                f"{self._name or 'what needs no training'} cannot predict project {project_key}: "
                f"{self.state.problem or 'the project has no labels'}"
            )
        return found

    def is_chosen(self, project_key: str, trained: str) -> bool:
        """Tell whether it was chosen in place of that version; a choice ends when another one serves."""
        return self.name is not None and self._projects.zero_shot_instead_of(project_key) == trained

    def _predictor(
        self, project_key: str, config: LabelConfig, loaded: OpenVocabularyNetwork | None
    ) -> ImagePredictor | None:
        if loaded is None or not config.labels:
            return None
        return loaded.predictor(self._name, self.vocabulary(project_key, config))


def _as_text(label: str) -> str:
    """Return a label as words: underscores join what a text would write apart."""
    return " ".join(label.replace("_", " ").split())
