"""An image fetcher with small limits, for the tests of images."""

import io

from PIL import Image

from backend.infra.images.download import Downloader
from backend.infra.images.fetcher import ImageFetcher
from backend.infra.network.addresses import AddressRules


def png(colour=(10, 20, 30)):
    target = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(target, "PNG")
    return target.getvalue()


PNG = png()
ANY_HOST = AddressRules()


def fetcher(cache=None, *, rules=ANY_HOST, max_bytes=10_000, timeout_s=5.0):
    return ImageFetcher(Downloader(rules, max_bytes=max_bytes, timeout_s=timeout_s), cache, max_pixels=10_000)
