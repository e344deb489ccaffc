"""Predictions by example: from the first labelled thing on, until a version is trained."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial

from backend.core.labelstudio.label_config import LabelConfig
from backend.core.regions.kind import Teaches
from backend.errors import NotReadyError, VersionError
from backend.service.by_example.examples import BY_EXAMPLE, Examples, LabelledPicture, labelled_pictures
from backend.service.by_example.known_examples import KnownExamples
from backend.service.engine.image_predictor import ImagePredictor
from backend.service.engine.shared_cache import SharedCache, Start, run_in_thread
from backend.service.engine.stand_in import StandIn
from backend.service.ports import ImageSource
from backend.service.projects.connections import Connections

logger = logging.getLogger(__name__)

SETUP_WAIT_S = 2.0
"""How long `/setup` waits for a look at the labels."""
READING_WAIT_S = 60.0
"""How long a job waits for a look at the labels."""
MOST_LEARNED = 8
_IN_THREAD = run_in_thread("learn-examples")

LearnFrom = Callable[[Sequence[LabelledPicture], Sequence[str], str, bool], ImagePredictor]
"""Makes a predictor of pictures, the labels they point into, its name, and whether outlines are wanted."""


class ByExample(StandIn):
    """Predicts the like of what is labelled; needs nothing but a labelled thing."""

    def __init__(
        self,
        known: KnownExamples,
        images: ImageSource,
        connections: Connections,
        learn: LearnFrom,
        *,
        wait_s: float,
        start: Start = _IN_THREAD,
    ) -> None:
        """Learn nothing yet; wait_s: how long a prediction waits for the learning, start: what runs it."""
        self._known = known
        self._images = images
        self._connections = connections
        self._learn = learn
        self._wait_s = wait_s
        self._start = start
        self._learned: SharedCache[tuple[str, str], ImagePredictor] = SharedCache(MOST_LEARNED)

    def version(self, project_key: str) -> str | None:
        """Return `by-example-<digest of the examples>`, None where nothing is labelled."""
        examples = self._known.of(project_key, SETUP_WAIT_S)
        return None if examples is None else examples.version

    def described(self, project_key: str) -> str | None:
        """Return how many examples were seen last, without asking Label Studio."""
        examples = self._known.known(project_key)
        if examples is None:
            return None
        objects, pictures = examples.object_count, len(examples.pages)
        return (
            f"by example of {objects} labelled {'object' if objects == 1 else 'objects'} in "
            f"{pictures} {'image' if pictures == 1 else 'images'}"
        )

    def hint(self, project_key: str) -> None:
        """Take note that annotations changed."""
        self._known.hint(project_key)

    def is_own(self, version: str) -> bool:
        """Tell whether predictions of that name are by example."""
        return version.startswith(BY_EXAMPLE)

    def predictor(self, project_key: str, config: LabelConfig) -> ImagePredictor | None:
        """Return what finds the like of the project's examples; None where nothing can be learned from them.

        Raises NotReadyError where the learning takes too long.
        """
        examples = self._known.of(project_key, SETUP_WAIT_S)
        if examples is None:
            return None
        try:
            return self._asked(project_key, config, examples, self._start).result(timeout=self._wait_s)
        except FutureTimeout:
            logger.warning("project %s: still learning from its examples", project_key)
            raise NotReadyError(
                f"project {project_key} is still being learned from its examples; ask again in a minute",
                version=examples.version,
            ) from None
        except VersionError as exc:
            logger.warning("project %s: no predictions by example: %s", project_key, exc)
        return None

    def awaited_predictor(self, project_key: str, version: str, config: LabelConfig) -> ImagePredictor:
        """Return the predictor of that name. Raises VersionError where the examples changed since."""
        examples = self._known.of(project_key, READING_WAIT_S)
        if examples is None or examples.version != version:
            raise VersionError(
                f"the examples of project {project_key} changed since {version}; retrieve predictions anew"
            )
        return self._asked(project_key, config, examples, self._start).result()

    def _asked(
        self, project_key: str, config: LabelConfig, examples: Examples, start: Start
    ) -> Future[ImagePredictor]:
        make = partial(self._learn_from, project_key, config, examples)
        return self._learned.ask((project_key, examples.version), make, start)

    def _learn_from(self, project_key: str, config: LabelConfig, examples: Examples) -> ImagePredictor:
        pictures = labelled_pictures(self._images, self._connections, project_key, config, examples)
        if not pictures:
            raise VersionError("none of the labelled pictures can be used")
        wants_outlines = any(
            control.kind.teaches is Teaches.MASK and control.learned_labels for control in config.controls
        )
        try:
            predictor = self._learn(pictures, config.labels, examples.version, wants_outlines)
        except (RuntimeError, ValueError, MemoryError) as exc:
            raise VersionError(f"nothing could be learned from the examples: {exc}") from exc
        logger.info(
            "project %s: learned from %d objects in %d pictures as %s",
            project_key,
            sum(len(picture.target) for picture in pictures),
            len(pictures),
            examples.version,
        )
        return predictor
