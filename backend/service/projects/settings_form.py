"""The saved values of a project as the panel and scripts edit them: described, checked, read, replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backend.errors import ParameterError
from backend.nn.detector.backbone_catalog import validate_backbone
from backend.service.ports import Json
from backend.service.projects.documents import AutoTrain, ProjectSettings
from backend.service.projects.parameters import FROM_EXTRA_PARAMS, FROM_PROJECT
from backend.service.projects.projects import Projects
from backend.training.parameters import (
    PARAMETER_NAMES,
    PARAMETERS,
    TrainingParams,
    parse_parameter,
    resolve_params,
)

ACTIVATIONS = ("better", "newest")
MOST_ANNOTATIONS = 100_000
MOST_QUIET_MINUTES = 1440.0


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
    layers = [(FROM_PROJECT, saved.params), (FROM_EXTRA_PARAMS, connection.extra_params)]
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
        "at_least_one_on": TrainingParams.at_least_one_on.model_dump(),
    }


def change_settings(projects: Projects, key: str, changes: Mapping[str, Any]) -> Json:
    """Save `changes` over what is saved and return `read_settings`; nothing is saved if one value is wrong.

    changes: `params` (name -> value, null forgets a saved one), `predict_after_training`, `activation`,
    `auto_train` (object or null); what is absent stays. Raises SettingsRefused with every wrong field.
    """
    errors: dict[str, str] = {}
    saved = projects.settings(key)
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
    _check_heads(projects, key, after)
    projects.save_settings(key, after)
    return read_settings(projects, key)


def _changed_params(saved: Mapping[str, Any], changes: Mapping[str, Any], errors: dict[str, str]) -> Json:
    params = dict(saved)
    for name, value in changes.items():
        if value is None and name in PARAMETER_NAMES:
            params.pop(name, None)
        else:
            try:
                parsed = parse_parameter(name, value)
                if name == "backbone":
                    validate_backbone(parsed)
                params[name] = list(parsed) if isinstance(parsed, tuple) else parsed
            except ParameterError as exc:
                errors[name] = str(exc)
    return params


def _check_heads(projects: Projects, key: str, settings: ProjectSettings) -> None:
    """Refuse values that only fail together (both heads off), also with what the connection brings."""
    layers = [(FROM_PROJECT, settings.params), (FROM_EXTRA_PARAMS, projects.connection(key).extra_params)]
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
    count, quiet = value.get("annotations"), value.get("quiet_minutes")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_ANNOTATIONS:
        errors["auto_train.annotations"] = f"annotations must be a whole number from 1 to {MOST_ANNOTATIONS}"
    if isinstance(quiet, bool) or not isinstance(quiet, int | float) or not 0 <= quiet <= MOST_QUIET_MINUTES:
        errors["auto_train.quiet_minutes"] = (
            f"quiet_minutes must be a number from 0 to {MOST_QUIET_MINUTES:g}"
        )
    if errors:
        return None
    return AutoTrain(int(count), float(quiet))  # type: ignore[arg-type]
