/** The controls around the picture. Built once, refreshed from the viewer's state. */

import { scaleBar } from "./annotations.js";
import { choices, gradient } from "./colormaps.js";
import { el, iconButton, slider } from "./dom.js";
import { legendWords } from "./export.js";
import { helpLines } from "./keys.js";
import { Strip } from "./strip.js";

const TOOLS = [
  ["pan", "Pan", "1"],
  ["point", "Point", "2"],
  ["box", "Box", "3"],
  ["brush", "Brush", "4"],
];
const GRADES = { A: "a", B: "b", C: "c", fails: "fails" };
const percent = (v) => `${Math.round(v * 100)} %`;

export class Interface {
  constructor(viewer) {
    this.viewer = viewer;
    this.canvas = el("canvas", { class: "wc-canvas", "data-testid": "viewer-canvas", role: "img" });
    this.under = el("div", { class: "wc-under" }, this.canvas);
    this.marks = el("canvas", { class: "wc-canvas wc-marks", "aria-hidden": "true", "data-testid": "viewer-marks" });
    this.layer = el("div", { class: "wc-layer", tabindex: "0", role: "application", "aria-roledescription": "image viewer", "data-testid": "viewer-stage" });
    this.live = el("div", { class: "wc-hidden", "aria-live": "polite", "data-testid": "viewer-status" });
    this.message = el("div", { class: "wc-message", role: "status", "data-testid": "viewer-message" });
    this.frame = el("div", { class: "wc-frame", "data-testid": "viewer-frame" }, this.under, this.marks, this.layer, this.makeTop(), this.makeTools(), this.makeBottom(), this.makePanels(), this.message, this.live);
    // Typing in a control must not reach the page's shortcuts either.
    this.frame.addEventListener("keydown", (event) => event.stopPropagation());
    this.frame.addEventListener("keydown", (event) => event.key === "Escape" && this.openPanel && this.togglePanel(this.openPanel));
  }

  // ---- building ----

  makeTop() {
    this.chips = el("div", { class: "wc-chips", role: "group", "aria-label": "Explanation method", "data-testid": "viewer-methods" });
    this.target = el("span", { class: "wc-chip wc-quiet", "data-testid": "viewer-target" });
    this.top = el("div", { class: "wc-top" }, this.chips, this.target);
    return this.top;
  }

  makeTools() {
    const v = this.viewer;
    this.toolButtons = new Map(TOOLS.map(([id, name, key]) => [id, iconButton(id, name, key, `viewer-tool-${id}`, () => v.setTool(id))]));
    this.clearButton = iconButton("clear", "Remove your marks", "Delete", "viewer-clear", () => v.clearMarks());
    this.displayButton = iconButton("display", "Display settings", "", "viewer-display", () => this.togglePanel("display"));
    this.helpButton = iconButton("help", "Keys", "?", "viewer-help", () => this.togglePanel("help"));
    this.fullButton = iconButton("fullscreen", "Full screen", "f", "viewer-fullscreen", () => v.toggleFullscreen());
    for (const [button, panel] of [[this.displayButton, "display"], [this.helpButton, "help"]]) button.setAttribute("aria-controls", `wc-panel-${panel}`);
    this.tools = el(
      "div",
      { class: "wc-tools", role: "toolbar", "aria-label": "Viewer tools", "aria-orientation": "vertical" },
      el("div", { class: "wc-group" }, ...this.toolButtons.values(), this.clearButton),
      el("div", { class: "wc-group" }, iconButton("zoomIn", "Zoom in", "+", "viewer-zoom-in", () => v.zoomBy(1.25)), iconButton("zoomOut", "Zoom out", "-", "viewer-zoom-out", () => v.zoomBy(0.8)), iconButton("reset", "Reset", "r", "viewer-reset", () => v.resetAll())),
      el("div", { class: "wc-group" }, this.displayButton, iconButton("save", "Save a PNG of the overlay", "s", "viewer-save", () => v.save()), this.fullButton, this.helpButton),
    );
    return this.tools;
  }

