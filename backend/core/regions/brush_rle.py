"""Label Studio's code for brush masks: a bit-packed run-length code of RGBA bytes, alpha being the mask.

Not COCO RLE. Layout, most significant bit first: 32 bits number of values (4 * width * height), 5 bits word
size - 1, four times 4 bits length field size - 1; then blocks of 1 bit (1 repeated, 0 literal), 2 bits which
length field, length - 1, and one value or as many values as the length says; zero bits up to a full byte.
Source: thi.ng/umbrella rle-pack, which the editor uses; label_studio_sdk.converter.brush.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import BoolArray, ImageSize, MaskPatch

CHANNELS = 4
ALPHA = 3
WORD_BITS = 8
HEADER_BITS = 32 + 5 + 4 * 4
MAX_LENGTH_BITS = 16
MAX_PIXELS = 200_000_000
MAX_VALUES = 2**32 - 1

# Every choice of four length fields whose longest has 16 bits, and what each costs per run that needs b bits.
_FIELD_CHOICES = np.array(
    [(*short, MAX_LENGTH_BITS) for short in itertools.combinations(range(1, MAX_LENGTH_BITS), 3)],
    dtype=np.int64,
)
_FIELD_COST = np.array(
    [
        [min(s for s in sizes if s >= bits) for bits in range(1, MAX_LENGTH_BITS + 1)]
        for sizes in _FIELD_CHOICES.tolist()
    ],
    dtype=np.int64,
)


def encode_brush_rle(mask: BoolArray) -> list[int]:
    """Return the bytes of a mask, bool [height, width]: set pixels white and opaque, the others all zero."""
    height, width = mask.shape
    return encode_patch_rle(MaskPatch(0, 0, np.asarray(mask, dtype=np.bool_)), ImageSize(width, height))


def encode_patch_rle(patch: MaskPatch, size: ImageSize) -> list[int]:
    """Return the bytes of a patch in an image of `size`; only the patch's window is looked at.

    The four length fields are the ones that make this mask shortest. Raises ValueError if the window sticks
    out or the image has more values than 32 bits count.
    """
    values = CHANNELS * size.width * size.height
    if values > MAX_VALUES:
        raise ValueError(f"an image of {size.width}x{size.height} has too many pixels for a brush mask")
    edges = np.concatenate(([0], _run_edges(patch, size) * CHANNELS, [values]))
    lengths = edges[1:] - edges[:-1]
    is_set = np.arange(len(lengths)) % 2 == 1
    nonempty = lengths > 0
    lengths, is_set = _split_long_runs(lengths[nonempty], is_set[nonempty])
    needed_bits = _bit_length(lengths - 1)
    field_sizes = _shortest_fields(needed_bits)
    which = np.searchsorted(field_sizes, needed_bits)
    length_bits = field_sizes[which]
    codes = ((((4 | which) << length_bits) | (lengths - 1)) << WORD_BITS) | np.where(is_set, 255, 0)
    # A block has at most 27 bits; the header goes as two codes of its own.
    header = _header(values, field_sizes.tolist())
    codes = np.concatenate(([header >> 27, header & (2**27 - 1)], codes))
    widths = np.concatenate(([HEADER_BITS - 27, 27], 3 + length_bits + WORD_BITS))
    packed: list[int] = _pack_bits(codes, widths).tolist()
    return packed


def decode_brush_rle(
    values: Sequence[int], size: ImageSize | None = None, max_pixels: int = MAX_PIXELS
) -> npt.NDArray[np.uint8]:
    """Return the alpha channel of a brush region: uint8 [height, width], or [pixels] where `size` is None.

    Time and memory follow the code's length and `max_pixels`, whatever the header claims.
    Raises ValueError: not bytes, cut short, not RGBA of this size, or more than max_pixels.
    """
    if isinstance(values, int):
        raise ValueError("brush rle must be a list of numbers from 0 to 255, got one number")
    try:
        data = bytes(values)
    except (TypeError, ValueError) as exc:
        raise ValueError(f"brush rle must be a list of numbers from 0 to 255: {exc}") from exc
    if len(data) * 8 < HEADER_BITS:
        raise ValueError(f"brush rle has {len(data)} bytes, its header alone has 7")
    header = int.from_bytes(data[:7], "big") >> 3
    count = header >> 21
    pixels, remainder = divmod(count, CHANNELS)
    if remainder or pixels < 1 or pixels > max_pixels:
        raise ValueError(
            f"brush rle announces {count} values, wanted 4 per pixel and at most {max_pixels} pixels"
        )
    if size is not None and pixels != size.width * size.height:
        raise ValueError(f"brush rle has {pixels} pixels, the image is {size.width}x{size.height}")
    word_bits = (header >> 16 & 31) + 1
    if word_bits > WORD_BITS:
        raise ValueError(f"brush rle has words of {word_bits} bits, wanted at most {WORD_BITS}")
    length_bits = tuple((header >> shift & 15) + 1 for shift in (12, 8, 4, 0))
    alpha = _decode_blocks(data, count, word_bits, length_bits)
    return alpha if size is None else alpha.reshape(size.height, size.width)


def _run_edges(patch: MaskPatch, size: ImageSize) -> npt.NDArray[np.int64]:
    """Return the flat pixel indices at which the image's mask changes, starting from unset."""
    height, width = patch.bits.shape
    if patch.left_px + width > size.width or patch.top_px + height > size.height:
        raise ValueError(
            f"a window of {width}x{height} at ({patch.left_px}, {patch.top_px}) "
            f"sticks out of {size.width}x{size.height}"
        )
    # One flat search for changes between neighbours: several times faster than one in two dimensions.
    changes = np.empty((height, width + 1), dtype=np.bool_)
    changes[:, 0], changes[:, -1] = patch.bits[:, 0], patch.bits[:, -1]
    np.not_equal(patch.bits[:, 1:], patch.bits[:, :-1], out=changes[:, 1:-1])
    rows, columns = np.divmod(np.flatnonzero(changes), width + 1)
    edges: npt.NDArray[np.int64] = (rows + patch.top_px) * size.width + columns + patch.left_px
    # A run that ends with a row and goes on in the next leaves the same index twice.
    is_joint = edges[1:] == edges[:-1]
    if is_joint.any():
        edges = edges[~(np.append(is_joint, False) | np.append(False, is_joint))]
    return edges


