/** A flat image on a 2-D canvas: exact pixels, any size, no WebGL. */

import { table } from "./colormaps.js";
import { clamp } from "./dom.js";
import { loadFlat, loadMap } from "./load.js";

const NEAREST_FROM = 3; // CSS pixels per image pixel from which single pixels are shown as squares
const MAX_SCALE = 80;

export class FlatStage {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.map = null;
    this.windowed = null;
    this.tinted = document.createElement("canvas");
    this.size = [0, 0];
    this.insets = { top: 0, right: 0, bottom: 0, left: 0 };
  }

  async load(image) {
    this.source = await loadFlat(image);
    this.image = image;
    const [sy, sx] = image.spacing ?? [1, 1];
    this.aspect = clamp(sy / sx, 0.05, 20);
    this.windowed = null;
    this.reset();
  }

  async loadOverlay(overlay) {
    return loadMap(overlay.url);
  }

  // ---- geometry: pixel (r, c) covers [c, c + 1] x [r, r + 1] of the image plane ----

  get fitScale() {
    const { width, height } = this.source;
    const { top, right, bottom, left } = this.insets;
    const room = [Math.max(40, this.size[0] - left - right), Math.max(40, this.size[1] - top - bottom)];
    return Math.min(room[0] / width, room[1] / (height * this.aspect));
  }

  get scale() {
    return this.fitScale * this.zoom;
  }

  origin() {
    const { top, right, bottom, left } = this.insets;
    const middle = [(left + this.size[0] - right) / 2, (top + this.size[1] - bottom) / 2];
    return [middle[0] - this.centre[1] * this.scale, middle[1] - this.centre[0] * this.scale * this.aspect];
  }

  /** Continuous array coordinates (row, column) with pixel centres at whole numbers. */
  toImage(x, y) {
    const [ox, oy] = this.origin();
    return [(y - oy) / (this.scale * this.aspect) - 0.5, (x - ox) / this.scale - 0.5];
  }

  /** The pixel under a point of the stage, or null outside the image. */
  toPixel(x, y) {
    const [r, c] = this.toImage(x, y).map((v) => Math.floor(v + 0.5));
    return r >= 0 && c >= 0 && r < this.source.height && c < this.source.width ? [r, c] : null;
  }

  /** Nearest pixel, for gestures that leave the image. */
  toNearestPixel(x, y) {
    const [r, c] = this.toImage(x, y);
    return this.clampPixel([Math.round(r), Math.round(c)]);
  }

  clampPixel([r, c]) {
    return [clamp(r, 0, this.source.height - 1), clamp(c, 0, this.source.width - 1)];
  }

  toScreen([r, c]) {
    const [ox, oy] = this.origin();
    return [ox + (c + 0.5) * this.scale, oy + (r + 0.5) * this.scale * this.aspect];
  }

  moveCursor([r, c], [dx, dy]) {
    return this.clampPixel([r + dy, c + dx]);
  }

  centrePixel() {
    return this.clampPixel([Math.floor(this.centre[0]), Math.floor(this.centre[1])]);
  }

  zoomAt(factor, x, y) {
    const [r, c] = this.toImage(x, y);
    this.zoom = clamp(this.zoom * factor, 0.5, Math.max(8, MAX_SCALE / this.fitScale));
    const [r2, c2] = this.toImage(x, y);
    this.moveCentre(r - r2, c - c2);
  }

  panBy(dx, dy) {
    this.moveCentre(-dy / (this.scale * this.aspect), -dx / this.scale);
  }

  moveCentre(dr, dc) {
    this.centre = [clamp(this.centre[0] + dr, 0, this.source.height), clamp(this.centre[1] + dc, 0, this.source.width)];
  }

  reset() {
    this.zoom = 1;
    this.centre = [this.source.height / 2, this.source.width / 2];
  }

  /** Where the reader looks; viewers of other sizes can look there too. */
  look() {
    return { zoom: this.zoom, centre: [...this.centre] };
  }

  setLook({ zoom, centre }) {
    this.zoom = zoom;
    this.centre = [...centre];
  }

  get zoomPercent() {
    return Math.round(this.zoom * 100);
  }

  /** CSS pixels per millimetre along the columns, or null where the spacing is unknown. */
  get pixelsPerMm() {
    return this.image.spacing ? this.scale / this.image.spacing[1] : null;
  }

  slices() {
    return null;
  }

  activate() {}

  zoomMiddle(factor) {
    const { top, right, bottom, left } = this.insets;
    this.zoomAt(factor, (left + this.size[0] - right) / 2, (top + this.size[1] - bottom) / 2);
  }

  get pixelSize() {
    return this.scale;
  }

  get corner() {
    return [this.size[0] - this.insets.right, this.size[1] - this.insets.bottom];
  }

  /** Where marks are drawn: one view, not clipped. */
  views() {
    return [{ place: (index) => this.toScreen(index), holds: () => true, pixel: this.scale, edges: (outline) => outline.paths }];
  }

  /** Value of a pixel for the readout. */
  valueAt([r, c]) {
    const { values, width } = this.source;
    if (values) {
      const [low, high] = this.image.range;
      return low + (values[r * width + c] / 65535) * (high - low);
    }
    const [red, green, blue] = this.source.canvas.getContext("2d").getImageData(c, r, 1, 1).data;
    return this.source.colour ? [red, green, blue] : red;
  }

  // ---- drawing ----

  resize(width, height, insets) {
    this.size = [width, height];
    this.insets = insets;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
  }

  /** Canvas of the image under the current window; rebuilt only when the window moves. */
  base(state) {
    const [low, high] = state.window;
    const whole = !this.source.values && low === this.image.range[0] && high === this.image.range[1];
    if (whole) return this.source.canvas;
    const key = `${low}|${high}`;
    if (this.windowedKey !== key || !this.windowed) {
      this.windowed = applyWindow(this.source, this.image.range, low, high, this.windowed);
      this.windowedKey = key;
    }
    return this.windowed;
  }

  /** Canvas of the coloured map, at full opacity. */
  tint(state, overlay, map) {
    const key = `${overlay.url}|${state.colormap[overlay.signed]}|${state.threshold}`;
    if (this.tintedKey !== key) {
      const lut = table(state.colormap[overlay.signed], overlay.signed, state.threshold);
      this.tinted.width = map.width;
      this.tinted.height = map.height;
      const context = this.tinted.getContext("2d");
      const data = context.createImageData(map.width, map.height);
      const pixels = new Uint32Array(data.data.buffer);
      for (let i = 0; i < pixels.length; i += 1) pixels[i] = lut[map.bytes[i]];
      context.putImageData(data, 0, 0);
      this.tintedKey = key;
    }
    return this.tinted;
  }

  render(state, overlay, map) {
    const ratio = window.devicePixelRatio || 1;
    const context = this.context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const [ox, oy] = this.origin();
    context.setTransform(this.scale * ratio, 0, 0, this.scale * this.aspect * ratio, ox * ratio, oy * ratio);
    this.paint(context, state, overlay, map, this.scale < NEAREST_FROM);
  }

  /** Paint image and map in image coordinates: used for the screen and for the download. */
  paint(context, state, overlay, map, smooth) {
    const { width, height } = this.source;
    context.imageSmoothingEnabled = smooth;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.base(state), 0, 0, width, height);
    if (!overlay || !map || !state.mapOn) return;
    context.globalAlpha = state.opacity;
    context.imageSmoothingEnabled = smooth || map.width !== width;
    context.drawImage(this.tint(state, overlay, map), 0, 0, width, height);
    context.globalAlpha = 1;
  }

  /** Picture of the whole image with its map, at the image's own resolution or a little above. */
  snapshot(state, overlay, map, drawAnnotations) {
    const { width, height } = this.source;
    const scale = clamp(1200 / width, 1, 4);
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale * this.aspect);
    const context = canvas.getContext("2d");
    context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
    this.paint(context, state, overlay, map, true);
    context.setTransform(1, 0, 0, 1, 0, 0);
    const place = ([r, c]) => [((c + 0.5) * canvas.width) / width, ((r + 0.5) * canvas.height) / height];
    drawAnnotations(context, { place, edges: (outline) => outline.paths, pixel: canvas.width / width }, canvas.width / width);
    return canvas;
  }

  dispose() {}
}

/** Grey or colour under a linear window, as a canvas. */
function applyWindow(source, range, low, high, reuse) {
  const { width, height, values, canvas } = source;
  const out = reuse ?? document.createElement("canvas");
  out.width = width;
  out.height = height;
  const levels = values ? 65536 : 256;
  const lut = new Uint8ClampedArray(levels);
  for (let i = 0; i < levels; i += 1) {
    const value = range[0] + (i / (levels - 1)) * (range[1] - range[0]);
    lut[i] = (255 * (value - low)) / Math.max(1e-9, high - low);
  }
  const context = out.getContext("2d");
  const data = values ? context.createImageData(width, height) : canvas.getContext("2d").getImageData(0, 0, width, height);
  const rgba = data.data;
  for (let i = 0, p = 0; p < rgba.length; i += 1, p += 4) {
    rgba[p] = lut[values ? values[i] : rgba[p]];
    rgba[p + 1] = lut[values ? values[i] : rgba[p + 1]];
    rgba[p + 2] = lut[values ? values[i] : rgba[p + 2]];
    rgba[p + 3] = 255;
  }
  context.putImageData(data, 0, 0);
  return out;
}
