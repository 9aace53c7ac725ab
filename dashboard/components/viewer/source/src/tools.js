/** Pointer gestures on the stage: pan, zoom, window, point, box and brush. */

const NOTCH = 40; // CSS pixels of wheel movement for one slice
const CLICK_SLOP = 4; // CSS pixels that a press may wander and still be a click

export class Gestures {
  constructor(viewer, layer) {
    this.viewer = viewer;
    this.layer = layer;
    this.pointers = new Map();
    layer.addEventListener("pointerdown", (e) => this.down(e));
    layer.addEventListener("pointermove", (e) => this.move(e));
    layer.addEventListener("pointerup", (e) => this.up(e));
    layer.addEventListener("pointercancel", (e) => this.cancel(e));
    layer.addEventListener("pointerleave", () => viewer.showReadout(null));
    layer.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
    layer.addEventListener("contextmenu", (e) => e.preventDefault());
    layer.addEventListener("dblclick", () => viewer.state.tool === "pan" && viewer.resetView());
  }

  place(event) {
    const box = this.layer.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  wheel(event) {
    event.preventDefault();
    if (!this.viewer.ready) return;
    const [x, y] = this.place(event);
    const lines = event.deltaMode === 1 ? 16 : 1;
    const { stage } = this.viewer;
    if (stage.slices() && !event.ctrlKey) return this.scroll(event.deltaY * lines, stage.paneAt(x, y));
    stage.zoomAt(Math.exp(-event.deltaY * lines * 0.0015), x, y);
    return this.viewer.render();
  }

  /** One slice per notch of a wheel; a touch pad's small steps add up. */
  scroll(pixels, pane) {
    const size = Math.abs(pixels) >= NOTCH ? Math.sign(pixels) * NOTCH : pixels;
    this.rolled = (Math.sign(size) === Math.sign(this.rolled ?? 0) ? this.rolled : 0) + size;
    const steps = Math.trunc(this.rolled / NOTCH);
    this.rolled -= steps * NOTCH;
    if (steps) this.viewer.stepSlice(steps, pane ?? undefined);
  }

  down(event) {
    if (!this.viewer.ready) return;
    this.layer.focus({ preventScroll: true });
    this.layer.setPointerCapture(event.pointerId);
    const at = this.place(event);
    this.pointers.set(event.pointerId, at);
    this.viewer.stage.activate(...at);
    if (this.pointers.size === 2) this.gesture = { kind: "pinch", span: this.span() };
    else this.gesture = { kind: this.kindOf(event), start: at, last: at, moved: false };
    this.viewer.hideCursor();
    if (this.gesture.kind === "brush") this.viewer.startStroke(this.viewer.stage.toPixel(...at));
    if (this.gesture.kind === "box") this.gesture.anchor = this.viewer.stage.toPixel(...at);
  }

  kindOf(event) {
    if (event.button === 2 || (event.button === 0 && event.altKey)) return "window";
    if (event.button === 1 || event.shiftKey) return "pan";
    return this.viewer.state.tool;
  }

  span() {
    const [a, b] = [...this.pointers.values()];
    return { size: Math.hypot(a[0] - b[0], a[1] - b[1]), middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2] };
  }

  move(event) {
    const viewer = this.viewer;
    if (!viewer.ready) return;
    const at = this.place(event);
    viewer.showReadout(viewer.stage.toPixel(...at));
    const gesture = this.gesture;
    if (!gesture || !this.pointers.has(event.pointerId)) return;
    this.pointers.set(event.pointerId, at);
    if (gesture.kind === "pinch") return this.pinch(gesture);
    const [dx, dy] = [at[0] - gesture.last[0], at[1] - gesture.last[1]];
    gesture.moved ||= Math.hypot(at[0] - gesture.start[0], at[1] - gesture.start[1]) > CLICK_SLOP;
    gesture.last = at;
    if (gesture.kind === "pan") viewer.stage.panBy(dx, dy);
    else if (gesture.kind === "window") viewer.nudgeWindow(dx, dy);
    else if (gesture.kind === "brush") viewer.extendStroke(viewer.stage.toPixel(...at));
    else if (gesture.kind === "box" && gesture.anchor && gesture.moved) viewer.previewBox(gesture.anchor, viewer.stage.toNearestPixel(...at));
    return viewer.render();
  }

  pinch(gesture) {
    if (this.pointers.size < 2) return;
    const now = this.span();
    this.viewer.stage.panBy(now.middle[0] - gesture.span.middle[0], now.middle[1] - gesture.span.middle[1]);
    this.viewer.stage.zoomAt(now.size / Math.max(1, gesture.span.size), ...now.middle);
    gesture.span = now;
    this.viewer.render();
  }

  up(event) {
    const { viewer, gesture } = this;
    this.cancel(event);
    if (!gesture || !viewer.ready || gesture.kind === "pinch") return;
    const at = this.place(event);
    if (gesture.kind === "point" && !gesture.moved) viewer.click(viewer.stage.toPixel(...at));
    else if (gesture.kind === "brush") viewer.endStroke();
    else if (gesture.kind === "box" && gesture.anchor && gesture.moved) viewer.box(gesture.anchor, viewer.stage.toNearestPixel(...at));
    else if (gesture.kind === "pan" && !gesture.moved && viewer.stage.follow && event.button === 0) viewer.follow(viewer.stage.toPixel(...at));
  }

  cancel(event) {
    this.pointers.delete(event.pointerId);
    if (!this.pointers.size) this.gesture = null;
  }
}
