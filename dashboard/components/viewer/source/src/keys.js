/** Everything by keyboard: one table, from which the help text is made too. */

const PAN = 40;

/** [keys, what the help says, action(viewer, event)] */
export const BINDINGS = [
  [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], "arrows: move the image, or the cursor in point, box and brush (Shift: ten times)", arrows],
  [["Enter", " "], "Enter: click, set a box corner, or put the brush down and lift it", (v) => v.cursorAct()],
  [["+", "="], "+ : zoom in", (v) => v.zoomBy(1.25)],
  [["-", "_"], "- : zoom out", (v) => v.zoomBy(0.8)],
  [["0"], "0 : fit the image", (v) => v.resetView()],
  [["PageUp"], "Page Up, Page Down: slices of a volume", (v) => v.stepSlice(1)],
  [["PageDown"], null, (v) => v.stepSlice(-1)],
  [["m"], "m : map on or off", (v) => v.toggleMap()],
  [["o"], "o, Shift+O : map fainter, stronger", (v) => v.set("opacity", v.state.opacity - 0.1)],
  [["O"], null, (v) => v.set("opacity", v.state.opacity + 0.1)],
  [["t"], "t, Shift+T : threshold up, down", (v) => v.set("threshold", v.state.threshold + 0.05)],
  [["T"], null, (v) => v.set("threshold", v.state.threshold - 0.05)],
  [["["], "[ ] : method before, next", (v) => v.stepOverlay(-1)],
  [["]"], null, (v) => v.stepOverlay(1)],
  [["c"], "c : next colour map", (v) => v.stepColormap()],
  [["w"], "w, Shift+W : window wider, narrower", (v) => v.nudgeWindow(8, 0)],
  [["W"], null, (v) => v.nudgeWindow(-8, 0)],
  [["l"], "l, Shift+L : level up, down", (v) => v.nudgeWindow(0, 8)],
  [["L"], null, (v) => v.nudgeWindow(0, -8)],
  [["b"], "b : outline on or off", (v) => v.toggleOutline()],
  [["p"], "p : next plane of a volume", (v) => v.stepPlane()],
  [["1", "2", "3", "4"], "1 2 3 4 : pan, point, box, brush", (v, e) => v.setTool(["pan", "point", "box", "brush"][Number(e.key) - 1])],
  [["Delete", "Backspace"], "Delete : remove your marks", (v) => v.clearMarks()],
  [["r"], "r : reset everything", (v) => v.resetAll()],
  [["f"], "f : full screen", (v) => v.toggleFullscreen()],
  [["s"], "s : save a PNG", (v) => v.save()],
  [["?"], "? : this list", (v) => v.togglePanel("help")],
  [["Escape"], null, (v) => v.escape()],
];

function arrows(viewer, event) {
  const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const times = event.shiftKey ? 10 : 1;
  if (viewer.state.tool === "pan") viewer.pan(-direction[0] * PAN * (times > 1 ? 4 : 1), -direction[1] * PAN * (times > 1 ? 4 : 1));
  else viewer.moveCursor(direction.map((d) => d * times));
}

const TABLE = new Map(BINDINGS.flatMap(([keys, , action]) => keys.map((key) => [key, action])));

/** Listen on the stage; keys that mean something here never reach the page's own shortcuts. */
export function listen(layer, viewer) {
  layer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = TABLE.get(event.key);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    if (viewer.ready) action(viewer, event);
  });
}

export const helpLines = () => BINDINGS.map(([, text]) => text).filter(Boolean);
