from __future__ import annotations

import pytest

from backend.core.labelstudio.own_writes import SECOND_LOOK, note_of, noted

REGION = {"id": "a", "type": "rectanglelabels", "value": {"x": 1}}


@pytest.mark.parametrize("note", [SECOND_LOOK, "accepted-1f0c"])
def test_what_was_written_says_so_and_is_drawn_by_a_model(note):
    (written,) = noted([REGION], note)
    assert note_of(written) == note
    assert written["origin"] == "prediction" and written["value"] == REGION["value"]


@pytest.mark.parametrize(
    "meta", [None, "x", {}, {"text": "blurred"}, {"text": ["blurred", 3]}, {"text": None}]
)
def test_what_people_note_of_regions_is_not_ours(meta):
    assert note_of(REGION) is None
    assert note_of({**REGION, "meta": meta}) is None


def test_a_note_is_found_beside_what_people_add_to_it():
    assert note_of({**REGION, "meta": {"text": ["blurred", SECOND_LOOK]}}) == SECOND_LOOK
