// Messages: lines from lane to lane. What befell one shows in its line and in a mark on its way.

const LINES = {
  sent: [],
  delayed: [9, 3],
  duplicated: [],
  "held back": [9, 3, 2, 3],
  lost: [4, 4],
  reset: [1.5, 3],
  never: [4, 4],
};

/** So much of the way a message comes that does not arrive. */
const PART_OF_THE_WAY = 0.62;

/** Where a message leaves and where it comes to, in pixels; null if one of its lanes is hidden. */
function wayOf(index) {
  const event = events[index];
  const from = layout.lanes[event.lane];
  const to = layout.lanes[event.message.peer];
  if (!from || !to) return null;
  const { other, latency } = event.message;
  const x0 = view.x(axis.places[index]);
  let x1 = view.x(other === undefined ? axis.at(event.at + (latency ?? 0)) : axis.places[other]);
  let y1 = to.base;
  if (other === undefined) {
    x1 = x0 + Math.min(Math.max(x1 - x0, 14), 120) * PART_OF_THE_WAY;
    y1 = from.base + (to.base - from.base) * PART_OF_THE_WAY;
  }
  return { x0, y0: from.base, x1, y1, arrives: other !== undefined };
}

function drawMessage(canvas, index, { faint, strong, crowd = 1 }) {
  const way = wayOf(index);
  if (!way || Math.max(way.x0, way.x1) < GUTTER || Math.min(way.x0, way.x1) > view.width) return;
  const event = events[index];
  const fate = fateOf(event);
  const { x0, y0, x1, y1, arrives } = way;
  const usual = fate === "sent";
  const colour = strong ? colours.accent : usual ? colours[isAnswer(event) ? "answer" : "request"] : colours.fault;
  canvas.globalAlpha = faint ? 0.1 * crowd : usual && !strong ? crowd : 1;
  canvas.strokeStyle = canvas.fillStyle = colour;
  canvas.lineWidth = strong ? 2 : usual ? 1 : 1.4;
  canvas.setLineDash(LINES[fate] ?? []);
  const length = Math.hypot(x1 - x0, y1 - y0) || 1;
  const [dx, dy] = [(x1 - x0) / length, (y1 - y0) / length];
  const tracks = fate === "duplicated" ? [-1.8, 1.8] : [0];
  canvas.beginPath();
  for (const aside of tracks) {
    canvas.moveTo(x0 - dy * aside, y0 + dx * aside);
    canvas.lineTo(x1 - dy * aside, y1 + dx * aside);
  }
  canvas.stroke();
  canvas.setLineDash([]);
  if (arrives && !faint && (crowd > 0.4 || strong)) {
    const [tipX, tipY] = [x1 - dx * 3, y1 - dy * 3];
    canvas.beginPath();
    canvas.moveTo(tipX, tipY);
    canvas.lineTo(tipX - dx * 6 - dy * 3, tipY - dy * 6 + dx * 3);
    canvas.lineTo(tipX - dx * 6 + dy * 3, tipY - dy * 6 - dx * 3);
    canvas.fill();
  }
  if (!usual && !faint) {
    const [x, y] = arrives ? [(x0 + x1) / 2, (y0 + y1) / 2] : [x1, y1];
    canvas.fillStyle = colours.bg;
    canvas.beginPath();
    canvas.arc(x, y, 6.5, 0, 7);
    canvas.fill();
    drawGlyph(canvas, GLYPHS[fate] ? fate : "never", colour, x, y);
  }
  canvas.globalAlpha = 1;
}

/** How far a point is from a message's line, in pixels. */
function distanceTo(way, x, y) {
  const [dx, dy] = [way.x1 - way.x0, way.y1 - way.y0];
  const along = ((x - way.x0) * dx + (y - way.y0) * dy) / (dx * dx + dy * dy || 1);
  const part = Math.min(1, Math.max(0, along));
  return Math.hypot(x - way.x0 - part * dx, y - way.y0 - part * dy);
}
