/* The rows of a long list, fetched in blocks as they come into sight, and forgotten when the list changes. */

const BLOCK = 100;

export class Blocks {
  /** load(offset, limit, signal) -> {rows, total}; changed() is called when something arrived. */
  constructor(load, changed) {
    this.load = load;
    this.changed = changed;
    this.total = 0;
    this.blocks = new Map();
    this.aborter = new AbortController();
  }

  /** Forget everything and start again; rows that are shown stay until their block has come. */
  reset({ keep = false } = {}) {
    this.aborter.abort();
    this.aborter = new AbortController();
    if (keep) {
      for (const block of this.blocks.values()) Object.assign(block, { isStale: true, isLoading: false });
    } else {
      this.blocks = new Map();
      this.total = 0;
    }
    return this.want(0, 1);
  }

  row(index) {
    return this.blocks.get(Math.floor(index / BLOCK))?.rows?.[index % BLOCK] ?? null;
  }

  /** Find a row that has been fetched; returns its index or -1. */
  findIndex(test) {
    for (const [number, block] of this.blocks) {
      const index = block.rows?.findIndex(test) ?? -1;
      if (index >= 0) return number * BLOCK + index;
    }
    return -1;
  }

  want(first, last) {
    const waits = [];
    for (let number = Math.floor(first / BLOCK); number <= Math.floor(Math.max(first, last) / BLOCK); number += 1) {
      const block = this.blocks.get(number) || { rows: null, isLoading: false, isStale: true };
      this.blocks.set(number, block);
      if (block.isStale && !block.isLoading) waits.push(this.fetchBlock(number, block));
    }
    return Promise.all(waits);
  }

  async fetchBlock(number, block) {
    const { signal } = this.aborter;
    block.isLoading = true;
    try {
      const { rows, total } = await this.load(number * BLOCK, BLOCK, signal);
      if (signal.aborted) return;
      block.rows = rows;
      block.isStale = false;
      this.total = total;
      this.changed();
    } catch (error) {
      if (error.name === "AbortError") return;
      block.isStale = false;
      this.changed(error);
    } finally {
      // What was aborted may be loading again by now, for a later reset.
      if (!signal.aborted) block.isLoading = false;
    }
  }
}
