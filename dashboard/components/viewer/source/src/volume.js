/** A volume in linked axial, coronal and sagittal planes, drawn by NiiVue (BSD-2-Clause). */

import { Niivue, NVImage, SLICE_TYPE } from "@niivue/niivue";
import { colourAt, fade } from "./colormaps.js";
import { clamp, el } from "./dom.js";
import { fetchBuffer } from "./load.js";

const PLANES = { axial: SLICE_TYPE.AXIAL, coronal: SLICE_TYPE.CORONAL, sagittal: SLICE_TYPE.SAGITTAL, all: SLICE_TYPE.MULTIPLANAR };
const AXIS = { axial: 2, coronal: 1, sagittal: 0, all: 2 }; // world axis that the slider walks along

const apply = (m, p) => m.slice(0, 3).map((row) => row[0] * p[0] + row[1] * p[1] + row[2] * p[2] + row[3]);

export class VolumeStage {
  constructor(frame) {
    this.plane = "axial";
    this.holder = el("div", { class: "wc-volume" });
    this.canvas = el("canvas");
    this.holder.append(this.canvas);
    frame.append(this.holder);
    this.nv = new Niivue({
      interactive: false,
      dragAndDropEnabled: false,
      isRadiologicalConvention: true,
      isResizeCanvas: true,
      sagittalNoseLeft: true,
      backColor: [0.055, 0.067, 0.086, 1],
      crosshairColor: [1, 0.85, 0.3, 0.9],
      crosshairWidth: 0,
      crosshairWidthUnit: "percent",
      isCornerOrientationText: false,
      multiplanarShowRender: 0,
      loadingText: "",
      logLevel: "error",
      isColorbar: false,
      fontMinPx: 12,
    });
  }

  async load(image) {
    if (!this.attached) {
      await this.nv.attachToCanvas(this.canvas, true);
      this.holder.style.backgroundColor = "transparent";
      this.attached = true;
    }
    this.image = image;
    for (const volume of [...this.nv.volumes]) this.nv.removeVolume(volume);
    this.overlayUrl = null;
    const [low, high] = image.window ?? image.range;
    const volume = await NVImage.loadFromUrl({ url: "image.nii.gz", buffer: await fetchBuffer(image.url), name: "image.nii.gz", colormap: "gray", cal_min: low, cal_max: high });
    this.nv.addVolume(volume);
    this.reset();
  }

  async loadOverlay(overlay) {
    return { buffer: await fetchBuffer(overlay.url) };
  }

  // ---- geometry: source indices (slice, row, column) <-> millimetres <-> canvas ----

  toMm([z, r, c]) {
    return apply(this.image.affine, [c, r, z]);
  }

  mmAt(x, y) {
    const ratio = this.nv.uiData.dpr || 1;
    const frac = this.nv.canvasPos2frac([(x - this.left) * ratio, (y - this.top) * ratio]);
    return frac[0] < 0 ? null : Array.from(this.nv.frac2mm(frac, 0, true)).slice(0, 3);
  }

  toImage(x, y) {
    const mm = this.mmAt(x, y);
    return mm && apply(this.image.inverse, mm).reverse();
  }

  toPixel(x, y) {
    const index = this.toImage(x, y)?.map((v) => Math.round(v));
    return index && index.every((v, i) => v >= 0 && v < this.image.shape[i]) ? index : null;
  }

  toNearestPixel(x, y) {
    const index = this.toImage(x, y);
    return index ? this.clampPixel(index.map((v) => Math.round(v))) : this.lastPixel;
  }

  clampPixel(index) {
    this.lastPixel = index.map((v, i) => clamp(v, 0, this.image.shape[i] - 1));
    return this.lastPixel;
  }

  toScreen(index) {
    const frac = this.nv.mm2frac(this.toMm(index), 0, true);
    const place = this.nv.frac2canvasPos(frac);
    const ratio = this.nv.uiData.dpr || 1;
    return place && [place[0] / ratio + this.left, place[1] / ratio + this.top];
  }

  /** Screen steps become steps along the plane's own axes, radiological convention. */
  moveCursor(index, [dx, dy]) {
    const vertical = this.plane === "axial" || this.plane === "all" ? 1 : 2;
    const horizontal = this.plane === "sagittal" ? 1 : 0;
    const step = [0, 0, 0];
    step[horizontal] -= dx * (horizontal === 0 ? 1 : -1);
    step[vertical] -= dy;
    return this.stepIndex(index, step);
  }

  /** Nearest index one or more voxels away in a world direction. */
  stepIndex(index, direction) {
    const origin = apply(this.image.inverse, [0, 0, 0]);
    const moved = apply(this.image.inverse, direction).map((v, i) => v - origin[i]);
    const size = Math.max(...moved.map(Math.abs));
    const amount = Math.max(...direction.map(Math.abs));
    const delta = moved.map((v) => (size ? Math.round((v / size) * amount) : 0)).reverse();
    const next = this.clampPixel(index.map((v, i) => v + delta[i]));
    this.showIndex(next);
    return next;
  }

  centrePixel() {
    const mm = Array.from(this.nv.frac2mm(this.nv.scene.crosshairPos, 0, true)).slice(0, 3);
    return this.clampPixel(apply(this.image.inverse, mm).reverse().map((v) => Math.round(v)));
  }

  showIndex(index) {
    this.nv.scene.crosshairPos = this.nv.mm2frac(this.toMm(index), 0, true);
  }

  zoomAt(factor, x, y) {
    const before = this.mmAt(x, y);
    const pan = this.nv.scene.pan2Dxyzmm;
    pan[3] = clamp(pan[3] * factor, 0.5, 40);
    this.nv.drawScene();
    const after = this.mmAt(x, y);
    if (before && after) for (let i = 0; i < 3; i += 1) pan[i] += after[i] - before[i];
    this.nv.drawScene();
  }

