/** Everything by keyboard: one table, from which the help text is made too. */

const PAN = 40;

/** [keys, what the help says, action(viewer, event)] */
export const BINDINGS = [
  [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], "arrows: move the image, or the cursor in point, box and brush (Shift: ten times); up and down step through a volume", arrows],
  [["Enter", " "], "Enter: click, set a box corner, or put the brush down and lift it", (v) => v.cursorAct()],
  [["+", "="], "+ : zoom in", (v) => v.zoomBy(1.25)],
  [["-", "_"], "- : zoom out", (v) => v.zoomBy(0.8)],
  [["0"], "0 : fit the image", (v) => v.resetView()],
  [["PageUp"], "Page Up, Page Down: slices of a volume (Shift: ten)", (v, e) => v.stepSlice(e.shiftKey ? -10 : -1)],
  [["PageDown"], null, (v, e) => v.stepSlice(e.shiftKey ? 10 : 1)],
  [["Home"], "Home, End: first and last slice", (v) => v.stepSlice(-100000)],
  [["End"], null, (v) => v.stepSlice(100000)],
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
  [["p"], "p, Shift+P : next plane of a volume, one plane or three", (v) => v.stepPlane()],
  [["P"], null, (v) => v.toggleLinked()],
  [["x"], "x : reference lines on or off", (v) => v.toggleLines()],
  [["g"], "g : go to your mark, or to the analysed point", (v) => v.goToMark()],
  [["5", "6", "7", "8"], "5 6 7 8 : the windows in their order", (v, e) => v.choosePreset(Number(e.key) - 5)],
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
  if (viewer.state.tool === "pan" && direction[1] && viewer.stage.slices()) viewer.stepSlice(direction[1] * times);
  else if (viewer.state.tool === "pan") viewer.pan(-direction[0] * PAN * (times > 1 ? 4 : 1), -direction[1] * PAN * (times > 1 ? 4 : 1));
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
