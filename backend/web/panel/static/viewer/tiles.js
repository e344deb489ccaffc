/* The sharp parts of a large picture: tiles of its own pixels, fetched for what is in sight and drawn over the preview. */

import { CanvasLayer } from "./canvas_layer.js";

const TILE_PX = 512;
const MOST_TILES = 96;
const MOST_AT_ONCE = 6;

export class TileLayer extends CanvasLayer {
  constructor(canvas) {
    super(canvas);
    this.picture = null;
    this.tiles = new Map(); // by name, the one unused for longest first: a bitmap, or null for what cannot be had
    this.loading = new Map();
  }

  /** Show another picture: { width, height, previewWidth, url(level, column, row) }, or none. */
  setPicture(picture) {
    for (const abort of this.loading.values()) abort.abort();
    for (const tile of this.tiles.values()) tile?.bitmap.close();
    this.loading.clear();
    this.tiles.clear();
    this.picture = picture;
    this.draw();
  }

  paint(ratio) {
    const { context, picture, view } = this;
    if (!picture) return;
    const wanted = this.inSight(ratio);
    this.fetchWhatIsMissing(wanted);
    const drawn = [...this.tiles.values()].filter((tile) => tile && tile.level >= (wanted[0]?.level ?? Infinity));
    drawn.sort((one, other) => other.level - one.level);
    context.setTransform(view.scale * ratio, 0, 0, view.scale * ratio, view.x * ratio, view.y * ratio);
    context.imageSmoothingEnabled = view.scale <= 4;
    for (const { bitmap, left, top, size } of drawn) {
      const right = Math.min(left + size, picture.width);
      const bottom = Math.min(top + size, picture.height);
      context.drawImage(bitmap, left, top, right - left, bottom - top);
    }
  }

  /** The tiles in sight at the level that the zoom calls for, the middle first; none where the preview is enough. */
  inSight(ratio) {
    const { canvas, picture, view } = this;
    const zoom = view.scale * ratio;
    if (zoom * picture.width <= picture.previewWidth * 1.05) return [];
    const level = Math.max(0, Math.floor(Math.log2(1 / zoom) + 0.01));
    const size = TILE_PX * 2 ** level;
    const range = (offset, length, whole) => {
      const first = Math.max(0, Math.floor(-offset / view.scale / size));
      const last = Math.min(Math.ceil(whole / size), Math.ceil((length - offset) / view.scale / size));
      return [...Array(Math.max(0, last - first)).keys()].map((step) => first + step);
    };
    const middle = (offset, length) => (length / 2 - offset) / view.scale / size - 0.5;
    const [x, y] = [middle(view.x, canvas.clientWidth), middle(view.y, canvas.clientHeight)];
    const found = range(view.y, canvas.clientHeight, picture.height).flatMap((row) =>
      range(view.x, canvas.clientWidth, picture.width).map((column) => ({
        name: `${level}/${column}/${row}`, level, column, row, size, left: column * size, top: row * size,
      })),
    );
    const distance = (tile) => Math.hypot(tile.column - x, tile.row - y);
    return found.sort((one, other) => distance(one) - distance(other)).slice(0, MOST_TILES);
  }

  fetchWhatIsMissing(wanted) {
    const names = new Set(wanted.map((tile) => tile.name));
    for (const [name, abort] of this.loading) {
      if (!names.has(name)) {
        abort.abort();
        this.loading.delete(name);
      }
    }
    for (const tile of wanted) {
      const known = this.tiles.get(tile.name);
      if (known !== undefined) {
        this.tiles.delete(tile.name);
        this.tiles.set(tile.name, known);
      } else if (this.loading.size < MOST_AT_ONCE && !this.loading.has(tile.name)) {
        this.fetchTile(tile);
      }
    }
  }

  async fetchTile(tile) {
    const { picture } = this;
    const abort = new AbortController();
    this.loading.set(tile.name, abort);
    let bitmap = null;
    try {
      const response = await fetch(picture.url(tile.level, tile.column, tile.row), { signal: abort.signal, credentials: "same-origin" });
      if (response.ok) bitmap = await createImageBitmap(await response.blob());
    } catch {
      // The preview stays where a tile cannot be had.
    }
    if (this.picture !== picture || abort.signal.aborted) {
      bitmap?.close();
      return;
    }
    this.loading.delete(tile.name);
    this.tiles.set(tile.name, bitmap && { ...tile, bitmap });
    while (this.tiles.size > MOST_TILES) {
      const [oldest, gone] = this.tiles.entries().next().value;
      gone?.bitmap.close();
      this.tiles.delete(oldest);
    }
    this.draw();
  }
}
