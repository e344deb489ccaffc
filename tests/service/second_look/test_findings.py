from __future__ import annotations

import pytest

from backend.core.labelstudio.corrections import Correction
from backend.errors import StoreError
from backend.service.second_look.findings import KeptFindings, Look, Taken
from tests.fakes.documents import FakeDocuments


def test_a_look_that_is_cut_off_while_it_is_kept_leaves_none_rather_than_one_that_forgot_what_was_taken():
    documents = FakeDocuments()
    kept = KeptFindings(documents)
    kept.keep("7", Look(1.0, "v1", 3))
    kept.write_taken("7", "f1", Taken(5, Correction((), ())))
    assert kept.look("7") is not None and kept.taken("7") == {"f1"}
    documents.failure = StoreError("the disk is full")
    with pytest.raises(StoreError):
        kept.keep("7", Look(2.0, "v1", 3))
    assert kept.look("7") is None
