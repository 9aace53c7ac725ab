/** The downloadable picture: never without its notice. */

import { stops } from "./colormaps.js";

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

/** Lines that are burnt in below the picture. */
export function footerLines(data, overlay, state) {
  const what = overlay && state.mapOn ? `${overlay.name}${overlay.grade ? ` [${overlay.grade}]` : ""}${overlay.target ? ` for: ${overlay.target}` : ""}` : "No map shown";
  const how = overlay && state.mapOn ? `opacity ${Math.round(state.opacity * 100)} %, threshold ${Math.round(state.threshold * 100)} %` : "";
  const notice = `Research only, not for clinical use${data.options.simulated ? " · simulated image" : ""}`;
  return { notice, what: [what, how].filter(Boolean).join(" · "), note: data.options.footer };
}

/** Picture plus footer. */
export function compose(picture, data, overlay, state) {
  const unit = Math.max(13, Math.round(picture.width / 62));
  const { notice, what, note } = footerLines(data, overlay, state);
  const lines = [what, note].filter(Boolean);
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height + Math.round(unit * (2.9 + 1.5 * lines.length));
  const context = canvas.getContext("2d");
  context.fillStyle = "#0e1116";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0);
  let y = picture.height + unit * 1.9;
  context.fillStyle = "#ffd98a";
  context.font = `600 ${unit}px ${FONT}`;
  context.fillText(notice, unit, y, canvas.width - 2 * unit);
  context.fillStyle = "#e8ecf1";
  context.font = `${unit}px ${FONT}`;
  for (const line of lines) {
    y += unit * 1.5;
    context.fillText(line, unit, y, canvas.width - 2 * unit);
  }
  if (overlay && state.mapOn) drawLegend(context, overlay, state, canvas.width, picture.height, unit);
  return canvas;
}

function drawLegend(context, overlay, state, width, top, unit) {
  const colours = stops(state.colormap[overlay.signed]);
  const [w, h] = [unit * 9, unit * 0.8];
  const [x, y] = [width - w - unit * 4, top + unit * 1.2];
  const fill = context.createLinearGradient(x, 0, x + w, 0);
  colours.forEach((c, i) => fill.addColorStop(i / (colours.length - 1), `rgb(${c.join(",")})`));
  context.fillStyle = fill;
  context.fillRect(x, y, w, h);
  context.fillStyle = "#e8ecf1";
  const [low, high] = legendWords(overlay);
  context.textAlign = "right";
  context.fillText(low, x - unit * 0.5, y + h);
  context.textAlign = "left";
  context.fillText(high, x + w + unit * 0.5, y + h);
}

export const legendWords = (overlay) => (overlay.signed ? ["against", "for"] : ["less", "more"]);


export function download(canvas, name) {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }, "image/png");
}
