/** A volume in up to three linked planes on a 2-D canvas: exact voxels, windowed in the browser, no WebGL. */

import { table } from "./colormaps.js";
import { clamp } from "./dom.js";
import { loadVolume, loadVolumeMap } from "./load.js";
import { Pane } from "./pane.js";

const GAP = 6;
const SHARE = 0.36; // of the width or height that the two smaller planes may take
const LEAST = 96; // CSS pixels that a smaller plane is worth showing in
const LINKED_FROM = 460; // CSS pixels of width below which one plane is shown alone

export class VolumeStage {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.area = [0, 0, 100, 100];
    this.panes = [];
  }

  async load(image) {
    this.volume = await loadVolume(image);
    this.image = image;
    this.at = image.shape.map((n) => Math.floor(n / 2));
    this.panes = image.planes.map((plane) => new Pane(plane, image, this.volume));
    this.linked = image.linked;
    this.plane = image.planes[0].id;
    this.active = this.main;
    this.arrange();
  }

  async loadOverlay(overlay) {
    return loadVolumeMap(overlay);
  }

  // ---- planes ----

  get main() {
    return this.panes.find((pane) => pane.plane.id === this.plane);
  }

  get planes() {
    return this.panes.map((pane) => pane.plane);
  }

  get isLinked() {
    return this.linked && this.area[2] >= LINKED_FROM;
  }

  /** The panes on show, the large one first. */
  get shown() {
    return this.isLinked ? [this.main, ...this.panes.filter((pane) => pane !== this.main)] : [this.main];
  }

  setPlane(id) {
    this.plane = id;
    this.active = this.main;
    this.arrange();
  }

  setLinked(on) {
    this.linked = on;
    this.active = this.main;
    this.arrange();
  }

  arrange() {
    const [left, top, width, height] = this.area;
    if (!this.isLinked) {
      this.main?.place([left, top, width, height]);
      return;
    }
    const layouts = [this.beside(), this.below()];
    const room = ([main]) => this.main.fitIn(main[2], main[3]);
    const best = room(layouts[0]) >= room(layouts[1]) ? layouts[0] : layouts[1];
    this.shown.forEach((pane, i) => pane.place([left + best[i][0], top + best[i][1], best[i][2], best[i][3]]));
  }

  /** The smaller planes to the right, no wider than they need. */
  beside() {
    const [, , width, height] = this.area;
    const [, upper, lower] = this.shown;
    const half = (height - GAP) / 2;
    const side = clamp(Math.max(upper.widthFor(half), lower.widthFor(half)), LEAST, width * SHARE);
    return [[0, 0, width - side - GAP, height], [width - side, 0, side, half], [width - side, half + GAP, side, half]];
  }

  /** The smaller planes below, no higher than they need. */
  below() {
    const [, , width, height] = this.area;
    const [, first, second] = this.shown;
    const half = (width - GAP) / 2;
    const foot = clamp(Math.max(first.heightFor(half), second.heightFor(half)), LEAST, height * SHARE);
    return [[0, 0, width, height - foot - GAP], [0, height - foot, half, foot], [half + GAP, height - foot, half, foot]];
  }

  paneAt(x, y) {
    return this.shown.find((pane) => pane.holds(x, y)) ?? null;
  }

  /** Pointer gestures belong to the pane in which they start. */
  activate(x, y) {
    this.active = this.paneAt(x, y) ?? this.main;
  }

  // ---- geometry: source indices (slice, row, column) <-> canvas ----

  toPixel(x, y) {
    return this.paneAt(x, y)?.toIndex(x, y, this.at) ?? null;
  }

  toNearestPixel(x, y) {
    return this.active.toNearest(x, y, this.at);
  }

  clampPixel(index) {
    return index.map((v, i) => clamp(v, 0, this.image.shape[i] - 1));
  }

  /** One cursor step right and down on the screen; every plane follows. */
  moveCursor(index, [dx, dy]) {
    const { plane } = this.active;
    const next = [...index];
    next[plane.right] += plane.flip_right ? -dx : dx;
    next[plane.down] += plane.flip_down ? -dy : dy;
    this.at = this.clampPixel(next);
    return [...this.at];
  }

  centrePixel() {
    return [...this.at];
  }

  follow(index) {
    this.at = this.clampPixel(index);
  }

  zoomAt(factor, x, y) {
    (this.paneAt(x, y) ?? this.active).zoomAt(factor, x, y);
  }

  zoomMiddle(factor) {
    const [x, y, width, height] = this.active.rect;
    this.active.zoomAt(factor, x + width / 2, y + height / 2);
  }

  panBy(dx, dy) {
    this.active.panBy(dx, dy);
  }

  reset() {
    for (const pane of this.panes) pane.reset();
  }

  /** Where the reader looks; viewers of other sizes can look there too. */
  look() {
    const panes = this.panes.map(({ zoom, centre }) => ({ zoom, centre: [...centre] }));
    return { at: [...this.at], plane: this.plane, linked: this.linked, panes };
  }

  setLook({ at, plane, linked, panes }) {
    this.at = [...at];
    panes.forEach(({ zoom, centre }, i) => Object.assign(this.panes[i], { zoom, centre: [...centre] }));
    if (plane === this.plane && linked === this.linked) return;
    [this.plane, this.linked] = [plane, linked];
    this.active = this.main;
    this.arrange();
  }

  get zoomPercent() {
    return Math.round(this.main.zoom * 100);
  }

  get pixelsPerMm() {
    return this.image.spacing ? this.main.pixelsPerMm : null;
  }

  get pixelSize() {
    return this.main.cell[0];
  }

  /** Lower right corner of the large plane, where the scale bar stands. */
  get corner() {
    const [left, top, width, height] = this.main.rect;
    return [left + width, top + height];
  }

  // ---- slices ----

  /** Array axis of the slider, its index and the number of slices. */
  slices() {
    const { axis } = this.main.plane;
    return { axis, index: this.at[axis], count: this.image.shape[axis] };
  }

  setSlice(position) {
    this.scroll(this.main, position - this.at[this.main.plane.axis]);
  }

  /** Steps forward: to the feet, to the back, to the left, or to the next scan. */
  stepSlice(steps, pane = this.active) {
    this.scroll(pane, steps * pane.plane.forward);
  }

  scroll(pane, delta) {
    const index = [...this.at];
    index[pane.plane.axis] += delta;
    this.at = this.clampPixel(index);
  }

  valueAt(index) {
    return this.volume.value(this.volume.offset(index));
  }

  /** Where marks are drawn: one view per pane, clipped to it. */
  views() {
    return this.shown.map((pane) => ({
      rect: pane.rect,
      place: (index) => pane.toScreen(index),
      holds: (index) => index[pane.plane.axis] === this.at[pane.plane.axis],
      pixel: pane.cell[0],
      edges: (outline) => pane.edges(outline, this.at[pane.plane.axis]),
    }));
  }

  // ---- drawing ----

  resize(width, height, insets) {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.area = [insets.left, insets.top, Math.max(40, width - insets.left - insets.right), Math.max(40, height - insets.top - insets.bottom)];
    if (this.panes.length) this.arrange();
  }

  render(state, overlay, map) {
    const ratio = window.devicePixelRatio || 1;
    const { context } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const { shown } = this;
    for (const pane of shown) {
      const linked = shown.length > 1;
      pane.draw(context, this.at, this.paint(state, overlay, map), { linked, active: linked && pane === this.active, main: pane === this.main, lines: state.linesOn });
    }
  }

  /** Tables from stored value to colour, rebuilt only when the window or the map's look changes. */
  paint(state, overlay, map) {
    const [low, high] = state.window;
    const key = `${low}|${high}`;
    if (this.greyKey !== key) {
      this.grey = this.volume.greys(low, high, this.grey);
      this.greyKey = key;
    }
    const on = overlay && map && state.mapOn && state.opacity > 0;
    const tint = on ? `${state.colormap[overlay.signed]}|${overlay.signed}|${state.threshold}` : null;
    if (tint && tint !== this.tintKey) {
      this.tint = table(state.colormap[overlay.signed], overlay.signed, state.threshold);
      this.tintKey = tint;
    }
    return { grey: this.grey, greyKey: key, map: on ? map : null, tint: this.tint, opacity: state.opacity };
  }

  /** The whole slice of the large plane with its map, at its own resolution or a little above. */
  snapshot(state, overlay, map, drawAnnotations) {
    return this.main.snapshot(this.at, this.paint(state, overlay, map), drawAnnotations);
  }

  dispose() {}
}
