from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import RequestError
from backend.infra.store.documents import JsonDocuments
from backend.infra.store.objects import open_object_store
from backend.web.json_bodies import json_response, parse_json

HALVES = ["\ud83d", "a\udc00b", "\udfff\ud800"]
ANY_TEXT = st.text(st.characters())  # halves of surrogate pairs too
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("text", HALVES, ids=ascii)
def test_half_a_surrogate_pair_becomes_a_question_mark(text):
    assert parse_json(json.dumps({text: [text]}).encode()) == {
        text.encode(errors="replace").decode(): [text.encode(errors="replace").decode()]
    }


def test_whole_pairs_and_escapes_stay():
    body = rb'{"a": "\ud83d\udc22 \\ud83d \u017c", "b": "\uD83D\uDC22"}'
    assert parse_json(body) == {"a": "🐢 \\ud83d ż", "b": "🐢"}


@pytest.mark.parametrize("text", HALVES, ids=ascii)
def test_half_a_pair_that_stands_there_as_bytes_is_no_utf_8(text):
    with pytest.raises(RequestError, match="not UTF-8"):
        parse_json(f'{{"a": "{text}"}}'.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_encodings_of_unicode_are_read_as_well(encoding):
    assert parse_json(r'{"a": "ż\ud83d"}'.encode(encoding)) == {"a": "ż?"}


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_what_is_no_number_becomes_null(text):
    parsed = parse_json(f'{{"a": [{text}, 1.5]}}'.encode())
    assert parsed == {"a": [None, 1.5]}
    assert json_response(parsed).get_data() == b'{"a":[null,1.5]}'


@given(VALUES)
def test_whatever_is_parsed_can_be_sent_on(value):
    parsed = parse_json(json.dumps(value).encode())
    assert json.loads(json_response(parsed).get_data()) == parsed
    json.dumps(parsed, ensure_ascii=False).encode()


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_refused(data):
    try:
        parse_json(data)
    except RequestError as exc:
        assert "the body" in str(exc)


@given(value=VALUES)
def test_any_document_comes_back_as_it_was(tmp_path_factory, value):
    documents = JsonDocuments(open_object_store(str(tmp_path_factory.getbasetemp() / "documents")))
    documents.write("projects/7/x.json", {"value": value})
    assert documents.read("projects/7/x.json") == {"value": value}