  makeBottom() {
    const v = this.viewer;
    this.mapButton = el("button", { type: "button", class: "wc-toggle", text: "Map", title: "Map on or off (m)", "data-testid": "viewer-map-toggle", onclick: () => v.toggleMap() });
    this.opacity = slider({ label: "Map opacity", testid: "viewer-opacity", min: 0, max: 1, step: 0.01, value: v.state.opacity, format: percent, oninput: (x) => v.set("opacity", x) });
    this.low = el("span");
    this.high = el("span");
    this.bar = el("span", { class: "wc-bar" });
    this.legend = el("div", { class: "wc-legend", role: "img", "data-testid": "viewer-legend" }, this.low, this.bar, this.high);
    this.mapControls = el("div", { class: "wc-map" }, this.mapButton, this.opacity.node, this.legend);
    this.outlineButton = el("button", { type: "button", class: "wc-toggle", text: "Outline", title: "Outline on or off (b)", "data-testid": "viewer-outline-toggle", onclick: () => v.toggleOutline() });
    this.planeSelect = el("select", { "aria-label": "Plane of the large picture", "data-testid": "viewer-plane", onchange: (e) => v.setPlane(e.target.value) });
    this.linkedButton = el("button", { type: "button", class: "wc-toggle", text: "3 planes", title: "One plane or three (Shift+P)", "data-testid": "viewer-linked", onclick: () => v.toggleLinked() });
    this.slice = slider({ label: "Slice", testid: "viewer-slice", min: 0, max: 1, step: 1, value: 0, format: (x) => `${x + 1} / ${this.sliceCount ?? 1}`, oninput: (x) => v.setSlice(x) });
    this.sliceAction = el("button", { type: "button", class: "wc-toggle", "data-testid": "viewer-slice-action", onclick: () => v.askForSlice() });
    this.sliceControls = el("div", { class: "wc-map wc-slices" }, this.planeSelect, this.linkedButton, this.slice.node, this.sliceAction);
    this.presets = el("div", { class: "wc-presets", role: "group", "aria-label": "Window" });
    this.strip = new Strip(v);
    this.zoom = el("span", { class: "wc-text", title: "100 % fits the image into the viewer", "data-testid": "viewer-zoom" });
    this.place = el("span", { class: "wc-text wc-place", "data-testid": "viewer-readout" });
    this.scale = el("div", { class: "wc-scale", "data-testid": "viewer-scale-bar", role: "img" });
    this.bottom = el("div", { class: "wc-bottom" }, this.strip.node, this.sliceControls, this.presets, this.mapControls, this.outlineButton, this.zoom, this.place, this.scale);
    return this.bottom;
  }

  makePanels() {
    const v = this.viewer;
    this.threshold = slider({ label: "Map threshold", testid: "viewer-threshold", min: 0, max: 0.95, step: 0.01, value: 0, format: percent, oninput: (x) => v.set("threshold", x) });
    this.maps = el("select", { "aria-label": "Colour map", "data-testid": "viewer-colormap", onchange: (e) => v.setColormap(e.target.value) });
    this.level = slider({ label: "Level", testid: "viewer-window-level", min: 0, max: 255, step: 1, value: 127, format: String, oninput: () => this.readWindow() });
    this.width = slider({ label: "Window", testid: "viewer-window-width", min: 1, max: 255, step: 1, value: 255, format: String, oninput: () => this.readWindow() });
    this.radius = slider({ label: "Brush radius", testid: "viewer-brush-radius", min: 1, max: 60, step: 1, value: v.state.radius, format: (x) => `${x} px`, oninput: (x) => v.set("radius", x) });
    this.mapFields = el("div", {}, el("h4", { text: "Map" }), el("label", { class: "wc-field" }, el("span", { text: "Colours" }), this.maps), this.threshold.node);
    this.description = el("p", { class: "wc-note", "data-testid": "viewer-description" });
    this.display = el("div", { class: "wc-panel", id: "wc-panel-display", role: "group", "aria-label": "Display settings", "data-testid": "viewer-panel", hidden: true }, this.mapFields, el("h4", { text: "Image" }), this.level.node, this.width.node, this.radius.node, this.description);
    this.help = el("div", { class: "wc-panel", id: "wc-panel-help", role: "group", "aria-label": "Keys", "data-testid": "viewer-help-panel", hidden: true }, el("h4", { text: "Keys, once the image has the focus" }), el("ul", {}, ...helpLines().map((text) => el("li", { text }))), el("p", { class: "wc-note", text: "Mouse: the wheel zooms an image and steps through a volume (Ctrl and wheel zooms there), drag pans, right drag sets window and level, Shift with a drag pans in every tool. A click in the pan tool moves all planes to that place." }));
    this.panels = el("div", { class: "wc-panels" }, this.display, this.help);
    return this.panels;
  }

