/* Label Studio's bitmasks: a PNG in a data URL, alpha being the mask, stretched over the image. */

const PREFIX = /^\s*data:image\/png(?:;[^,;]{0,40}){0,4};base64,/i;
const MOST_PIXELS = 120_000_000;
const MOST_TIMES_IMAGE = 4;
const HEADER_BYTES = 33;

/** Resolve with the alpha of every pixel of the image, row by row, as Uint8Array [width * height]; rejects if it is no PNG. */
export async function decodePngAlpha(url, width, height) {
  const prefix = PREFIX.exec(url);
  if (prefix === null) throw new TypeError("the bitmask is no PNG in a data URL");
  const bytes = Uint8Array.from(atob(url.slice(prefix[0].length).trim()), (letter) => letter.charCodeAt(0));
  if (bytes.length < HEADER_BYTES) throw new RangeError("the bitmask ends too early");
  const header = new DataView(bytes.buffer);
  const pixels = header.getUint32(16) * header.getUint32(20);
  if (width * height > MOST_PIXELS || pixels > MOST_TIMES_IMAGE * width * height) {
    throw new RangeError(`the bitmask has ${pixels} pixels, the image ${width * height}`);
  }
  const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0, width, height);
  picture.close();
  const { data } = context.getImageData(0, 0, width, height);
  const alpha = new Uint8Array(width * height);
  for (let at = 0; at < alpha.length; at += 1) alpha[at] = data[4 * at + 3];
  return alpha;
}
