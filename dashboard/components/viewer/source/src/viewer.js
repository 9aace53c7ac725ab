/** One viewer: state, the stage that draws, and what is told to the page. */

import { drawCursor, drawMarks, drawOutlines, drawSeed } from "./annotations.js";
import { choices } from "./colormaps.js";
import { clamp, el } from "./dom.js";
import { compose, download } from "./export.js";
import { FlatStage } from "./flat.js";
import { listen } from "./keys.js";
import { Link } from "./link.js";
import css from "./styles.css";
import { Gestures } from "./tools.js";
import { Interface } from "./interface.js";
import { loadVolumeMap } from "./load.js";
import { VolumeStage } from "./volume.js";

const TELL_AFTER_MS = 200;

const fresh = () => ({
  opacity: 0.65,
  threshold: 0,
  mapOn: true,
  outlineOn: true,
  linesOn: true,
  colormap: { true: "blue-red", false: "viridis" },
  window: [0, 255],
  tool: "pan",
  overlayId: null,
  radius: 6,
});

const noMarks = () => ({ click: null, box: null, brush: [] });

export class Viewer {
  constructor(parent) {
    this.state = fresh();
    this.marks = noMarks();
    this.maps = new Map();
    this.outlines = [];
    this.ready = false;
    this.root = el("div", { class: "wc-viewer", "data-testid": "viewer" });
    this.ui = new Interface(this);
    this.link = new Link(this);
    this.root.append(el("style", { text: css }), this.ui.frame);
    parent.append(this.root);
    new Gestures(this, this.ui.layer);
    listen(this.ui.layer, this);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.ui.frame);
    document.addEventListener("fullscreenchange", (this.onFullscreen = () => this.ui.showFullscreen(this.isFullscreen)));
  }

  // ---- data from the page ----

  async update(data, setStateValue) {
    const before = this.data;
    this.data = data;
    this.setStateValue = setStateValue;
    this.ui.configure(data);
    this.link.join(data.options.link);
    if (!before || before.options.tool !== data.options.tool) this.state.tool = data.options.tool;
    this.chooseOverlay(before);
    if (before?.image.version !== data.image.version) await this.loadImage(data.image);
    else if (this.ready) {
      this.lookWhereAsked(before.options);
      await this.showOverlay();
    }
  }

  /** The page may name a point and a slice; they are shown when they change, not on every rerun. */
  lookWhereAsked(before) {
    const { mark, slice } = this.data.options;
    if (mark && String(mark) !== String(before?.mark ?? "")) this.stage.follow?.(mark);
    else if (slice !== null && slice !== (before?.slice ?? null)) this.stage.setSlice?.(slice);
  }

  chooseOverlay(before) {
    const ids = this.data.overlays.map((o) => o.id);
    const asked = this.data.options.overlay;
    const askedAnew = asked && asked !== before?.options.overlay;
    if (askedAnew || !ids.includes(this.state.overlayId)) this.state.overlayId = ids.includes(asked) ? asked : (ids[0] ?? null);
  }

  async loadImage(image) {
    this.ready = false;
    this.ui.busy(true);
    this.marks = noMarks();
    this.cursor = null;
    this.maps.clear();
    clearTimeout(this.timer);
    try {
      await this.openStage(image);
    } catch (error) {
      if (this.data.image.version === image.version) this.ui.fail(error);
      return;
    }
    if (this.data.image.version !== image.version) return;
    this.state.window = [...(image.window ?? image.range)];
    this.ready = true;
    this.ui.busy(false);
    this.resize();
    this.resetView();
    this.lookWhereAsked(null);
    this.link.catchUp();
    await this.showOverlay();
  }

  async openStage(image) {
    if (this.stageKind !== image.kind) {
      this.stage?.dispose();
      this.stage = image.kind === "volume" ? new VolumeStage(this.ui.canvas) : new FlatStage(this.ui.canvas);
      this.stageKind = image.kind;
    }
    this.stage.resize(...this.ui.room());
    await this.stage.load(image);
  }

  get overlay() {
    return this.data.overlays.find((o) => o.id === this.state.overlayId) ?? null;
  }

  get map() {
    return this.overlay ? (this.maps.get(this.overlay.url) ?? null) : null;
  }

  /** Fetch the chosen map and the outlines if they are not here yet, then draw. */
  async showOverlay() {
    const overlay = this.overlay;
    const { outlines } = this.data;
    this.ui.refresh();
    try {
      if (overlay && !this.maps.has(overlay.url)) this.maps.set(overlay.url, await this.stage.loadOverlay(overlay));
      if (outlines !== this.outlinesOf) {
        const kept = new Map(this.outlines.map((outline) => [outline.url, outline]));
        const loaded = await Promise.all(outlines.map((o) => (o.url ? (kept.get(o.url) ?? loadVolumeMap(o)) : o)));
        if (outlines === this.data.outlines) [this.outlines, this.outlinesOf] = [loaded, outlines];
      }
    } catch (error) {
      this.ui.fail(error);
      return;
    }
    this.render();
  }

  // ---- changes by the reader ----

  set(name, value) {
    this.state[name] = clamp(Math.round(value * 100) / 100, name === "radius" ? 1 : 0, name === "radius" ? 60 : 1);
    if (name === "opacity" && this.state.opacity > 0) this.state.mapOn = true;
    this.changed();
  }

  changed(message) {
    this.ui.refresh(message);
    this.render();
  }

  toggleMap() {
    this.state.mapOn = !this.state.mapOn;
    this.changed(this.state.mapOn ? "Map on" : "Map off");
  }

  toggleLines() {
    this.state.linesOn = !this.state.linesOn;
    this.changed(this.state.linesOn ? "Reference lines on" : "Reference lines off");
  }

  toggleOutline() {
    this.state.outlineOn = !this.state.outlineOn;
    this.changed(this.state.outlineOn ? "Outline on" : "Outline off");
  }

  setColormap(id) {
    this.state.colormap[this.overlay?.signed ?? false] = id;
    this.changed();
  }

  stepColormap() {
    const list = choices(this.overlay?.signed ?? false).map((c) => c.id);
    this.setColormap(list[(list.indexOf(this.state.colormap[this.overlay?.signed ?? false]) + 1) % list.length]);
  }

  selectOverlay(id) {
    this.state.overlayId = id;
    this.state.mapOn = true;
    const { name, grade } = this.overlay;
    this.ui.announce(`${name}${grade ? `, grade ${grade}` : ""}`);
    if (this.data.options.report_overlay) this.setStateValue("overlay", id);
    return this.showOverlay();
  }

  stepOverlay(step) {
    const ids = this.data.overlays.map((o) => o.id);
    if (ids.length) this.selectOverlay(ids[(ids.indexOf(this.state.overlayId) + step + ids.length) % ids.length]);
  }

  setWindow(low, high) {
    this.state.window = [low, Math.max(high, low + this.windowStep)];
    this.changed();
  }

  get windowStep() {
    const [low, high] = this.data.image.range;
    return Math.max(1e-6, (high - low) / 255);
  }

  /** Right-drag: to the right widens the window, downwards raises the level. */
  nudgeWindow(dx, dy) {
    const [low, high] = this.state.window;
    const width = Math.max(this.windowStep, high - low + dx * this.windowStep);
    const level = (low + high) / 2 + dy * this.windowStep;
    this.setWindow(level - width / 2, level + width / 2);
  }

  setTool(tool) {
    if (!this.data.options.tools.includes(tool)) return;
    this.state.tool = tool;
    if (tool === "pan") this.cursor = null;
    this.changed(`Tool: ${tool}`);
  }

  zoomBy(factor) {
    this.stage.zoomMiddle(factor);
    this.changed();
  }

  pan(dx, dy) {
    this.stage.panBy(dx, dy);
    this.render();
  }

  resetView() {
    this.stage.reset();
    this.changed();
  }

  resetAll() {
    const { tool, overlayId } = this.state;
    this.state = { ...fresh(), tool, overlayId, window: [...(this.data.image.window ?? this.data.image.range)] };
    this.resetView();
  }

  setSlice(position) {
    this.stage.setSlice(position);
    this.changed();
  }

  /** @param pane the plane under the pointer; the one in use where none is given */
  stepSlice(steps, pane) {
    if (!this.stage.slices()) return;
    this.stage.stepSlice(steps, pane);
    this.changed();
  }

  setPlane(plane) {
    this.stage.setPlane(plane);
    this.changed(`Plane: ${this.stage.main.plane.name}`);
  }

  stepPlane() {
    const ids = this.stage.planes?.map((plane) => plane.id);
    if (ids) this.setPlane(ids[(ids.indexOf(this.stage.plane) + 1) % ids.length]);
  }

  toggleLinked() {
    if (!this.stage.planes) return;
    this.stage.setLinked(!this.stage.linked);
    this.changed(this.stage.linked ? "Three planes" : "One plane");
  }

  /** The n-th of the page's windows. */
  choosePreset(number) {
    const preset = this.data.options.window_presets[number];
    if (preset) this.setWindow(preset[1] - preset[2] / 2, preset[1] + preset[2] / 2);
  }

  goToMark() {
    this.follow(this.marks.click ?? this.data.options.mark);
  }

  /** The page is asked for what it offers for the slice on show. */
  askForSlice() {
    this.tell("slice");
    this.ui.announce(`${this.data.options.slice_action}, slice ${this.stage.slices().index + 1}`);
  }

  follow(index) {
    if (!index || !this.stage.follow) return;
    this.stage.follow(index);
    this.changed();
  }

  // ---- marks ----

  click(index) {
    if (!index) return;
    this.marks.click = index;
    this.stage.follow?.(index);
    this.tell("click");
    this.changed(`Point at ${index.join(", ")}`);
  }

  previewBox(a, b) {
    this.marks.box = [a, b];
  }

  box(a, b) {
    this.marks.box = [a.map((v, i) => Math.min(v, b[i])), a.map((v, i) => Math.max(v, b[i]))];
    this.tell("box");
    this.changed("Box set");
  }

  startStroke(index) {
    this.stroke = { radius: this.state.radius, points: index ? [index] : [] };
    this.marks.brush.push(this.stroke);
  }

  extendStroke(index) {
    const last = this.stroke?.points.at(-1);
    if (this.stroke && index && String(last) !== String(index)) this.stroke.points.push(index);
  }

  endStroke() {
    const { stroke } = this;
    this.stroke = null;
    if (!stroke) return;
    if (stroke.points.length) this.tell("brush");
    else this.marks.brush.pop();
    this.changed("Stroke drawn");
  }

  clearMarks() {
    const any = this.marks.click || this.marks.box || this.marks.brush.length;
    this.marks = noMarks();
    this.stroke = null;
    this.anchor = null;
    if (any) this.tell("clear");
    this.changed("Marks removed");
  }

  /** Tell the page, once the reader pauses. */
  tell(kind) {
    clearTimeout(this.timer);
    const { version } = this.data.image;
    this.timer = setTimeout(() => {
      const { click, box, brush } = this.marks;
      this.setStateValue("event", { kind, seq: Date.now(), version, click, box, brush, slice: this.stage.slices()?.index ?? null });
    }, TELL_AFTER_MS);
  }

  // ---- cursor ----

  moveCursor(direction) {
    const from = this.cursor ?? this.stage.centrePixel();
    this.cursor = this.cursor ? this.stage.moveCursor(from, direction) : from;
    if (this.stroke) this.extendStroke(this.cursor);
    if (this.anchor) this.previewBox(this.anchor, this.cursor);
    this.showReadout(this.cursor);
    this.changed(`${this.cursor.join(", ")}`);
  }

  hideCursor() {
    if (this.stroke) this.endStroke();
    this.cursor = null;
    this.anchor = null;
  }

  cursorAct() {
    if (this.state.tool === "pan") return;
    if (!this.cursor) {
      this.moveCursor([0, 0]);
      return;
    }
    if (this.state.tool === "point") this.click(this.cursor);
    else if (this.state.tool === "brush") this.stroke ? this.endStroke() : this.startStroke(this.cursor);
    else if (this.anchor) {
      this.box(this.anchor, this.cursor);
      this.anchor = null;
    } else {
      this.anchor = this.cursor;
      this.ui.announce("First corner set");
    }
    this.render();
  }

  escape() {
    if (this.ui.openPanel) this.togglePanel(this.ui.openPanel);
    else this.hideCursor();
    this.render();
  }

  togglePanel(name) {
    this.ui.togglePanel(name);
  }

  // ---- drawing ----

  resize() {
    if (!this.data) return;
    const room = this.ui.room();
    this.ui.insets = Object.values(room[2]);
    this.stage?.resize(...room);
    this.ui.sizeMarks();
    if (this.ready) this.render();
  }

  render() {
    if (!this.ready || this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = null;
      if (!this.ready) return;
      this.draw();
      this.link.share();
    });
  }

  draw() {
    const { stage, state } = this;
    stage.render(state, this.overlay, this.map);
    const context = this.ui.marksContext();
    for (const view of stage.views()) {
      context.save();
      if (view.rect) {
        context.beginPath();
        context.rect(...view.rect);
        context.clip();
      }
      if (state.outlineOn) drawOutlines(context, this.outlines, view);
      drawSeed(context, this.data.options.mark, view);
      const onSeed = String(this.marks.click) === String(this.data.options.mark);
      drawMarks(context, onSeed ? { ...this.marks, click: null } : this.marks, view);
      drawCursor(context, this.cursor, view, state.tool, state.radius);
      context.restore();
    }
    this.ui.refreshView(stage);
    if (String(this.ui.insets) !== String(Object.values(this.ui.room()[2]))) this.resize(); // the controls took another line
  }

  showReadout(index) {
    this.ui.readout(index, index && this.ready ? this.stage.valueAt(index) : null);
  }

  save() {
    const annotate = (context, view, unit) => {
      if (this.state.outlineOn) drawOutlines(context, this.outlines, view, Math.max(1, unit));
    };
    const picture = this.stage.snapshot(this.state, this.overlay, this.map, annotate);
    const name = this.overlay && this.state.mapOn ? this.overlay.id : "image";
    download(compose(picture, this.data, this.overlay, this.state), `whycad-overlay-${name.replace(/[^\w-]/g, "")}.png`);
    this.ui.announce("PNG saved");
  }

  // ---- full screen ----

  get isFullscreen() {
    return this.root.getRootNode().fullscreenElement === this.ui.frame || this.ui.frame.classList.contains("wc-filled");
  }

  async toggleFullscreen() {
    if (this.ui.frame.classList.contains("wc-filled")) this.ui.frame.classList.remove("wc-filled");
    else if (this.isFullscreen) await document.exitFullscreen();
    else {
      try {
        await this.ui.frame.requestFullscreen();
      } catch {
        this.ui.frame.classList.add("wc-filled"); // full screen may be forbidden in a frame: fill the page instead
      }
    }
    this.ui.showFullscreen(this.isFullscreen);
    this.ui.layer.focus({ preventScroll: true });
  }

  dispose() {
    this.observer.disconnect();
    this.link.leave();
    clearTimeout(this.timer);
    document.removeEventListener("fullscreenchange", this.onFullscreen);
    this.stage?.dispose();
    this.root.remove();
  }
}