def _shortest_fields(needed_bits: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the four length fields, ascending, with which runs that need so many bits take the fewest."""
    counts = np.bincount(needed_bits, minlength=MAX_LENGTH_BITS + 1)[1:]
    shortest: npt.NDArray[np.int64] = _FIELD_CHOICES[int(np.argmin(_FIELD_COST @ counts))]
    return shortest


def _header(values: int, field_sizes: Sequence[int]) -> int:
    header = values << 5 | (WORD_BITS - 1)
    for bits in field_sizes:
        header = header << 4 | (bits - 1)
    return header


def _split_long_runs(
    lengths: npt.NDArray[np.int64], is_set: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    longest = 2**MAX_LENGTH_BITS
    if lengths.max() <= longest:
        return lengths, is_set
    pieces = (lengths - 1) // longest + 1
    out = np.full(int(pieces.sum()), longest, dtype=np.int64)
    out[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * longest
    return out, np.repeat(is_set, pieces)


def _bit_length(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many bits each number >= 0 needs, at least 1."""
    exponents: npt.NDArray[np.int64] = np.frexp(numbers.astype(np.float64))[1].astype(np.int64)
    return np.maximum(exponents, 1)


def _pack_bits(codes: npt.NDArray[np.int64], widths: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Write each code of at most 27 bits in its width, one after the other, most significant bit first."""
    ends = np.cumsum(widths)
    starts = ends - widths
    first_byte = starts >> 3
    aligned = codes << (40 - widths - (starts & 7))
    # The five low bytes of each code, shifted to where it starts within a byte. Codes share no bits, so
    # adding the bytes that two of them touch is the same as joining them.
    touched = aligned.astype(">i8").view(np.uint8).reshape(-1, 8)[:, 3:]
    places = first_byte[:, None] + np.arange(5)
    total = (int(ends[-1]) + 7) // 8
    return np.bincount(places.ravel(), weights=touched.ravel())[:total].astype(np.uint8)


def _decode_blocks(
    data: bytes, count: int, word_bits: int, length_bits: tuple[int, ...]
) -> npt.NDArray[np.uint8]:
    alpha = np.zeros(count // CHANNELS, dtype=np.uint8)
    total_bits = len(data) * 8
    padded = data + bytes(8)
    word_mask = (1 << word_bits) - 1
    position, done = HEADER_BITS, 0
    while done < count:
        if position + 3 > total_bits:
            raise ValueError(f"brush rle ends after {done} of {count} values")
        # 64 bits from the byte on hold a block's head and a repeated value, whatever the bit it starts at.
        first = position >> 3
        window = int.from_bytes(padded[first : first + 8], "big") << (position & 7)
        field_bits = length_bits[window >> 61 & 3]
        end = done + 1 + (window >> (61 - field_bits) & ((1 << field_bits) - 1))
        is_repeated = window >> 63 & 1
        head_bits = 3 + field_bits
        block_end = position + head_bits + (word_bits if is_repeated else word_bits * (end - done))
        if block_end > total_bits or end > count:
            raise ValueError(f"brush rle is broken after {done} of {count} values")
        if is_repeated:
            value = window >> (61 - field_bits - word_bits) & word_mask
            if value:
                alpha[done >> 2 : end >> 2] = value
        else:
            literals = _read_words(padded, position + head_bits, end - done, word_bits)
            alpha[done >> 2 : end >> 2] = literals[(ALPHA - done) % CHANNELS :: CHANNELS]
        position, done = block_end, end
    return alpha


def _read_words(data: bytes, first_bit: int, count: int, word_bits: int) -> npt.NDArray[np.uint8]:
    last_byte = (first_bit + count * word_bits + 7) >> 3
    window = np.frombuffer(data[first_bit >> 3 : last_byte], dtype=np.uint8)
    bits = np.unpackbits(window)[first_bit & 7 :][: count * word_bits]
    weights = 1 << np.arange(word_bits - 1, -1, -1)
    return (bits.reshape(count, word_bits) @ weights).astype(np.uint8)