  readWindow() {
    const [level, width] = [Number(this.level.input.value), Number(this.width.input.value)];
    this.viewer.setWindow(level - width / 2, level + width / 2);
  }

  // ---- data ----

  configure(data) {
    const { image, overlays, options } = data;
    this.canvas.setAttribute("aria-label", image.alt);
    this.layer.setAttribute("aria-label", `Image viewer: ${image.alt}. Press ? for the keys.`);
    this.frame.style.setProperty("--wc-height", options.height ? `${options.height}px` : "clamp(420px, 66vh, 920px)");
    this.chips.replaceChildren(...overlays.map((overlay) => this.chip(overlay)));
    this.tools.hidden = false;
    for (const [id, button] of this.toolButtons) button.hidden = !options.tools.includes(id);
    const marking = options.tools.some((tool) => tool !== "pan");
    this.toolButtons.get("pan").hidden = !marking;
    this.clearButton.hidden = !marking;
    this.clearButton.parentElement.hidden = !marking;
    this.radius.node.hidden = !options.tools.includes("brush");
    this.mapControls.hidden = !overlays.length;
    this.mapFields.hidden = !overlays.length;
    this.outlineButton.hidden = !data.outlines.length;
    this.sliceControls.hidden = image.kind !== "volume";
    this.configureVolume(image, options);
    const buttons = options.window_presets.map(([name], number) => el("button", { type: "button", class: "wc-toggle wc-preset", text: name, title: `Window for ${name} (${number + 5})`, "data-testid": `viewer-window-${name.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`, onclick: () => this.viewer.choosePreset(number) }));
    this.presets.replaceChildren(...buttons);
    this.presets.hidden = !buttons.length;
    const [low, high] = image.range;
    const step = high - low > 20 ? 1 : (high - low) / 200;
    for (const [input, bounds] of [[this.level.input, [low, high]], [this.width.input, [step, high - low]]]) Object.assign(input, { min: bounds[0], max: bounds[1], step });
    this.unit = image.unit;
    this.axes = image.kind === "volume" ? ["slice", "row", "column"] : ["row", "column"];
  }

  configureVolume(image, options) {
    const planes = image.planes ?? [];
    this.planeSelect.replaceChildren(...planes.map((plane) => el("option", { value: plane.id, text: plane.name })));
    this.sliceAction.textContent = options.slice_action || "Explain this slice";
    this.sliceAction.hidden = !options.slice_action;
    this.strip.configure(options.strip, planes[0]?.name ?? "");
  }

  chip(overlay) {
    const grade = overlay.grade ? el("span", { class: `wc-grade wc-grade-${GRADES[overlay.grade] ?? "none"}`, text: overlay.grade, "aria-label": `grade ${overlay.grade}` }) : null;
    return el("button", { type: "button", class: "wc-chip", "data-testid": `viewer-method-${overlay.id}`, title: overlay.description, onclick: () => this.viewer.selectOverlay(overlay.id) }, el("span", { text: overlay.name }), grade);
  }

  // ---- refreshing ----

  refresh(message) {
    const { viewer } = this;
    const { state, data, overlay } = viewer;
    data.overlays.forEach((o, i) => this.chips.children[i].setAttribute("aria-pressed", String(o.id === state.overlayId)));
    for (const [id, button] of this.toolButtons) button.setAttribute("aria-pressed", String(id === state.tool));
    this.layer.dataset.tool = state.tool;
    this.mapButton.setAttribute("aria-pressed", String(state.mapOn));
    this.outlineButton.setAttribute("aria-pressed", String(state.outlineOn));
    this.opacity.set(state.opacity);
    this.threshold.set(state.threshold);
    this.radius.set(state.radius);
    const [low, high] = state.window;
    const round = (v) => (Math.abs(high - low) > 20 ? Math.round(v) : Number(v.toPrecision(3)));
    this.level.set(round((low + high) / 2));
    this.width.set(round(high - low));
    data.options.window_presets.forEach(([, centre, width], i) => this.presets.children[i]?.setAttribute("aria-pressed", String(Math.abs(low - centre + width / 2) < 0.5 && Math.abs(high - centre - width / 2) < 0.5)));
    this.target.textContent = overlay?.target ? `for: ${overlay.target}` : "";
    this.target.hidden = !overlay?.target;
    this.description.textContent = overlay?.description ?? "";
    if (overlay) this.refreshLegend(overlay, state);
    if (message) this.announce(message);
  }

