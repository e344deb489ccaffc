"""The Extra params box of Label Studio's model form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backend.errors import ParameterError
from backend.service.ports import Json
from backend.training.parameters import parse_parameter


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
            parse_parameter(str(name), value)
            values[str(name)] = value
    except ParameterError as exc:
        return {}, f"Extra params: {exc}"
    return values, None
