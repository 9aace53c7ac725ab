/** What lies on top of the picture: outlines, the reader's marks, the cursor and the scale bar. */

const DASH = [6, 4];

function stroke(context, colour, width, draw) {
  context.lineJoin = "round";
  context.lineCap = "round";
  for (const [style, extra] of [["rgba(0,0,0,0.55)", 2], [colour, 0]]) {
    context.strokeStyle = style;
    context.lineWidth = width + extra;
    context.beginPath();
    draw();
    context.stroke();
  }
}

/** Outlines (row, column polylines) as dashed white lines with a dark edge. */
export function drawOutlines(context, outlines, place, unit = 1) {
  for (const outline of outlines) {
    for (const path of outline.paths) {
      const points = path.map(place);
      if (points.some((p) => !p)) continue;
      const draw = () => points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.setLineDash([]);
      context.strokeStyle = "rgba(0,0,0,0.45)";
      context.lineWidth = 3 * unit;
      context.beginPath();
      draw();
      context.stroke();
      context.setLineDash(DASH.map((d) => d * unit));
      context.strokeStyle = "#ffffff";
      context.lineWidth = 1.5 * unit;
      context.beginPath();
      draw();
      context.stroke();
      context.setLineDash([]);
    }
  }
}

/** The reader's point, box and brush strokes. */
export function drawMarks(context, marks, place, pixelSize) {
  const visible = (index) => index && place(index);
  for (const line of marks.brush) {
    const points = line.points.map(place).filter(Boolean);
    if (!points.length) continue;
    context.save();
    context.globalAlpha = 0.55;
    context.lineCap = "round";
    context.lineJoin = "round";
    context.strokeStyle = "#ffd24d";
    context.lineWidth = Math.max(2, (2 * line.radius + 1) * pixelSize);
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
    context.stroke();
    context.restore();
  }
  if (marks.box) {
    const [a, b] = marks.box.map(visible);
    const half = pixelSize / 2;
    if (a && b) {
      const [x, y] = [Math.min(a[0], b[0]) - half, Math.min(a[1], b[1]) - half];
      stroke(context, "#ffd24d", 2, () => context.rect(x, y, Math.abs(a[0] - b[0]) + pixelSize, Math.abs(a[1] - b[1]) + pixelSize));
    }
  }
  const point = visible(marks.click);
  if (point) stroke(context, "#ffd24d", 2, () => cross(context, point, 4, 11));
}

export function drawCursor(context, cursor, place, tool, pixelSize, radius) {
  const at = cursor && place(cursor);
  if (!at) return;
  stroke(context, "#ffffff", 1.5, () => cross(context, at, 3, 14));
  if (tool === "brush") stroke(context, "#ffffff", 1, () => context.arc(at[0], at[1], (radius + 0.5) * pixelSize, 0, 7));
}

function cross(context, [x, y], inner, outer) {
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + dx * inner, y + dy * inner);
    context.lineTo(x + dx * outer, y + dy * outer);
  }
}

/** The longest of 1, 2, 5 x 10^k millimetres that fits into `room` CSS pixels. */
export function scaleBar(pixelsPerMm, room) {
  if (!pixelsPerMm || !Number.isFinite(pixelsPerMm)) return null;
  const most = room / pixelsPerMm;
  const power = 10 ** Math.floor(Math.log10(most));
  const mm = [5, 2, 1].map((m) => m * power).find((m) => m <= most);
  const text = mm >= 10 ? `${mm / 10} cm` : mm >= 0.1 ? `${Number(mm.toPrecision(1))} mm` : `${Number((mm * 1000).toPrecision(1))} µm`;
  return { mm, width: mm * pixelsPerMm, text };
}
