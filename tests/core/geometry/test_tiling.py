from itertools import pairwise

import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.tiling import MOST_TILES, Tiling


def covered(size, tiles):
    seen = np.zeros((size.height, size.width), dtype=np.bool_)
    for x1, y1, x2, y2 in tiles:
        seen[y1:y2, x1:x2] = True
    return seen


def test_a_picture_no_longer_than_a_tile_is_one_view():
    tiling = Tiling(side_px=100, has_whole_view=True)
    assert tiling.views_of(ImageSize(100, 60)) == ((0, 0, 100, 60),)
    assert tiling.views_of(ImageSize(105, 60)) == ((0, 0, 105, 60),)


@pytest.mark.parametrize("size", [ImageSize(300, 300), ImageSize(301, 97), ImageSize(1000, 30)])
def test_tiles_cover_the_picture_and_overlap_enough(size):
    tiling = Tiling(side_px=100, overlap=0.25)
    tiles = tiling.views_of(size)
    assert covered(size, tiles).all()
    lefts = sorted({tile[0] for tile in tiles})
    assert all(after - before <= 75 for before, after in pairwise(lefts))
    assert max(x2 - x1 for x1, _, x2, _ in tiles) <= 105


def test_tiles_come_row_by_row_and_the_whole_picture_last():
    views = Tiling(side_px=60, overlap=0.2, has_whole_view=True).views_of(ImageSize(108, 60))
    assert views == ((0, 0, 60, 60), (48, 0, 108, 60), (0, 0, 108, 60))


def test_a_share_is_of_each_pictures_longer_side():
    tiling = Tiling(share=0.5, overlap=0.0)
    assert [len(tiling.views_of(ImageSize(side, side))) for side in (10, 100, 10_000)] == [4, 4, 4]


@pytest.mark.parametrize("size", [ImageSize(30_000, 1), ImageSize(1, 30_000), ImageSize(14_000, 14_000)])
def test_pictures_of_any_shape_have_a_bounded_number_of_tiles(size):
    for side in (1, 20, 600):
        tiles = Tiling(side_px=side).views_of(size)
        assert 1 < len(tiles) <= 1.2 * MOST_TILES
        assert all(x1 < x2 and y1 < y2 for x1, y1, x2, y2 in tiles)
        assert max(tile[2] for tile in tiles) == size.width
        assert max(tile[3] for tile in tiles) == size.height


def test_a_pixel_is_one_view():
    for tiling in (Tiling(side_px=0.5), Tiling(share=0.25), Tiling(side_px=600)):
        assert tiling.views_of(ImageSize(1, 1)) == ((0, 0, 1, 1),)


@pytest.mark.parametrize("tiling", [Tiling(side_px=600), Tiling(side_px=208), Tiling(share=0.25)])
def test_kept_pictures_are_cut_as_the_pictures_were(tiling):
    for longest in (50, 580, 640, 3000):
        size = ImageSize(longest, longest)
        scale = tiling.kept_scale(size, 416)
        kept = ImageSize(*(round(longest * scale),) * 2)
        cut, cut_when_kept = tiling.views_of(size), tiling.when_kept(416).views_of(kept)
        assert len(cut) == len(cut_when_kept)
        if len(cut) > 1:
            assert scale <= 1
            assert tiling.when_kept(416).side_of(kept) == pytest.approx(min(416, tiling.side_of(size)), abs=1)


def test_a_card_gives_the_tiling_back():
    for tiling in (Tiling(side_px=600.0, overlap=0.3), Tiling(share=0.25, has_whole_view=True)):
        assert Tiling.from_card(tiling.as_card()) == tiling


@pytest.mark.parametrize(
    "values",
    [{}, {"side_px": 5, "share": 0.5}, {"side_px": 0}, {"share": float("nan")}, {"side_px": 9, "overlap": 1}],
)
def test_what_is_no_tiling_is_refused(values):
    with pytest.raises(ValueError):
        Tiling(**values)
