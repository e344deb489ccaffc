/* Label Studio's brush format: a bit stream, most significant bit first, of RGBA bytes; alpha is the mask. */

const MOST_PIXELS = 120_000_000;

/** Return the alpha of every pixel, row by row, as Uint8Array [width * height]; throws if it is of another size. */
export function decodeBrushAlpha(rle, width, height) {
  const bytes = rle instanceof Uint8Array ? rle : Uint8Array.from(rle);
  const limit = bytes.length * 8;
  let position = 0;
  const read = (bits) => {
    if (position + bits > limit) throw new RangeError("the brush mask ends too early");
    let value = 0;
    let left = bits;
    while (left > 0) {
      const offset = position & 7;
      const take = Math.min(8 - offset, left);
      value = value * (1 << take) + ((bytes[position >> 3] >> (8 - offset - take)) & ((1 << take) - 1));
      position += take;
      left -= take;
    }
    return value;
  };
  const total = read(32);
  if (width * height > MOST_PIXELS || total !== 4 * width * height) {
    throw new RangeError(`the brush mask has ${total / 4} pixels, the image ${width * height}`);
  }
  const wordBits = read(5) + 1;
  const lengthBits = [read(4) + 1, read(4) + 1, read(4) + 1, read(4) + 1];
  const alpha = new Uint8Array(width * height);
  let index = 0;
  while (index < total) {
    const isRepeated = read(1) === 1;
    const end = Math.min(total, index + read(lengthBits[read(2)]) + 1);
    if (isRepeated) {
      const value = read(wordBits);
      // Alpha stands at 3, 7, 11, ...: the pixels whose alpha lies in [index, end).
      if (value) alpha.fill(value, index >> 2, end >> 2);
      index = end;
    } else {
      for (; index < end; index += 1) {
        const value = read(wordBits);
        if ((index & 3) === 3) alpha[index >> 2] = value;
      }
    }
  }
  return alpha;
}

/** Return the smallest window that holds every set pixel, or null where none is set. */
export function windowOf(alpha, width, height) {
  let left = width;
  let right = -1;
  let top = -1;
  let bottom = -1;
  for (let y = 0; y < height; y += 1) {
    const row = y * width;
    let first = 0;
    while (first < width && alpha[row + first] === 0) first += 1;
    if (first === width) continue;
    let last = width - 1;
    while (alpha[row + last] === 0) last -= 1;
    if (top < 0) top = y;
    bottom = y;
    if (first < left) left = first;
    if (last > right) right = last;
  }
  return top < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}
