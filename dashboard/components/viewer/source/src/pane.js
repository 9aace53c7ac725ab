/** One plane of a volume: where it lies on the screen, and its pixels. */

import { contour } from "./annotations.js";
import { clamp } from "./dom.js";

const NEAREST_FROM = 4; // CSS pixels per voxel from which single voxels are shown as squares
const MAX_CELL = 80;
const MARGIN = 8; // CSS pixels around the plane in its rectangle
const LOW = 120; // CSS pixels of height below which the upper and lower letters are left out
const NARROW = 300; // CSS pixels of width below which the plane's words are short
const LINE = "rgba(108, 182, 255, 0.75)";

export class Pane {
  /** @param plane {id, name, axis, right, down, flip_right, flip_down, forward, edges} */
  constructor(plane, image, volume) {
    this.plane = plane;
    this.volume = volume;
    this.count = image.shape[plane.axis];
    this.size = [image.shape[plane.right], image.shape[plane.down]];
    const spacing = image.spacing ?? [1, 1, 1];
    this.unit = [spacing[plane.right], spacing[plane.down]];
    this.strides = [image.shape[1] * image.shape[2], image.shape[2], 1];
    this.rect = [0, 0, 100, 100];
    this.picture = document.createElement("canvas");
    this.tinted = document.createElement("canvas");
    this.reset();
  }

  reset() {
    this.zoom = 1;
    this.centre = this.size.map((n) => n / 2);
  }

  place(rect) {
    this.rect = rect;
  }

  holds(x, y) {
    const [left, top, width, height] = this.rect;
    return x >= left && y >= top && x < left + width && y < top + height;
  }

  // ---- geometry: u to the right, v downwards, in voxels as they lie on the screen ----

  get fit() {
    return this.fitIn(this.rect[2], this.rect[3]);
  }

  /** CSS pixels per millimetre with which the whole plane fits into a rectangle. */
  fitIn(width, height) {
    return Math.min((width - MARGIN) / (this.size[0] * this.unit[0]), (height - MARGIN) / (this.size[1] * this.unit[1]));
  }

  widthFor(height) {
    return ((height - MARGIN) * this.size[0] * this.unit[0]) / (this.size[1] * this.unit[1]) + MARGIN;
  }

  heightFor(width) {
    return ((width - MARGIN) * this.size[1] * this.unit[1]) / (this.size[0] * this.unit[0]) + MARGIN;
  }

  get pixelsPerMm() {
    return this.fit * this.zoom;
  }

  /** Width and height of a voxel in CSS pixels. */
  get cell() {
    return this.unit.map((u) => u * this.pixelsPerMm);
  }

  get origin() {
    const [left, top, width, height] = this.rect;
    const [w, h] = this.cell;
    return [left + width / 2 - this.centre[0] * w, top + height / 2 - this.centre[1] * h];
  }

  toPlane(x, y) {
    const [ox, oy] = this.origin;
    const [w, h] = this.cell;
    return [(x - ox) / w, (y - oy) / h];
  }

  index(u, v, at) {
    const { axis, right, down, flip_right: flipU, flip_down: flipV } = this.plane;
    const index = [0, 0, 0];
    index[axis] = at[axis];
    index[right] = flipU ? this.size[0] - 1 - u : u;
    index[down] = flipV ? this.size[1] - 1 - v : v;
    return index;
  }

  toIndex(x, y, at) {
    const [u, v] = this.toPlane(x, y).map(Math.floor);
    return u >= 0 && v >= 0 && u < this.size[0] && v < this.size[1] ? this.index(u, v, at) : null;
  }

  toNearest(x, y, at) {
    const [u, v] = this.toPlane(x, y).map((value, i) => clamp(Math.floor(value), 0, this.size[i] - 1));
    return this.index(u, v, at);
  }

