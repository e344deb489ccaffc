"""Brush masks in the body of `/predict`: cut out before the JSON is parsed, put back where a prompt has one.

A task comes with every region that it already has, and 300 brush masks are millions of numbers. No answer
needs them, but parsing them would cost more than the answer to a smart tool does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_MASK = re.compile(rb'"rle"\s*:\s*\[')
_NUMBERS = re.compile(rb"[\s\d,]*\Z")
_LEAST_BYTES = 100


def cut_masks(body: bytes) -> tuple[bytes, list[bytes]]:
    """Return a JSON body with a number in place of each long list named `rle`, and those lists.

    The n-th list becomes `[-1 - n]`, which no mask is: its numbers are bytes. A list of anything but numbers
    stays as it is. Text in a body cannot be mistaken for a list: its quotes are escaped.
    """
    parts: list[bytes] = []
    masks: list[bytes] = []
    at = 0
    for found in _MASK.finditer(body):
        end = body.find(b"]", found.end())
        is_short = end - found.end() < _LEAST_BYTES
        if is_short or any(body.find(mark, found.end(), end) >= 0 for mark in (b"[", b"{", b'"')):
            continue
        parts += [body[at : found.end()], b"%d" % (-1 - len(masks))]
        masks.append(body[found.end() : end])
        at = end
    parts.append(body[at:])
    return b"".join(parts), masks


def with_masks(context: Any, masks: list[bytes]) -> Any:
    """Return a request's context with the masks of its own prompts; one that is no list of numbers is []."""
    results = context.get("result") if isinstance(context, Mapping) else None
    if not masks or not isinstance(results, list):
        return context
    return {**context, "result": [_with_mask(result, masks) for result in results]}


def _with_mask(result: Any, masks: list[bytes]) -> Any:
    if not isinstance(result, Mapping) or not isinstance(result.get("value"), Mapping):
        return result
    rle = result["value"].get("rle")
    if not isinstance(rle, list) or len(rle) != 1 or not isinstance(rle[0], int) or rle[0] >= 0:
        return result
    number = -1 - rle[0]
    numbers = _numbers(masks[number]) if number < len(masks) else []
    return {**result, "value": {**result["value"], "rle": numbers}}


def _numbers(text: bytes) -> list[int]:
    if not _NUMBERS.match(text):
        return []
    try:
        return list(json.loads(b"[" + text + b"]"))
    except ValueError:
        return []
