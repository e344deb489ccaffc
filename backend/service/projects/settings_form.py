"""The saved values of a project as the panel and scripts edit them: described, checked, read, replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backend.errors import ParameterError
from backend.nn.detector.backbone_catalog import validate_backbone
from backend.service.ports import Json
from backend.service.projects.documents import AutoTrain, ProjectSettings
from backend.service.projects.extra_params import parameters_in
from backend.service.projects.parameters import FROM_EXTRA_PARAMS, FROM_PROJECT
from backend.service.projects.projects import Projects
from backend.training.parameters import (
    AUTO,
    PARAMETER_NAMES,
    PARAMETERS,
    ParameterField,
    TrainingParams,
    parse_parameter,
    resolve_params,
)

ACTIVATIONS = ("better", "newest")
AUTO_TRAIN_FIELDS = (
    ParameterField(
        name="annotations",
        title="After annotations",
        type="integer",
        default=20,
        explanation="New or changed annotations before a training starts.",
        minimum=1,
        maximum=100_000,
        tab="model",
    ),
    ParameterField(
        name="quiet_minutes",
        title="Quiet minutes",
        type="number",
        default=5,
        explanation="How long nobody has drawn by then.",
        minimum=0,
        maximum=1440,
        tab="model",
    ),
)
"""The two values of automatic training, for checks, forms and the API's description."""


class SettingsRefused(ParameterError):
    """Some values are wrong; `errors` has one sentence for each wrong field, by its name."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(errors.values()), field=next(iter(errors)))
        self.errors = dict(errors)


def read_settings(projects: Projects, key: str) -> Json:
    """Return the saved values, and the values a training would use now with the origin of each.

    A saved or connected value that no longer passes its check is left out and named in `problem`.
    """
    saved = projects.settings(key)
    connection = projects.connection(key)
    problem = connection.extra_params_problem
    layers = [(FROM_PROJECT, saved.params), (FROM_EXTRA_PARAMS, parameters_in(connection.extra_params))]
    try:
        params, origins = resolve_params(layers)
    except ParameterError as exc:
        problem = str(exc)
        params, origins = TrainingParams(), dict.fromkeys(PARAMETER_NAMES, "default")
    return {
        "saved": saved.as_document(),
        "effective": params.as_dict(),
        "origins": origins,
        "problem": problem,
        "fields": [field.model_dump() for field in PARAMETERS.values()],
        "auto_train_fields": [field.model_dump() for field in AUTO_TRAIN_FIELDS],
        "at_least_one_on": TrainingParams.at_least_one_on.model_dump(),
    }


def change_settings(projects: Projects, key: str, changes: Mapping[str, Any]) -> Json:
    """Save `changes` over what is saved and return `read_settings`; nothing is saved if one value is wrong.

    changes: `params` (name -> value, null forgets a saved one), `predict_after_training`, `activation`,
    `auto_train` (object or null); what is absent stays. Raises SettingsRefused with every wrong field.
    """

    def change(saved: ProjectSettings) -> ProjectSettings:
        after = _changed(saved, changes)
        _check_heads(projects, key, after)
        return after

    projects.change_settings(key, change)
    return read_settings(projects, key)


def _changed(saved: ProjectSettings, changes: Mapping[str, Any]) -> ProjectSettings:
    errors: dict[str, str] = {}
    params = _changed_params(saved.params, changes.get("params") or {}, errors)
    after = replace(saved, params=params)
    if "predict_after_training" in changes:
        after = replace(after, predict_after_training=_bool(changes, "predict_after_training", errors))
    if "activation" in changes:
        if changes["activation"] not in ACTIVATIONS:
            errors["activation"] = f"activation must be one of {', '.join(ACTIVATIONS)}"
        else:
            after = replace(after, activation=changes["activation"])
    if "auto_train" in changes:
        after = replace(after, auto_train=_auto_train(changes["auto_train"], errors))
    if errors:
        raise SettingsRefused(errors)
    return after


def _changed_params(saved: Mapping[str, Any], changes: Mapping[str, Any], errors: dict[str, str]) -> Json:
    params = dict(saved)
    for name, value in changes.items():
        if value is None and name in PARAMETER_NAMES:
            params.pop(name, None)
        else:
            try:
                parsed = parse_parameter(name, value)
                if name == "backbone" and parsed != AUTO:
                    validate_backbone(parsed)
                params[name] = list(parsed) if isinstance(parsed, tuple) else parsed
            except ParameterError as exc:
                errors[name] = str(exc)
    return params


def _check_heads(projects: Projects, key: str, settings: ProjectSettings) -> None:
    """Refuse values that only fail together (both heads off), also with what the connection brings."""
    layers = [
        (FROM_PROJECT, settings.params),
        (FROM_EXTRA_PARAMS, parameters_in(projects.connection(key).extra_params)),
    ]
    try:
        resolve_params(layers)
    except ParameterError as exc:
        raise SettingsRefused({exc.field or "params": str(exc)}) from exc


def _bool(changes: Mapping[str, Any], name: str, errors: dict[str, str]) -> bool:
    if not isinstance(changes[name], bool):
        errors[name] = f"{name} must be true or false, got {str(changes[name])[:80]!r}"
    return bool(changes[name])


def _auto_train(value: Any, errors: dict[str, str]) -> AutoTrain | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        errors["auto_train"] = "auto_train must be null or {annotations, quiet_minutes}"
        return None
    for field in AUTO_TRAIN_FIELDS:
        if not _is_within(field, value.get(field.name)):
            errors[f"auto_train.{field.name}"] = f"{field.name} must be {field.wanted}"
    if errors:
        return None
    return AutoTrain(int(value["annotations"]), float(value["quiet_minutes"]))


def _is_within(field: ParameterField, value: Any) -> bool:
    kinds = int if field.type == "integer" else int | float
    if isinstance(value, bool) or not isinstance(value, kinds):
        return False
    assert field.minimum is not None and field.maximum is not None
    return field.minimum <= value <= field.maximum
