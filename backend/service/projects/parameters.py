"""Where the value of a parameter comes from: the strongest source that has it.

The request; for thresholds the control tag; what the panel saved for the project; the connection's Extra
params; the default.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from backend.core.labelstudio.label_config import LabelConfig
from backend.errors import ParameterError
from backend.service.ports import Json
from backend.service.projects.extra_params import parameters_in
from backend.service.projects.projects import Projects
from backend.training.parameters import TrainingParams, parse_parameter, resolve_params

logger = logging.getLogger(__name__)

FROM_REQUEST = "request"
FROM_PROJECT = "project settings"
FROM_EXTRA_PARAMS = "Extra params"
FROM_TAG = "model_score_threshold of the tag"
_CONFIDENCE = "confidence_threshold"
_NMS = "nms_threshold"


@dataclass(frozen=True)
class Thresholds:
    """Below which score a region is dropped, per control tag, and above which overlap one of two is."""

    confidence_by_control: Mapping[str, float]
    nms: float

    @property
    def lowest_confidence(self) -> float:
        """The score from which the network has to report."""
        return min(self.confidence_by_control.values(), default=1.0)

    def with_regions_from(self, score: float, config: LabelConfig) -> Thresholds:
        """Return the same, but that regions come from this score up."""
        of_regions = {control.name: score for control in config.controls}
        return replace(self, confidence_by_control={**self.confidence_by_control, **of_regions})


def training_params(
    projects: Projects, key: str, request_params: Mapping[str, Any]
) -> tuple[TrainingParams, dict[str, str]]:
    """Return the parameters of a training and the origin of each. Raises ParameterError.

    Extra params that cannot be used are an error too: somebody wrote them to be followed.
    """
    connection = projects.connection(key)
    if connection.extra_params_problem is not None:
        raise ParameterError(connection.extra_params_problem, field="extra_params")
    return resolve_params(
        [
            (FROM_REQUEST, request_params),
            (FROM_PROJECT, projects.settings(key).params),
            (FROM_EXTRA_PARAMS, parameters_in(connection.extra_params)),
        ]
    )


def threshold_origins(origins: dict[str, str], config: LabelConfig) -> dict[str, str]:
    """Return the origins with the tag named where its attribute decides the threshold."""
    has_tag_value = any(threshold is not None for _, threshold in _tag_thresholds(config))
    if has_tag_value and origins[_CONFIDENCE] != FROM_REQUEST:
        return {**origins, _CONFIDENCE: FROM_TAG}
    return origins


def thresholds(
    projects: Projects, key: str, request_params: Mapping[str, Any], config: LabelConfig
) -> Thresholds:
    """Return the thresholds of a prediction; raises ParameterError for a bad one in the request only."""
    requested = {
        name: parse_parameter(name, request_params[name])
        for name in (_CONFIDENCE, _NMS)
        if request_params.get(name) is not None
    }
    weaker = _usable(projects.connection(key).extra_params) | _usable(projects.settings(key).params)
    confidence = weaker.get(_CONFIDENCE, TrainingParams.confidence_threshold)
    by_control: dict[str, float] = {}
    for name, of_tag in _tag_thresholds(config):
        by_control[name] = requested.get(_CONFIDENCE, confidence if of_tag is None else of_tag)
    nms = requested.get(_NMS, weaker.get(_NMS, TrainingParams.nms_threshold))
    return Thresholds(by_control, nms)


def _tag_thresholds(config: LabelConfig) -> list[tuple[str, float | None]]:
    """Return each control tag's name and its own threshold, if it has one."""
    drawing = [(tag.name, tag.score_threshold) for tag in config.controls]
    return drawing + [(tag.name, tag.score_threshold) for tag in config.answers]


def _usable(params: Json) -> dict[str, float]:
    values: dict[str, float] = {}
    for name in (_CONFIDENCE, _NMS):
        if name in params:
            try:
                values[name] = parse_parameter(name, params[name])
            except ParameterError as exc:
                logger.warning("a saved threshold is ignored: %s", exc)
    return values
