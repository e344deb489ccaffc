/* Brush regions: masks in pixels of the image they were painted on, decoded and coloured once by a worker. */

import { paintedKind } from "./painted.js";

export const brush = {
  ...paintedKind("rle"),
  name: "brush",
  isPainted: true,
  fields: ["rle"],
  fits: (value) => Array.isArray(value.rle),
  describe: () => "brush",
};
