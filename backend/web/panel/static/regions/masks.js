/* Painted masks, each decoded once by the worker and kept while its task is on the screen. */

const waiting = new Map();
let worker = null;
let nextTicket = 1;

function theWorker() {
  if (worker === null) {
    worker = new Worker(new URL("./workers/mask_worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => {
      const done = waiting.get(data.ticket);
      waiting.delete(data.ticket);
      done?.(data);
    };
  }
  return worker;
}

/** Resolve with {area, bitmap} of a mask painted in a colour; both are null where nothing is painted or it is broken.

    mask: {rle}, or {imageDataURL}. */
export function paintMask(mask, width, height, color) {
  const ticket = nextTicket;
  nextTicket += 1;
  return new Promise((resolve) => {
    waiting.set(ticket, (data) => {
      if (data.error) console.warn("a mask is not drawn:", data.error);
      resolve({ area: data.area || null, bitmap: data.bitmap || null });
    });
    theWorker().postMessage({ ticket, mask, width, height, rgb: rgbOf(color) });
  });
}

const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const knownColors = new Map();

/** Return [red, green, blue] of any CSS colour. */
export function rgbOf(color) {
  if (!knownColors.has(color)) {
    probe.canvas.width = 1;
    probe.canvas.height = 1;
    probe.fillStyle = "#888";
    probe.fillStyle = color;
    probe.clearRect(0, 0, 1, 1);
    probe.fillRect(0, 0, 1, 1);
    knownColors.set(color, [...probe.getImageData(0, 0, 1, 1).data.slice(0, 3)]);
  }
  return knownColors.get(color);
}
