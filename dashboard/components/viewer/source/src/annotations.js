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

const COLOURS = ["#ffffff", "#7fd4ff", "#ffc46b", "#b7f7a8"];

/** Outlines, dashed where they come as whole polylines, each with a dark edge. */
export function drawOutlines(context, outlines, view, unit = 1) {
  outlines.forEach((outline, number) => {
    const lines = view.edges(outline).map((line) => line.map(view.place));
    if (!lines.length) return;
    const draw = () => {
      context.beginPath();
      for (const points of lines) points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.stroke();
    };
    context.lineCap = "round";
    context.setLineDash([]);
    context.strokeStyle = "rgba(0,0,0,0.5)";
    context.lineWidth = 3 * unit;
    draw();
    context.setLineDash(outline.paths ? DASH.map((d) => d * unit) : []);
    context.strokeStyle = COLOURS[number % COLOURS.length];
    context.lineWidth = 1.5 * unit;
    draw();
    context.setLineDash([]);
  });
}

/** Corners of a cell as bits: 1 top left, 2 top right, 4 bottom left, 8 bottom right; sides as [down, right] in cells. */
const [TOP, RIGHT, BOTTOM, LEFT] = [[0, 0.5], [0.5, 1], [1, 0.5], [0.5, 0]];
const CASES = [[], [LEFT, TOP], [TOP, RIGHT], [LEFT, RIGHT], [LEFT, BOTTOM], [TOP, BOTTOM], [TOP, RIGHT, LEFT, BOTTOM], [RIGHT, BOTTOM], [RIGHT, BOTTOM], [LEFT, TOP, RIGHT, BOTTOM], [TOP, BOTTOM], [LEFT, BOTTOM], [LEFT, RIGHT], [TOP, RIGHT], [LEFT, TOP], []];

/** Edge of a mask in one slice (marching squares): pairs of source indices, half-way between inside and outside. */
export function contour(mask, axis, slice, right, down) {
  const strides = [mask.shape[1] * mask.shape[2], mask.shape[2], 1];
  const [width, height] = [mask.shape[right], mask.shape[down]];
  const bit = (v, u) => (v >= 0 && u >= 0 && v < height && u < width && mask.bytes[slice * strides[axis] + v * strides[down] + u * strides[right]] ? 1 : 0);
  const point = (v, u, [dv, du]) => {
    const index = [0, 0, 0];
    index[axis] = slice + mask.start[axis];
    index[down] = v + dv + mask.start[down];
    index[right] = u + du + mask.start[right];
    return index;
  };
  const lines = [];
  for (let v = -1; v < height; v += 1) {
    for (let u = -1; u < width; u += 1) {
      const sides = CASES[bit(v, u) | (bit(v, u + 1) << 1) | (bit(v + 1, u) << 2) | (bit(v + 1, u + 1) << 3)];
      for (let i = 0; i < sides.length; i += 2) lines.push([point(v, u, sides[i]), point(v, u, sides[i + 1])]);
    }
  }
  return lines;
}

/** The reader's point, box and brush strokes. */
export function drawMarks(context, marks, { place, holds, pixel: pixelSize }) {
  const visible = (index) => index && holds(index) && place(index);
  for (const line of marks.brush) {
    const points = line.points.filter(holds).map(place);
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

/** The point that was analysed, as a ring. */
export function drawSeed(context, seed, { place, holds }) {
  if (!seed || !holds(seed)) return;
  const [x, y] = place(seed);
  stroke(context, "#6cb6ff", 2, () => context.arc(x, y, 15, 0, 7));
}

export function drawCursor(context, cursor, { place, holds, pixel: pixelSize }, tool, radius) {
  const at = cursor && holds(cursor) && place(cursor);
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
