import pytest

from backend.errors import ImageNotFound, ImageTooLarge
from backend.infra.images.folder import FolderImages
from backend.service.ports import ImageAccess
from tests.fakes.images import FakeImages
from tests.fakes.tasks import picture
from tests.infra.image_fetching import PNG

OPEN = ImageAccess()


def images(folder, others=(), *, references=(), max_bytes=10_000):
    return FolderImages(
        folder, FakeImages(dict(others)), references=references, max_bytes=max_bytes, max_pixels=10_000
    )


def test_what_lies_in_the_folder_is_read_there(tmp_path):
    (tmp_path / "a 1.png").write_bytes(PNG)
    source = images(tmp_path)
    reference = "/data/local-files/?d=a%201.png"
    assert source.load_rgb(reference, OPEN).shape == (3, 4, 3)
    assert source.is_cached(reference, OPEN) and source.cache_use().misses == 0


def test_what_does_not_comes_from_where_it_is(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    source = images(tmp_path, {"https://host/a.png": picture()})
    assert source.load_rgb("https://host/a.png", OPEN).shape == (30, 40, 3)
    assert not source.is_cached("https://host/b.png", OPEN)


def test_what_is_nowhere_is_said_by_name(tmp_path):
    with pytest.raises(ImageNotFound) as caught:
        images(tmp_path).load_rgb("b/0001.png", OPEN)
    assert f"no file below {tmp_path} is 'b/0001.png'" in str(caught.value)


def test_the_references_together_tell_names_apart(tmp_path):
    (tmp_path / "cat.png").write_bytes(PNG)
    uploads = [f"/data/upload/1/{digits}-cat.png" for digits in ("11111111", "22222222")]
    assert images(tmp_path).load_rgb(uploads[0], OPEN).shape == (3, 4, 3)
    source = images(tmp_path, references=uploads)
    with pytest.raises(ImageNotFound, match="uploaded 2 times"):
        source.load_rgb(uploads[0], OPEN)
    assert source.is_cached(uploads[0], OPEN)


def test_the_limit_of_bytes(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    with pytest.raises(ImageTooLarge, match="IMAGE_MAX_BYTES"):
        images(tmp_path, max_bytes=10).load_rgb("a.png", OPEN)


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ImageNotFound, match="cannot be read"):
        images(tmp_path).load_rgb("a.png", OPEN)
