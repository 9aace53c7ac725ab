/** Small helpers to make elements; text only ever enters through textContent. */

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  pan: "M12 3v18M3 12h18M12 3l-2.5 2.5M12 3l2.5 2.5M12 21l-2.5-2.5M12 21l2.5-2.5M3 12l2.5-2.5M3 12l2.5 2.5M21 12l-2.5-2.5M21 12l-2.5 2.5",
  point: "M12 4v5M12 15v5M4 12h5M15 12h5M12 11.5v1",
  box: "M5 6h14v12H5z",
  brush: "M4 20c3 0 5-1 5-3.5a2.5 2.5 0 0 0-5 0C4 18 4 19 4 20zM9.5 14.5L19 5l1.5 1.5L11 16",
  display: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4",
  reset: "M4.5 12a7.5 7.5 0 1 0 2.4-5.5M4.5 4.5v4h4",
  save: "M12 4v11M8 11l4 4 4-4M5 19h14",
  fullscreen: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  help: "M9.5 9a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1 1-1.1 1.8M12 16.5v.5",
  clear: "M5 7h14M9 7V5h6v2M7 7l1 12h8l1-12",
  zoomIn: "M12 5v14M5 12h14",
  zoomOut: "M5 12h14",
};

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes] `on*` are listeners, `text` is textContent.
 * @param {...(Node|null|undefined)} children
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") node.textContent = String(value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter(Boolean));
  return node;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A square button that shows an icon and says what it does and which key does the same. */
export function iconButton(name, label, key, testid, onclick) {
  const title = key ? `${label} (${key})` : label;
  return el("button", { type: "button", class: "wc-icon", title, "aria-label": label, "data-testid": testid, onclick }, icon(name));
}

/** A labelled slider; `oninput` gets the number. */
export function slider({ label, testid, min, max, step, value, oninput, format }) {
  const output = el("output", { class: "wc-value", text: format(value) });
  const input = el("input", { type: "range", min, max, step, value, "aria-label": label, "data-testid": testid });
  const show = (v) => {
    output.textContent = format(v);
    input.setAttribute("aria-valuetext", format(v));
  };
  input.addEventListener("input", () => {
    show(Number(input.value));
    oninput(Number(input.value));
  });
  const node = el("label", { class: "wc-field" }, el("span", { text: label }), input, output);
  const set = (v) => {
    input.value = String(v);
    show(v);
  };
  set(value);
  return { node, input, set };
}

export function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}
