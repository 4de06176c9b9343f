// The marks, the same on the canvas and in the list: paths around (0, 0), some filled, some drawn.

const GLYPHS = {
  send: { fill: "M-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0Z" },
  arrival: { draw: "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0Z" },
  connection: { draw: "M0-3.5V3.5" },
  commit: { fill: "M-4-4H4V4H-4Z" },
  taken: { fill: "M-4.5-1H4.5V5H-4.5Z", draw: "M-2.6-1V-3a2.6 2.6 0 0 1 5.2 0V-1" },
  released: { draw: "M-4.5-1H4.5V5H-4.5ZM-2.6-1V-3.6a2.6 2.6 0 0 1 5-1" },
  disk: { fill: "M-5-4H5L0 5Z" },
  saga: { fill: "M0-5L5 0L0 5L-5 0Z" },
  log: { fill: "M-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0Z" },
  client: { fill: "M-3.5-4.5L5 0L-3.5 4.5Z" },
  up: { draw: "M0-4.5L4.5 3.5H-4.5Z" },
  down: { draw: "M-4-4L4 4M4-4L-4 4" },
  fault: { fill: "M1.5-6L-4 1H-.5L-1.5 6L4-1H.5Z" },
  violation: { fill: "M-4 6V-6H5L2.5-2.5L5 1H-2.5V6Z" },
  // On the way of a message.
  lost: { draw: "M-4-4L4 4M4-4L-4 4" },
  reset: { draw: "M-5 2L-1-4L1 4L5-2" },
  delayed: { draw: "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0ZM0-2.5V0L2 1.5" },
  duplicated: { draw: "M-4.5-2.5H1.5V4.5H-4.5ZM-1.5-4.5H4.5V2" },
  "held back": { draw: "M-2-4V4M2-4V4" },
  never: { draw: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0ZM-3 3L3-3" },
};

for (const glyph of Object.values(GLYPHS)) {
  if (glyph.fill) glyph.fillPath = new Path2D(glyph.fill);
  if (glyph.draw) glyph.drawPath = new Path2D(glyph.draw);
}

/** The style's colours, for the canvas. */
let colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names =
    "bg panel raised line strong text dim faint accent accent-soft request answer commit lock log saga client disk " +
    "node connection fault violation ok warning alarm fault-band down paused ask ask-text work work-text call " +
    "call-text bad-span bad-text open-span open-text mark";
  colours = Object.fromEntries(names.split(" ").map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  colours.sans = style.getPropertyValue("--sans");
}

/** The name of an event's mark and of its colour. */
function markOf(event) {
  switch (event.kind) {
    case "send":
      return fateOf(event) === "sent" ? ["send", isAnswer(event) ? "answer" : "request"] : ["send", "fault"];
    case "arrival":
      return ["arrival", isAnswer(event) ? "answer" : "request"];
    case "commit": {
      const turn = lockTurn(event);
      return turn ? [turn, "lock"] : ["commit", "commit"];
    }
    case "log":
      return ["log", event.tone || "log"];
    case "saga":
      return ["saga", event.tone || "saga"];
    case "client":
      return ["client", /(failed|unknown)$/.test(event.label) ? "fault" : "client"];
    case "node":
      return event.tone ? ["down", "alarm"] : ["up", "node"];
    case "connection":
      return ["connection", /^(reset|refused|timed out)/.test(event.label) ? "fault" : "connection"];
    default:
      return [event.kind, event.kind];
  }
}

function isAnswer(event) {
  return event.message.answers !== undefined;
}

/** Whether a commit takes or releases a lock. */
function lockTurn(event) {
  const turns = (event.locks ?? []).map((lock) => lock.turn);
  return ["taken", "released"].find((turn) => turns.includes(turn));
}

function drawGlyph(canvas, name, colour, x, y, size = 1) {
  const { fillPath, drawPath } = GLYPHS[name];
  canvas.save();
  canvas.translate(x, y);
  canvas.scale(size, size);
  canvas.fillStyle = canvas.strokeStyle = colour;
  canvas.lineWidth = 1.5;
  if (fillPath) canvas.fill(fillPath);
  if (drawPath) {
    if (name === "arrival") {
      canvas.fillStyle = colours.bg;
      canvas.fill(drawPath);
    }
    canvas.stroke(drawPath);
  }
  canvas.restore();
}

/** The mark as an element. */
function glyphElement(name, colour) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [attribute, value] of Object.entries({ viewBox: "-8 -8 16 16", width: 14, height: 14, "aria-hidden": "true" })) {
    svg.setAttribute(attribute, value);
  }
  const { fill, draw } = GLYPHS[name];
  const part = (d, style) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    path.setAttribute("style", style);
    svg.append(path);
  };
  if (fill) part(fill, `fill:var(--${colour})`);
  if (draw) part(draw, `fill:none;stroke:var(--${colour});stroke-width:1.5`);
  return svg;
}
