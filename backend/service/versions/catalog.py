"""The versions that a person chooses among: the trained ones of a project, and the one without training."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.core.versions.card import VersionCard
from backend.errors import LabelConfigError
from backend.service.ports import ListedVersion
from backend.service.projects.projects import Projects
from backend.service.versions.models import Models

WITHOUT_TRAINING = "It finds objects by the names of their labels, and has learned nothing from this project."


@dataclass(frozen=True)
class VersionCatalog:
    """Lists versions, and lets one serve."""

    projects: Projects
    models: Models

    def list(self, key: str) -> list[ListedVersion]:
        """Return the trained versions, newest first, then the one without training, if there is one."""
        trained = self.models.store.list(key)
        name = self.models.zero_shot.name
        if name is None:
            return trained
        serving = self.models.loaded.serving(key)
        listed = [replace(version, is_current=version.card.version == serving) for version in trained]
        return [*listed, ListedVersion(self._untrained_card(key, name), False, serving == name)]

    def card(self, key: str, version: str) -> VersionCard:
        """Return the card of a version. Raises VersionError."""
        if version == self.models.zero_shot.name:
            return self._untrained_card(key, version)
        return self.models.store.card(key, version)

    def activate(self, key: str, version: str) -> None:
        """Let a version serve from now on, in all processes. Raises VersionError, StoreError."""
        if version == self.models.zero_shot.name:
            self.projects.choose_zero_shot(key, instead_of=self.models.store.current(key))
        else:
            self.models.store.activate(key, version)
            if self.projects.zero_shot_instead_of(key) is not None:
                self.projects.choose_zero_shot(key, instead_of=None)
        self.models.loaded.announce(key)

    def _untrained_card(self, key: str, name: str) -> VersionCard:
        zero_shot = self.models.zero_shot
        config = self._config(key)
        vocabulary = None if config is None else zero_shot.vocabulary(key, config)
        card = VersionCard(
            version=name,
            labels=() if vocabulary is None else vocabulary.labels,
            activation_reason=WITHOUT_TRAINING,
        )
        texts = {} if vocabulary is None else dict(zip(vocabulary.labels, vocabulary.texts, strict=True))
        return card.with_facts(is_trained=False, licence=zero_shot.state.licence, label_texts=texts)

    def _config(self, key: str) -> LabelConfig | None:
        try:
            return parse_label_config(self.projects.connection(key).label_config or "")
        except LabelConfigError:
            return None  # none is known yet, or it has no labels: the card then lists none
