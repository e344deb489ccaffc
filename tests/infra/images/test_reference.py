from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import FetchError, ImageNotFound
from backend.infra.images.download import Downloader
from backend.infra.images.fetcher import ImageFetcher
from backend.infra.images.reference import decode_data_uri, resolve_reference
from backend.infra.network.addresses import AddressRules
from backend.service.ports import ImageAccess

ACCESS = ImageAccess(hostname="http://ls:8080/", token="t", task_id=5)
BEGINNINGS = st.sampled_from(
    [
        "",
        "/",
        "/data/upload/",
        "/data/local-files/?d=",
        "http://",
        "https://a.example/",
        "s3://",
        "data:",
        "//",
        "C:",
    ]
)
REFERENCES = st.builds(str.__add__, BEGINNINGS, st.text(max_size=40))


@given(REFERENCES)
def test_any_reference_becomes_an_address_or_is_refused(reference):
    try:
        url = resolve_reference(reference, ACCESS)
    except FetchError:
        return
    assert url.startswith(("http://", "https://"))
    assert url.isascii() or reference.startswith("http")


@given(st.text(max_size=60), st.integers(0, 40))
def test_any_data_uri_is_decoded_within_the_limit_or_refused(rest, limit):
    try:
        content = decode_data_uri(f"data:{rest}", limit)
    except FetchError:
        return
    assert len(content) <= limit


@pytest.mark.parametrize(
    ("access", "move"),
    [
        pytest.param(ImageAccess(task_id=5), "set LABEL_STUDIO_URL", id="no Label Studio"),
        pytest.param(ImageAccess(hostname="http://ls:8080"), "give the task its id", id="no task"),
    ],
)
def test_a_bucket_that_cannot_be_asked_for_is_refused_with_the_next_move(access, move):
    with pytest.raises(FetchError, match=f"gs:// image comes through Label Studio.*{move}"):
        resolve_reference("gs://bucket/1.png", access)


@pytest.mark.parametrize(
    "reference", ["/data/upload/7/\ud83d.png", "s3://b/\udc00", "http://a/\ud800", "\udfff"], ids=ascii
)
def test_half_a_surrogate_pair_names_no_image(reference, tmp_path):
    images = ImageFetcher(Downloader(AddressRules(), max_bytes=99, timeout_s=1.0), None, max_pixels=99)
    with pytest.raises(ImageNotFound, match="names no image") as caught:
        images.load_rgb(reference, ACCESS)
    str(caught.value).encode()
    assert images.is_cached(reference, ACCESS)