  panBy(dx, dy) {
    const [x, y] = [this.left + this.size[0] / 2, this.top + this.size[1] / 2];
    const [from, to] = [this.mmAt(x, y), this.mmAt(x + dx, y + dy)];
    if (from && to) for (let i = 0; i < 3; i += 1) this.nv.scene.pan2Dxyzmm[i] += to[i] - from[i];
  }

  reset() {
    this.nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
    this.nv.scene.crosshairPos = [0.5, 0.5, 0.5];
    this.setPlane(this.plane);
  }

  setPlane(plane) {
    this.plane = plane;
    this.nv.opts.crosshairWidth = plane === "all" ? 0.2 : 0; // lines help only where planes are linked
    this.nv.setSliceType(PLANES[plane]);
  }

  get planes() {
    return Object.keys(PLANES);
  }

  get zoomPercent() {
    return Math.round(this.nv.scene.pan2Dxyzmm[3] * 100);
  }

  get pixelsPerMm() {
    if (!this.image.spacing || this.plane === "all") return null;
    const [x, y] = [this.left + this.size[0] / 2, this.top + this.size[1] / 2];
    const [a, b] = [this.mmAt(x, y), this.mmAt(x + 10, y)];
    return a && b ? 10 / Math.max(1e-9, Math.hypot(...a.map((v, i) => v - b[i]))) : null;
  }

  /** Array axis of the slider, its index and the number of slices. */
  slices() {
    const world = AXIS[this.plane];
    const column = [0, 1, 2].map((i) => Math.abs(this.image.affine[world][i]) / Math.hypot(...this.image.affine.slice(0, 3).map((r) => r[i])));
    const axis = 2 - column.indexOf(Math.max(...column));
    return { axis, index: this.centrePixel()[axis], count: this.image.shape[axis] };
  }

  setSlice(position) {
    const index = [...this.centrePixel()];
    index[this.slices().axis] = clamp(position, 0, this.slices().count - 1);
    this.showIndex(index);
  }

  /** Where a click lands, the other planes follow. */
  follow(index) {
    this.showIndex(index);
  }

  valueAt([z, r, c]) {
    const volume = this.nv.volumes[0];
    const [, rows, columns] = this.image.shape;
    const raw = volume.img[(z * rows + r) * columns + c];
    return raw * (volume.hdr.scl_slope || 1) + (volume.hdr.scl_inter || 0);
  }

  // ---- drawing ----

  resize(width, height, insets) {
    this.left = insets.left;
    this.top = insets.top;
    this.size = [Math.max(40, width - insets.left - insets.right), Math.max(40, height - insets.top - insets.bottom)];
    Object.assign(this.holder.style, { left: `${this.left}px`, top: `${this.top}px`, width: `${this.size[0]}px`, height: `${this.size[1]}px` });
    if (this.attached) this.nv.resizeListener();
  }

  colormap(id, sign, signed) {
    const name = `wc-${id}-${sign}`;
    const points = Array.from({ length: 33 }, (_, i) => i / 32);
    const colours = points.map((t) => colourAt(id, signed ? 0.5 + (sign * t) / 2 : t));
    const channel = (k) => colours.map((colour) => colour[k]);
    this.nv.addColormap(name, { R: channel(0), G: channel(1), B: channel(2), A: points.map((t) => Math.round(255 * fade(t, 0))), I: points.map((t) => Math.round(255 * t)) });
    return name;
  }

  async showOverlay(overlay, map) {
    if (this.overlayUrl === overlay.url) return;
    this.overlayUrl = overlay.url;
    if (this.nv.volumes[1]) this.nv.removeVolume(this.nv.volumes[1]);
    const volume = await NVImage.loadFromUrl({ url: "map.nii.gz", buffer: map.buffer.slice(0), name: "map.nii.gz", colormap: "gray", opacity: 0, cal_min: 0, cal_max: 1 });
    if (this.overlayUrl === overlay.url && !this.nv.volumes[1]) this.nv.addVolume(volume);
  }

  render(state, overlay, map) {
    if (overlay && map) this.showOverlay(overlay, map).then(() => this.style(state, overlay));
    else if (this.nv.volumes[1]) this.nv.removeVolume(this.nv.volumes[1]);
    if (!overlay) this.overlayUrl = null;
    this.style(state, overlay);
  }

  style(state, overlay) {
    const [base, map] = this.nv.volumes;
    if (!base) return;
    const key = JSON.stringify([state.window, state.opacity, state.threshold, state.mapOn, state.colormap, overlay?.url, Boolean(map)]);
    if (key !== this.styleKey) {
      this.styleKey = key;
      [base.cal_min, base.cal_max] = state.window;
      if (map && overlay) {
        const id = state.colormap[overlay.signed];
        map._colormap = this.colormap(id, 1, overlay.signed);
        map.colormapNegative = overlay.signed ? this.colormap(id, -1, true) : "";
        [map.cal_min, map.cal_max] = [Math.max(0.004, state.threshold), 1];
        [map.cal_minNeg, map.cal_maxNeg] = [-Math.max(0.004, state.threshold), -1];
        map.opacity = state.mapOn ? state.opacity : 0;
      }
      this.nv.updateGLVolume();
    }
    this.nv.drawScene();
  }

  snapshot() {
    this.nv.drawScene();
    const canvas = document.createElement("canvas");
    canvas.width = this.canvas.width;
    canvas.height = this.canvas.height;
    canvas.getContext("2d").drawImage(this.canvas, 0, 0);
    return canvas;
  }

  dispose() {
    this.nv.cleanup?.();
    this.nv.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    this.holder.remove();
  }
}