  toScreen(index) {
    const { right, down, flip_right: flipU, flip_down: flipV } = this.plane;
    const u = flipU ? this.size[0] - 1 - index[right] : index[right];
    const v = flipV ? this.size[1] - 1 - index[down] : index[down];
    const [ox, oy] = this.origin;
    const [w, h] = this.cell;
    return [ox + (u + 0.5) * w, oy + (v + 0.5) * h];
  }

  zoomAt(factor, x, y) {
    const [u, v] = this.toPlane(x, y);
    this.zoom = clamp(this.zoom * factor, 0.5, Math.max(8, MAX_CELL / (this.fit * Math.max(...this.unit))));
    const [u2, v2] = this.toPlane(x, y);
    this.moveCentre(u - u2, v - v2);
  }

  panBy(dx, dy) {
    const [w, h] = this.cell;
    this.moveCentre(-dx / w, -dy / h);
  }

  moveCentre(du, dv) {
    this.centre = [clamp(this.centre[0] + du, 0, this.size[0]), clamp(this.centre[1] + dv, 0, this.size[1])];
  }

  // ---- pixels ----

  /** The slice as a canvas; filled anew only when slice or window change. */
  base(at, paint) {
    const slice = at[this.plane.axis];
    const key = `${slice}|${paint.greyKey}`;
    if (key !== this.pictureKey) {
      this.pictureKey = key;
      const { values, level } = this.volume;
      const whole = { start: [0, 0], size: this.size, first: slice * this.strides[this.plane.axis], strides: this.strides, shape: this.size };
      this.fill(this.picture, whole, (offset) => paint.grey[values[offset] + level]);
    }
    return this.picture;
  }

  /** Colour a canvas voxel by voxel; `part` says which voxels of an array lie where on the screen. */
  fill(canvas, part, colour) {
    const [width, height] = part.size;
    const { right, down, flip_right: flipU, flip_down: flipV } = this.plane;
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const data = context.createImageData(width, height);
    const pixels = new Uint32Array(data.data.buffer);
    const [stepU, stepV] = [part.strides[right] * (flipU ? -1 : 1), part.strides[down] * (flipV ? -1 : 1)];
    const first = part.first + (flipU ? part.strides[right] * (width - 1) : 0) + (flipV ? part.strides[down] * (height - 1) : 0);
    for (let v = 0, p = 0; v < height; v += 1) {
      let offset = first + v * stepV;
      for (let u = 0; u < width; u += 1, p += 1, offset += stepU) pixels[p] = colour(offset);
    }
    context.putImageData(data, 0, 0);
  }

  /** The part of a map that lies in this slice: its canvas and its place in voxels of the screen, or null. */
  overlay(at, { map, tint }) {
    const { axis, right, down, flip_right: flipU, flip_down: flipV } = this.plane;
    const slice = at[axis] - map.start[axis];
    if (slice < 0 || slice >= map.shape[axis]) return null;
    const size = [map.shape[right], map.shape[down]];
    const strides = [map.shape[1] * map.shape[2], map.shape[2], 1];
    this.fill(this.tinted, { size, strides, first: slice * strides[axis] }, (offset) => tint[map.bytes[offset]]);
    const u = flipU ? this.size[0] - map.start[right] - size[0] : map.start[right];
    const v = flipV ? this.size[1] - map.start[down] - size[1] : map.start[down];
    return { canvas: this.tinted, place: [u, v, ...size] };
  }