  refreshLegend(overlay, state) {
    const id = state.colormap[overlay.signed];
    [this.low.textContent, this.high.textContent] = legendWords(overlay);
    this.bar.style.background = gradient(id);
    this.legend.setAttribute("aria-label", `Colours from ${this.low.textContent} to ${this.high.textContent}${overlay.signed ? ", symmetric around zero" : ""}`);
    if (this.mapsFor !== overlay.signed) {
      this.mapsFor = overlay.signed;
      this.maps.replaceChildren(...choices(overlay.signed).map((c) => el("option", { value: c.id, text: c.name })));
    }
    this.maps.value = id;
  }

  refreshView(stage) {
    this.zoom.textContent = `zoom ${stage.zoomPercent} %`;
    const bar = scaleBar(stage.pixelsPerMm, Math.min(160, this.frame.clientWidth / 5));
    this.scale.hidden = !bar;
    if (bar) {
      this.scale.style.width = `${bar.width}px`;
      this.scale.textContent = bar.text;
      this.scale.setAttribute("aria-label", `Scale bar: ${bar.text}`);
    }
    const [right, foot] = stage.corner;
    const above = `${Math.max(10, this.bottom.offsetTop - foot + 8)}px`;
    Object.assign(this.scale.style, { right: `${Math.max(54, this.frame.clientWidth - right + 8)}px`, marginBottom: above });
    this.place.style.marginBottom = above;
    const slices = stage.slices();
    if (slices) {
      this.slice.input.max = slices.count - 1;
      this.sliceCount = slices.count;
      this.slice.set(slices.index);
      this.planeSelect.value = stage.plane;
      this.linkedButton.setAttribute("aria-pressed", String(stage.linked));
      this.layer.dataset.at = stage.at.join(",");
      this.strip.show(stage.at[0]);
    }
    this.layer.dataset.zoom = String(stage.zoomPercent);
  }

  readout(index, value) {
    if (!index) {
      this.place.textContent = "";
      return;
    }
    // Slices are counted from 1 as on the slider; rows and columns are the array's own.
    const where = index.map((v, i) => `${this.axes[i]} ${this.axes[i] === "slice" ? v + 1 : v}`).join(", ");
    const what = Array.isArray(value) ? `rgb ${value.join(" ")}` : `${Number(Number(value).toPrecision(4))} ${this.unit}`.trim();
    this.place.textContent = `${where} · ${what}`;
  }

  announce(text) {
    this.live.textContent = text;
  }

  busy(on) {
    this.message.textContent = on ? "Loading the image" : "";
    this.frame.setAttribute("aria-busy", String(on));
  }

  fail(error) {
    this.frame.setAttribute("aria-busy", "false");
    this.message.textContent = `This image cannot be shown: ${error.message}`;
  }

  togglePanel(name) {
    const next = this.openPanel === name ? null : name;
    const before = this.openPanel;
    this.openPanel = next;
    this.display.hidden = next !== "display";
    this.help.hidden = next !== "help";
    this.displayButton.setAttribute("aria-expanded", String(next === "display"));
    this.helpButton.setAttribute("aria-expanded", String(next === "help"));
    if (!next && this.panels.contains(this.frame.getRootNode().activeElement)) (before === "help" ? this.helpButton : this.displayButton).focus();
  }

  showFullscreen(on) {
    this.fullButton.setAttribute("aria-pressed", String(on));
  }

  // ---- sizes ----

  /** Width, height and the margins that the controls take, so that nothing hides the fitted image. */
  room() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    this.tools.classList.remove("wc-two");
    this.tools.classList.toggle("wc-two", this.tools.offsetHeight + 12 > height - this.bottom.offsetHeight - this.top.offsetHeight - this.top.offsetTop);
    this.tools.style.top = `${Math.max(this.tools.offsetHeight / 2 + 8, (height - this.bottom.offsetHeight + this.top.offsetHeight + 12) / 2)}px`;
    return [width, height, { top: Math.max(12, this.top.offsetTop + this.top.offsetHeight + 4), right: this.tools.offsetWidth + 16, bottom: this.bottom.offsetHeight + 4, left: 12 }];
  }

  sizeMarks() {
    const ratio = window.devicePixelRatio || 1;
    this.marks.width = Math.round(this.frame.clientWidth * ratio);
    this.marks.height = Math.round(this.frame.clientHeight * ratio);
  }

  marksContext() {
    const ratio = window.devicePixelRatio || 1;
    const context = this.marks.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.marks.width, this.marks.height);
    return context;
  }
}
