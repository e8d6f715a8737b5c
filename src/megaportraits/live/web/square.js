// The square over the camera's picture that a browser which computes sees; hands move it.
export class Square {
  constructor(element, video, slider) {
    Object.assign(this, { element, video, slider, x: 0.5, y: 0.5 });
    slider.addEventListener("input", () => this.draw());
    element.addEventListener("wheel", (event) => {
      event.preventDefault();
      slider.valueAsNumber -= Math.sign(event.deltaY) * 3;
      this.draw();
    });
    element.addEventListener("pointerdown", (event) => element.setPointerCapture(event.pointerId));
    element.addEventListener("pointermove", (event) => {
      if (!element.hasPointerCapture(event.pointerId)) return;
      const mirrored = video.parentElement.classList.contains("mirrored") ? -1 : 1;
      this.x = Math.min(1, Math.max(0, this.x + mirrored * event.movementX / video.clientWidth));
      this.y = Math.min(1, Math.max(0, this.y + event.movementY / video.clientHeight));
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(video);
  }

  // In pixels of the video; it may leave the picture.
  place() {
    const { videoWidth: width, videoHeight: height } = this.video;
    const side = Math.min(width, height) * this.slider.valueAsNumber / 100;
    return { x: this.x * width - side / 2, y: this.y * height - side / 2, side };
  }

  show(on) {
    this.element.hidden = !on;
    this.draw();
  }

  draw() {
    const { x, y, side } = this.place(), scale = this.video.clientWidth / (this.video.videoWidth || 1);
    const [left, top, size] = [x, y, side].map((value) => `${value * scale}px`);
    Object.assign(this.element.style, { left, top, width: size, height: size });
  }
}
