/* A canvas over the picture that follows its zoom.

   What is a layer has `paint(ratio)`: it draws on the cleared canvas, which has `ratio` pixels for each of CSS. */

export class CanvasLayer {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.view = { scale: 1, x: 0, y: 0 };
    this.frame = 0;
  }

  setView(view) {
    this.view = view;
    this.draw();
  }

  /** Ask for one redraw in the next frame, however often it is called before. */
  draw() {
    if (!this.frame) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.drawNow();
      });
    }
  }

  drawNow() {
    const { canvas, context } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    this.paint(ratio);
  }
}
