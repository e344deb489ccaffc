/* The kinds of regions that the panel draws: a new one is its module beside this one, and its name in this list.

   Each module exports one object:
     name                       "polygon", as the list of regions says it
     isAboutImage               whether it says something of the whole image, and is listed and not drawn
     labels(value)              the names that it says, where they are no labels
     isPainted                  whether the switch for masks shows it, not that for shapes
     fields                     those of a value that say where a region lies
     fits(value)                whether a result's value has the fields by which the editor tells this kind
     outline(result, frame)     the shape to draw in pixels of the image shown, built once: {anchor: [x, y] or null, ...};
                                null where the value makes none. frame: {width, height, x(percent), y(percent)}
     prepare(shape, color, frame)   what takes time, if anything: a promise, after which the shape is drawn
     draw(context, shape, style)    style: {color, scale, isPrediction, isHighlighted, frame}; context is in pixels of the image
     release(shape)             gives back what prepare holds
     describe(shape)            what it is, in words */

import { answer } from "./answer.js";
import { bitmask } from "./bitmask.js";
import { brush } from "./brush.js";
import { ellipse } from "./ellipse.js";
import { keyPoint } from "./keypoint.js";
import { polygon } from "./polygon.js";
import { rectangle } from "./rectangle.js";
import { vector } from "./vector.js";

export const KINDS = [brush, bitmask, polygon, vector, ellipse, rectangle, keyPoint, answer];

/** Return the kind of a result's value, told by its fields as Label Studio's editor does; undefined if it is none. */
export function kindOf(value) {
  return KINDS.find((kind) => kind.fits(value));
}
