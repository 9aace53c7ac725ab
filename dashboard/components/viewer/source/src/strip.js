/** A chart along a volume that was read slice by slice; a click goes to that slice. */

import { clamp, el } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const ROOM = 100; // height of the drawing, in its own units; 0 is certain, 100 is impossible

function draw(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

const WORDS = { report: "no reason to refer", refer: "refer", reject: "no answer" };
const percent = (v) => (v === null ? "no score" : `${Math.round(v * 100)} %`);

export class Strip {
  constructor(viewer) {
    this.viewer = viewer;
    this.drawing = draw("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
    this.title = el("span", { class: "wc-strip-title" });
    this.said = el("span", { class: "wc-strip-value", "data-testid": "viewer-strip-value" });
    this.plot = el("div", { class: "wc-strip-plot", role: "img", "data-testid": "viewer-strip-plot" });
    this.plot.append(this.drawing);
    this.node = el("div", { class: "wc-strip", "data-testid": "viewer-strip", hidden: true }, el("div", { class: "wc-strip-head" }, this.title, this.said), this.plot);
    this.plot.addEventListener("pointerdown", (event) => this.go(event));
    this.plot.addEventListener("pointermove", (event) => (event.buttons === 1 ? this.go(event) : this.tell(this.at(event))));
    this.plot.addEventListener("pointerleave", () => this.tell(this.slice));
  }

  configure(data, word) {
    this.node.hidden = !data;
    this.word = word;
    if (!data || data === this.data) return;
    this.data = data;
    this.title.textContent = data.title;
    this.plot.setAttribute("aria-label", data.alt);
    this.drawing.setAttribute("viewBox", `0 -5 ${data.values.length} ${ROOM + 19}`);
    this.line = draw("rect", { width: 0.9, y: -5, height: ROOM + 19, class: "wc-strip-here" });
    this.drawing.replaceChildren(...this.marks(), ...this.spread(), ...this.curve(), this.line);
  }

  /** Runs of neighbouring slices that have a score. */
  runs() {
    const runs = [];
    this.data.values.forEach((value, i) => {
      if (value === null) return;
      if (i && this.data.values[i - 1] !== null) runs.at(-1).push(i);
      else runs.push([i]);
    });
    return runs;
  }

  spread() {
    const { low, high } = this.data;
    const y = (v) => ROOM * (1 - v);
    return this.runs().map((run) => {
      const up = run.flatMap((i) => [`${i},${y(high[i])}`, `${i + 1},${y(high[i])}`]);
      const down = run.toReversed().flatMap((i) => [`${i + 1},${y(low[i])}`, `${i},${y(low[i])}`]);
      return draw("polygon", { points: [...up, ...down].join(" "), class: "wc-strip-spread" });
    });
  }

  curve() {
    return this.runs().map((run) => draw("polyline", { points: run.flatMap((i) => [i, i + 1].map((x) => `${x},${ROOM * (1 - this.data.values[i])}`)).join(" "), class: "wc-strip-curve" }));
  }

  marks() {
    return this.data.decisions.map((decision, i) => draw("rect", { x: i + 0.08, width: 0.84, y: ROOM + 3, height: 11, class: `wc-strip-${decision}` }));
  }

  at(event) {
    const box = this.plot.getBoundingClientRect();
    return clamp(Math.floor(((event.clientX - box.left) / box.width) * this.data.values.length), 0, this.data.values.length - 1);
  }

  go(event) {
    event.preventDefault();
    const { viewer } = this;
    if (!viewer.ready) return;
    viewer.stage.follow(viewer.stage.at.with(0, this.at(event)));
    viewer.changed();
  }

  /** Move the line to a slice. */
  show(slice) {
    this.slice = slice;
    if (this.node.hidden) return;
    this.line.setAttribute("x", slice + 0.05);
    this.tell(slice);
  }

  tell(slice) {
    const { values, low, high, decisions } = this.data;
    const members = values[slice] === null ? "" : `, members ${percent(low[slice])} to ${percent(high[slice])}`;
    this.said.textContent = `${this.word} ${slice + 1}: ${percent(values[slice])}${members}, ${WORDS[decisions[slice]] ?? ""}`;
  }
}
