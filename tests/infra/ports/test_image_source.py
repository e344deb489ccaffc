"""What every ImageSource does: the fetcher with a cache, a folder before it, and the fake of the tests."""

from __future__ import annotations

import numpy as np
import pytest

from backend.errors import FetchError, ImageDecodeError, ImageNotFound
from backend.infra.images.folder import FolderImages
from backend.infra.machine.file_cache import FileCache
from backend.service.ports import ImageAccess
from tests.fakes.images import FakeImages
from tests.http_server import Answer
from tests.infra.image_fetching import PNG, fetcher

ACCESS = ImageAccess()
COLOUR = (10, 20, 30)


@pytest.fixture(params=["fetcher", "folder", "fake"])
def source(request, tmp_path, web):
    """An image source and the address of an image, of a broken one, and of one that does not exist."""
    addresses = [f"{web.url}/{name}.png" for name in ("fine", "broken", "missing")]
    if request.param == "fake":
        image = np.full((3, 4, 3), COLOUR, np.uint8)
        return FakeImages({addresses[0]: image, addresses[1]: ImageDecodeError("half a file")}), addresses
    web.routes["/fine.png"], web.routes["/broken.png"] = Answer(PNG), Answer(PNG[:20])
    images = fetcher(FileCache(tmp_path / "cache", 1_000_000))
    if request.param == "folder":
        (tmp_path / "pictures").mkdir()
        images = FolderImages(tmp_path / "pictures", images, max_bytes=10_000, max_pixels=10_000)
    return images, addresses


def test_an_image_is_rgb_rows_first(source):
    images, (fine, _, _) = source
    image = images.load_rgb(fine, ACCESS)
    assert (image.shape, image.dtype) == ((3, 4, 3), np.uint8)
    assert tuple(image[0, 0]) == COLOUR


def test_what_a_caller_paints_on_an_image_stays_his(source):
    images, (fine, _, _) = source
    first = images.load_rgb(fine, ACCESS).copy()
    first[:] = 0
    assert tuple(images.load_rgb(fine, ACCESS)[0, 0]) == COLOUR


def test_what_cannot_be_had_is_a_fetch_error(source):
    images, (_, broken, missing) = source
    with pytest.raises(ImageDecodeError):
        images.load_rgb(broken, ACCESS)
    with pytest.raises(ImageNotFound):
        images.load_rgb(missing, ACCESS)
    assert issubclass(ImageDecodeError, FetchError) and issubclass(ImageNotFound, FetchError)


def test_an_image_that_nobody_turned_is_upright(source):
    images, (fine, broken, _) = source
    assert images.orientation(fine, ACCESS) == 1
    with pytest.raises(ImageDecodeError):
        images.load_rgb(broken, ACCESS)


def test_a_picture_has_a_name_of_its_own(source):
    images, (fine, _, _) = source
    name = images.picture_id(fine, ACCESS)
    assert name and images.picture_id(fine, ACCESS) == images.known_picture_id(fine, ACCESS) == name
    images.load_rgb(fine, ACCESS)
    assert images.picture_id(fine, ACCESS) == name
    data = "data:image/png;base64,AAAA"
    assert images.picture_id(data, ACCESS) == images.known_picture_id(data, ACCESS) != name


def test_the_second_look_comes_from_the_cache(source):
    images, (fine, _, missing) = source
    assert not images.is_cached(fine, ACCESS) and not images.is_cached(missing, ACCESS)
    before = images.cache_use()
    images.load_rgb(fine, ACCESS)
    assert images.is_cached(fine, ACCESS)
    images.load_rgb(fine, ACCESS)
    after = images.cache_use()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 1)


def test_a_picture_comes_at_any_size(source):
    images, (fine, broken, missing) = source
    pyramid = images.pyramid(fine, ACCESS)
    assert (pyramid.size.width, pyramid.size.height) == (4, 3) and tuple(pyramid.levels[0][0, 0]) == COLOUR
    small, size = images.shrunk(fine, ACCESS, 2)
    assert small.shape == (2, 2, 3) and (size.width, size.height) == (4, 3) and tuple(small[0, 0]) == COLOUR
    for read in (images.pyramid, lambda *where: images.shrunk(*where, 2)):
        with pytest.raises(ImageDecodeError):
            read(broken, ACCESS)
        with pytest.raises(ImageNotFound):
            read(missing, ACCESS)


def test_a_picture_of_eight_bits_is_not_stretched(source):
    images, (fine, _, _) = source
    assert images.stretched_range(fine, ACCESS) is None
