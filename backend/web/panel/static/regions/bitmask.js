/* Bitmasks: the alpha of a PNG, stretched over the image, decoded and coloured once by a worker. */

import { paintedKind } from "./painted.js";

export const bitmask = {
  ...paintedKind("imageDataURL"),
  name: "bitmask",
  isPainted: true,
  fields: ["imageDataURL"],
  fits: (value) => "imageDataURL" in value,
  describe: () => "bitmask",
};
