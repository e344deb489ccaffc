"""Brush masks in the body of `/predict`: cut out before the JSON is parsed, put back where a prompt has one.

A task comes with every region that it already has, and 300 brush masks are millions of numbers. No answer
needs them, but parsing them would cost more than the answer to a smart tool does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from backend.core.regions.kinds import KINDS
from backend.web.json_bodies import parse_json

_FIELDS = [kind.bulky_field for kind in KINDS if kind.bulky_field is not None]
_MASK = re.compile(rb'"(?:%b)"\s*:\s*\[' % "|".join(map(re.escape, _FIELDS)).encode())
_NUMBERS = re.compile(rb"[\s\d,]*\Z")
_LEAST_BYTES = 100


def cut_masks(body: bytes) -> tuple[bytes, list[bytes]]:
    """Return a JSON body with a number in place of each long list of a mask's numbers, and those lists.

    The n-th list becomes `[-1 - n]`, which no mask is: its numbers are bytes. A list of anything but numbers
    stays as it is. Text in a body cannot be mistaken for a list: its quotes are escaped.
    """
    parts: list[bytes] = []
    masks: list[bytes] = []
    at = 0
    for found in _MASK.finditer(body):
        # No further than to the next quote: many lists without an end would each be searched to the body's.
        quote = body.find(b'"', found.end())
        end = body.find(b"]", found.end(), quote if quote >= 0 else len(body))
        is_short = end - found.end() < _LEAST_BYTES
        if is_short or any(body.find(mark, found.end(), end) >= 0 for mark in (b"[", b"{")):
            continue
        parts += [body[at : found.end()], b"%d" % (-1 - len(masks))]
        masks.append(body[found.end() : end])
        at = end
    parts.append(body[at:])
    return b"".join(parts), masks


def parse_with_masks(body: bytes) -> Any:
    """Return the JSON of a body in which only the prompts have their masks. Raises RequestError."""
    content, masks = cut_masks(body)
    parsed = parse_json(content)
    params = parsed.get("params") if isinstance(parsed, dict) else None
    if not masks or not isinstance(params, dict) or "context" not in params:
        return parsed
    return {**parsed, "params": {**params, "context": with_masks(params["context"], masks)}}


def with_masks(context: Any, masks: list[bytes]) -> Any:
    """Return a request's context with the masks of its own prompts; one that is no list of numbers is []."""
    results = context.get("result") if isinstance(context, Mapping) else None
    if not masks or not isinstance(results, list):
        return context
    return {**context, "result": [_with_mask(result, masks) for result in results]}


def _with_mask(result: Any, masks: list[bytes]) -> Any:
    if not isinstance(result, Mapping) or not isinstance(result.get("value"), Mapping):
        return result
    value = result["value"]
    return {**result, "value": value | {key: _put_back(value[key], masks) for key in _FIELDS if key in value}}


def _put_back(mask: Any, masks: list[bytes]) -> Any:
    if not isinstance(mask, list) or len(mask) != 1 or not isinstance(mask[0], int) or mask[0] >= 0:
        return mask
    number = -1 - mask[0]
    return _numbers(masks[number]) if number < len(masks) else []


def _numbers(text: bytes) -> list[int]:
    if not _NUMBERS.match(text):
        return []
    try:
        return list(json.loads(b"[" + text + b"]"))
    except ValueError:
        return []
