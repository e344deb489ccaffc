"""The Extra params box of Label Studio's model form: training parameters, and what only it can say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backend.errors import ParameterError
from backend.service.ports import Json
from backend.training.parameters import parse_parameter

LABEL_TEXTS = "label_texts"
"""By label, the text that a zero-shot network is asked with in place of the label's name."""
_LONGEST_TEXT = 200


def label_texts(extra_params: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the texts by label that stand in usable Extra params."""
    texts: Mapping[str, str] = extra_params.get(LABEL_TEXTS, {})
    return texts


def parameters_in(extra_params: Mapping[str, Any]) -> Json:
    """Return the training parameters that stand in usable Extra params."""
    return {name: value for name, value in extra_params.items() if name != LABEL_TEXTS}


def parse_extra_params(raw: Any) -> tuple[Json, str | None]:
    """Return the parameters and None, or {} and the reason why they cannot be used.

    raw: nothing, an object, or the typed text (Label Studio sends "" for an empty box). Never raises: the
    connection has to stand whatever was typed.
    """
    if isinstance(raw, str):
        if not raw.strip():
            return {}, None
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError) as exc:
            return {}, f'Extra params are not JSON ({exc}); write an object such as {{"epochs": 30}}'
    if raw is None:
        return {}, None
    if not isinstance(raw, Mapping):
        return {}, f'Extra params must be a JSON object such as {{"epochs": 30}}, got {type(raw).__name__}'
    values: Json = {}
    try:
        for name, value in raw.items():
            if name == LABEL_TEXTS:
                _check_label_texts(value)
            else:
                parse_parameter(str(name), value)
            values[str(name)] = value
    except ParameterError as exc:
        return {}, f"Extra params: {exc}"
    return values, None


def _check_label_texts(value: Any) -> None:
    """Raise ParameterError unless it is a text for each of some labels."""
    is_usable = isinstance(value, Mapping) and all(
        isinstance(text, str) and text.strip() and len(text) <= _LONGEST_TEXT for text in value.values()
    )
    if not is_usable:
        raise ParameterError(
            f'{LABEL_TEXTS} must be an object of a text by label, such as {{"RBC": "red blood cell"}}, of at '
            f"most {_LONGEST_TEXT} characters each, got {str(value)[:80]!r}",
            field=LABEL_TEXTS,
        )
