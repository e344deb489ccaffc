"""One picture with an orientation written into it in every way that a file can hold one."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image

ORIENTATION = 0x0112
UPRIGHT_WH, TURNED_WH = (48, 24), (24, 48)
TURN_RIGHT = 6  # shown turned by 90 degrees to the right


def picture():
    """Return 48x24 pixels, the upper left quarter red and the rest green."""
    image = Image.new("RGB", UPRIGHT_WH, (0, 200, 0))
    image.paste((250, 0, 0), (0, 0, 24, 12))
    return image


def _saved(kind, **options):
    target = io.BytesIO()
    picture().save(target, kind, **({"quality": 95} if kind in ("JPEG", "WEBP", "AVIF") else {}), **options)
    return target.getvalue()


def _exif(orientation=TURN_RIGHT, endian="<"):
    exif = Image.Exif()
    exif.endian = endian
    exif[ORIENTATION] = orientation
    return exif


def _xmp(orientation=TURN_RIGHT):
    return (
        b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/></rdf:RDF></x:xmpmeta>'
        b'<?xpacket end="w"?>' % orientation
    )


def _png_with(kind, body):
    content = _saved("PNG")
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return content[:33] + chunk + content[33:]


def _png_after_pixels(kind, body):
    content = _saved("PNG")
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return content[:-12] + chunk + content[-12:]


def _raw_profile():
    """Return ImageMagick's way to keep EXIF in a PNG, from before there was a chunk for it."""
    data = _exif().tobytes()
    return b"Raw profile type exif\0\0" + zlib.compress(
        b"\nexif\n%8d\n%s\n" % (len(data), data.hex().encode())
    )


def _bare_exif():
    return _exif().tobytes().removeprefix(b"Exif\0\0")


def files():
    """Return (name, media type, content, whether a browser turns it); tests/browser asks one."""
    return [
        ("JPEG, EXIF", "image/jpeg", _saved("JPEG", exif=_exif()), True),
        ("JPEG, EXIF in big-endian order", "image/jpeg", _saved("JPEG", exif=_exif(endian=">")), True),
        ("JPEG, XMP", "image/jpeg", _saved("JPEG", xmp=_xmp()), False),
        ("JPEG, EXIF upright and XMP", "image/jpeg", _saved("JPEG", exif=_exif(1), xmp=_xmp()), False),
        ("JPEG, EXIF and XMP upright", "image/jpeg", _saved("JPEG", exif=_exif(), xmp=_xmp(1)), True),
        ("PNG, eXIf", "image/png", _saved("PNG", exif=_exif()), True),
        ("PNG, eXIf after the pixels", "image/png", _png_after_pixels(b"eXIf", _bare_exif()), False),
        ("PNG, raw profile", "image/png", _png_with(b"zTXt", _raw_profile()), False),
        ("PNG, XMP", "image/png", _png_with(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _xmp()), False),
        ("WebP, EXIF", "image/webp", _saved("WEBP", exif=_exif()), False),
        ("WebP, XMP", "image/webp", _saved("WEBP", xmp=_xmp()), False),
        ("WebP without loss, EXIF", "image/webp", _saved("WEBP", exif=_exif(), lossless=True), False),
        ("AVIF, EXIF", "image/avif", _saved("AVIF", exif=_exif()), True),
        ("AVIF, XMP", "image/avif", _saved("AVIF", xmp=_xmp()), False),
        ("GIF, XMP", "image/gif", _saved("GIF", xmp=_xmp()), False),
    ]
