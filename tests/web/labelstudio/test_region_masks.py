from __future__ import annotations

import json
import time

import pytest

from backend.web.labelstudio.region_masks import cut_masks, with_masks

LONG = list(range(256)) * 2


def brush(rle) -> dict:
    return {"type": "brushlabels", "value": {"format": "rle", "rle": rle, "brushlabels": ["Cat"]}}


def request(*prompts, annotations=(), **data) -> dict:
    tasks = [{"id": 1, "data": data, "annotations": list(annotations)}]
    return {"tasks": tasks, "params": {"context": {"result": list(prompts)}}}


def there_and_back(body: dict, **how) -> tuple[dict, dict]:
    """Return the body as parsed without masks, and its context with them."""
    content, masks = cut_masks(json.dumps(body, **how).encode())
    parsed = json.loads(content)
    return parsed, with_masks(parsed["params"]["context"], masks)


@pytest.mark.parametrize(
    "how", [{}, {"separators": (",", ":")}, {"indent": 1}], ids=["usual", "tight", "wide"]
)
def test_a_prompt_keeps_its_mask_and_the_regions_of_the_task_lose_theirs(how):
    annotation = {"id": 1, "result": [brush(LONG), brush(LONG[::-1])]}
    body = request(brush(LONG[5:]), {"type": "keypointlabels", "value": {"x": 1}}, annotations=[annotation])
    parsed, context = there_and_back(body, **how)
    assert context == body["params"]["context"]
    assert [region["value"]["rle"] for region in parsed["tasks"][0]["annotations"][0]["result"]] == [
        [-1],
        [-2],
    ]


@pytest.mark.parametrize(
    "rle",
    [[], [1, 2], [[1, 2]] * 99, ["a]b"] * 99, [{"a": 1}] * 99, "text", None],
    ids=["empty", "short", "lists", "texts", "objects", "a text", "null"],
)
def test_what_is_no_long_list_of_numbers_stays(rle):
    body = request(brush(rle), annotations=[{"id": 1, "result": [brush(rle)]}])
    parsed, context = there_and_back(body)
    assert parsed == body and context == body["params"]["context"]


def test_text_that_looks_like_a_mask_stays_text():
    text = json.dumps({"rle": LONG})
    parsed, _ = there_and_back(request(note=text))
    assert parsed["tasks"][0]["data"] == {"note": text}


@pytest.mark.parametrize("context", [None, [], {}, {"result": None}, {"result": [None, {"value": 3}]}])
def test_a_context_without_masks_stays_as_it_is(context):
    assert with_masks(context, [b"1,2"]) == context


@pytest.mark.parametrize("rle", [[-9], [-1, 2], [-1.5], [True]], ids=["unknown", "two", "no number", "flag"])
def test_numbers_that_name_no_mask_bring_none(rle):
    [result] = with_masks({"result": [brush(rle)]}, [b"1,2"])["result"]
    assert result["value"]["rle"] in (rle, [])


def test_a_mask_that_is_not_json_is_an_empty_one():
    content, masks = cut_masks(b'{"rle": [' + b"1,," * 99 + b"]}")
    assert json.loads(content) == {"rle": [-1]}
    [result] = with_masks({"result": [brush([-1])]}, masks)["result"]
    assert result["value"]["rle"] == []


def test_lists_without_an_end_cost_no_more_the_more_there_are():
    body = b'{"rle": [' * 150_000 + b"]"
    started = time.process_time()
    assert cut_masks(body) == (body, [])
    assert time.process_time() - started < 1.0