  /** Paint slice and map in voxels of the screen. */
  paint(context, at, paint, smooth) {
    context.imageSmoothingEnabled = smooth;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.base(at, paint), 0, 0);
    const over = paint.map && this.overlay(at, paint);
    if (!over) return;
    context.globalAlpha = paint.opacity;
    context.drawImage(over.canvas, ...over.place);
    context.globalAlpha = 1;
  }

  draw(context, at, paint, look) {
    const [left, top, width, height] = this.rect;
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    const [w, h] = this.cell;
    context.save();
    context.translate(...this.origin);
    context.scale(w, h);
    this.paint(context, at, paint, Math.min(w, h) < NEAREST_FROM);
    context.restore();
    if (look.linked && look.lines) this.drawLines(context, at, look.main);
    this.drawWords(context, at);
    context.shadowBlur = 0;
    if (look.linked) {
      context.strokeStyle = look.active ? "rgba(108, 182, 255, 0.8)" : "rgba(255, 255, 255, 0.16)";
      context.lineWidth = 2;
      context.strokeRect(left, top, width, height);
    }
    context.restore();
  }

  /** Where the other planes cut this one: whole lines in the small planes, ticks at the edge of the large one. */
  drawLines(context, at, main) {
    const [left, top, width, height] = this.rect;
    const [x, y] = this.toScreen(at).map((v) => Math.round(v) + 0.5);
    const tick = main ? 14 : Infinity;
    context.strokeStyle = LINE;
    context.lineWidth = 1;
    context.beginPath();
    for (const [from, to] of [[[x, top], [x, top + Math.min(tick, height)]], [[x, top + height], [x, top + height - Math.min(tick, height)]], [[left, y], [left + Math.min(tick, width), y]], [[left + width, y], [left + width - Math.min(tick, width), y]]]) {
      context.moveTo(...from);
      context.lineTo(...to);
    }
    context.stroke();
  }

  drawWords(context, at) {
    const [left, top, width, height] = this.rect;
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = "#d5dbe3";
    context.shadowColor = "#000";
    context.shadowBlur = 4;
    context.textAlign = "left";
    context.textBaseline = "top";
    const number = at[this.plane.axis] + 1;
    context.fillText(width < NARROW ? `${this.plane.name.slice(0, 3)} ${number}` : `${this.plane.name} ${number}/${this.count}`, left + 8, top + 7);
    const [l, r, t, b] = this.plane.edges;
    context.font = "600 12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.fillText(l ?? "", left + 6, top + height / 2);
    context.textAlign = "right";
    context.fillText(r ?? "", left + width - 6, top + height / 2);
    if (height < LOW) return;
    context.textAlign = "center";
    context.textBaseline = "top";
    context.fillText(t ?? "", left + width / 2, top + 7);
    context.textBaseline = "bottom";
    context.fillText(b ?? "", left + width / 2, top + height - 6);
  }

  /** Lines of an outline in one slice, each a pair of source indices. */
  edges(outline, slice) {
    const { axis, right, down } = this.plane;
    const kept = (this.outlineCache ??= new Map());
    const key = `${outline.url}|${slice}`;
    if (!kept.has(key)) {
      const local = slice - outline.start[axis];
      const lines = local < 0 || local >= outline.shape[axis] ? [] : contour(outline, axis, local, right, down);
      if (kept.size > 200) kept.clear();
      kept.set(key, lines);
    }
    return kept.get(key);
  }

  snapshot(at, paint, drawAnnotations) {
    const finest = Math.min(...this.unit);
    const scale = clamp(1200 / ((this.size[0] * this.unit[0]) / finest), 1, 4);
    const cell = this.unit.map((u) => (u / finest) * scale);
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(this.size[0] * cell[0]);
    canvas.height = Math.round(this.size[1] * cell[1]);
    const context = canvas.getContext("2d");
    context.scale(...cell);
    this.paint(context, at, paint, true);
    context.setTransform(1, 0, 0, 1, 0, 0);
    const [kept, zoom, centre] = [this.rect, this.zoom, this.centre];
    [this.rect, this.zoom, this.centre] = [[-MARGIN / 2, -MARGIN / 2, canvas.width + MARGIN, canvas.height + MARGIN], 1, this.size.map((n) => n / 2)];
    const view = { place: (index) => this.toScreen(index), edges: (outline) => this.edges(outline, at[this.plane.axis]), pixel: cell[0] };
    drawAnnotations(context, view, scale);
    [this.rect, this.zoom, this.centre] = [kept, zoom, centre];
    return canvas;
  }
}
