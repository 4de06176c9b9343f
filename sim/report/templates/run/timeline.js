// The picture itself: axis, storm, lanes, spans, marks. Only what is in view is drawn.

const AXIS_PX = 22;
const STORM_ROW_PX = 16;
const STORM_ROWS_MAX = 3;

const textWidths = new Map();

function textWidth(canvas, text) {
  const key = canvas.font + text;
  let width = textWidths.get(key);
  if (width === undefined) {
    width = canvas.measureText(text).width;
    textWidths.set(key, width);
  }
  return width;
}

/** The text cut to a width; empty if too little of it would be left. */
function fitted(canvas, text, room) {
  if (textWidth(canvas, text) <= room) return text;
  const chars = Math.floor((text.length * room) / textWidth(canvas, text)) - 1;
  return chars < 4 ? "" : `${text.slice(0, chars)}…`;
}

/** A canvas in the size of its element, ready to be drawn on in CSS pixels. */
function prepared(id, height) {
  const element = $(id);
  if (height !== undefined) element.style.height = `${height}px`;
  const { clientWidth: width } = element;
  const tall = height ?? element.clientHeight;
  const ratio = window.devicePixelRatio || 1;
  const [pixels, lines] = [Math.round(width * ratio), Math.round(tall * ratio)];
  if (element.width !== pixels || element.height !== lines) {
    element.width = pixels;
    element.height = lines;
  }
  const canvas = element.getContext("2d");
  canvas.setTransform(ratio, 0, 0, ratio, 0, 0);
  canvas.clearRect(0, 0, width, tall);
  canvas.font = `11px ${colours.sans}`;
  canvas.textBaseline = "middle";
  return { canvas, width, height: tall };
}

/** Diagonal lines over a rectangle: told from a plain shade without colour. */
function hatch(canvas, x, y, width, height, colour, step) {
  canvas.save();
  canvas.beginPath();
  canvas.rect(x, y, width, height);
  canvas.clip();
  canvas.strokeStyle = colour;
  canvas.lineWidth = 1;
  canvas.beginPath();
  for (let at = x - height - ((x - height) % step); at < x + width; at += step) {
    canvas.moveTo(at, y + height);
    canvas.lineTo(at + height, y);
  }
  canvas.stroke();
  canvas.restore();
}

/** The part of [from, to] that is in view, in pixels; null if none is. */
function inView(from, to) {
  const [left, right] = [Math.max(view.x(from), GUTTER), Math.min(view.x(to), view.width)];
  return right < GUTTER || left > view.width || right < left ? null : { left, right, width: right - left };
}

/** Faults in rows, so that no two overlap. */
const stormRows = (() => {
  const until = [];
  return faults.map((fault) => {
    if (fault.from === null) return -1;
    let row = until.findIndex((end) => end < fault.from);
    if (row < 0) row = until.length;
    until[row] = fault.to;
    return Math.min(row, STORM_ROWS_MAX - 1);
  });
})();
const stormHeight = Math.max(1, ...stormRows.map((row) => row + 1)) * STORM_ROW_PX + 4;

function drawAxis() {
  const { canvas, width, height } = prepared("axis", AXIS_PX + stormHeight);
  canvas.textAlign = "center";
  const apart = 78 / view.perUnit;
  for (const tick of axis.ticks(view.from, view.to, apart)) {
    const x = view.x(axis.at(tick));
    if (x < GUTTER + 8) continue;
    canvas.fillStyle = colours.strong;
    canvas.fillRect(Math.round(x), AXIS_PX - 5, 1, 5);
    canvas.fillStyle = colours.dim;
    canvas.fillText(`${String(Number((tick / 1e9).toFixed(6)))} s`, x, AXIS_PX / 2 - 1);
  }
  canvas.fillStyle = colours.line;
  canvas.fillRect(GUTTER, AXIS_PX, width, 1);
  canvas.strokeStyle = colours.faint;
  canvas.lineWidth = 1;
  canvas.beginPath();
  let last = 0;
  for (const { from, to } of axis.breaks) {
    const x = Math.round((view.x(from) + view.x(to)) / 2);
    if (x < GUTTER || x > width || x - last < 7) continue;
    last = x;
    for (const aside of [-1.5, 1.5]) {
      canvas.moveTo(x + aside - 1.5, AXIS_PX + 3);
      canvas.lineTo(x + aside + 1.5, AXIS_PX - 3);
    }
  }
  canvas.stroke();
  canvas.textAlign = "left";
  drawStorm(canvas, AXIS_PX + 2);
  gutter(canvas, 0, height);
  canvas.fillStyle = colours.faint;
  canvas.fillText("virtual time", 10, AXIS_PX / 2);
  canvas.fillStyle = faults.length ? colours.fault : colours.faint;
  canvas.fillText("storm", 10, AXIS_PX + 3 + STORM_ROW_PX / 2);
}

function drawStorm(canvas, top) {
  faults.forEach((fault, index) => {
    if (fault.from === null) return;
    const y = top + stormRows[index] * STORM_ROW_PX;
    const band = inView(axis.at(fault.from), Math.max(axis.at(fault.to), axis.at(fault.from) + 3 / view.perUnit));
    if (!band) return;
    canvas.fillStyle = colours["fault-band"];
    canvas.fillRect(band.left, y, band.width, STORM_ROW_PX - 2);
    if (!fault.effective) hatch(canvas, band.left, y, band.width, STORM_ROW_PX - 2, colours["fault-band"], 5);
    canvas.fillStyle = colours.fault;
    canvas.fillRect(band.left, y, 2, STORM_ROW_PX - 2);
    const text = fitted(canvas, fault.text, roomAfter(index, band) - 8);
    canvas.fillStyle = colours.text;
    canvas.fillText(text, band.left + 6, y + STORM_ROW_PX / 2 - 1);
  });
  for (const broken of violations) {
    if (broken.event === null) continue;
    const x = view.x(axis.places[broken.event]);
    if (x >= GUTTER) drawGlyph(canvas, "violation", colours.violation, x + 4, AXIS_PX - 7, 0.95);
  }
}

/** How far a fault's words may go: to the next fault of its row. */
function roomAfter(index, band) {
  let room = view.width - band.left;
  faults.forEach((other, at) => {
    if (at === index || other.from === null || stormRows[at] !== stormRows[index]) return;
    const gap = view.x(axis.at(other.from)) - band.left;
    if (gap > 0) room = Math.min(room, gap);
  });
  return room;
}

function gutter(canvas, y, height) {
  canvas.fillStyle = colours.panel;
  canvas.fillRect(0, y, GUTTER, height);
  canvas.fillStyle = colours.line;
  canvas.fillRect(GUTTER - 1, y, 1, height);
}

function drawLanes() {
  const room = $("scroller").clientHeight;
  layOut(room);
  const { canvas, width, height } = prepared("lanes", Math.max(room, Math.ceil(layout.height)));
  view.width = width;
  drawGrounds(canvas, width);
  drawBreaks(canvas, height);
  drawCursor(canvas, height);
  drawSpans(canvas);
  drawMessages(canvas);
  const drawn = drawMarks(canvas);
  drawGutter(canvas, height);
  $("lanes").setAttribute("aria-label", `Timeline from ${seconds(axis.time(view.from))} to ${seconds(axis.time(view.to))} s: ${drawn} events`);
}

function drawGrounds(canvas, width) {
  layout.lanes.forEach((lane) => {
    if (!lane) return;
    canvas.fillStyle = colours.line;
    canvas.fillRect(GUTTER, Math.round(lane.y + lane.height) - 1, width, 1);
    canvas.globalAlpha = 0.75;
    canvas.fillRect(GUTTER, Math.round(lane.base), width, 1);
    canvas.globalAlpha = 1;
  });
  for (const fault of faults) {
    if (fault.from === null || fault.to === fault.from) continue;
    const band = inView(axis.at(fault.from), axis.at(fault.to));
    if (!band) continue;
    for (const index of fault.lanes) {
      const lane = layout.lanes[index];
      if (!lane) continue;
      canvas.fillStyle = colours["fault-band"];
      canvas.fillRect(band.left, lane.y, band.width, lane.height - 1);
      canvas.fillStyle = colours.fault;
      canvas.fillRect(band.left, lane.y, 1, lane.height - 1);
      canvas.fillRect(band.left, lane.y, band.width, 1.5);
    }
  }
  for (const outage of outages) {
    const lane = layout.lanes[outage.lane];
    const band = lane && inView(axis.places[outage.event], axis.at(outage.to));
    if (!band) continue;
    const shade = colours[outage.how];
    canvas.fillStyle = shade;
    canvas.fillRect(band.left, lane.y, band.width, lane.height - 1);
    if (outage.how === "down") hatch(canvas, band.left, lane.y, band.width, lane.height - 1, shade, 6);
    canvas.fillStyle = colours.dim;
    const text = fitted(canvas, `${outage.how}: ${outage.why}`, band.width - 10);
    canvas.fillText(text, band.left + 5, lane.y + lane.height - 8);
  }
}

/** Where time is left out: a seam across the lanes, and how much, where there is room for it. */
function drawBreaks(canvas, height) {
  canvas.textAlign = "center";
  for (const { from, to, ns } of axis.breaks) {
    const band = inView(from, to);
    const middle = (view.x(from) + view.x(to)) / 2;
    const text = duration(ns);
    const width = textWidth(canvas, text);
    if (!band || middle < GUTTER || band.width < Math.max(22, width * 0.8)) continue;
    canvas.fillStyle = colours.line;
    canvas.fillRect(Math.round(middle) - 2, 0, 1, height);
    canvas.fillRect(Math.round(middle) + 1, 0, 1, height);
    canvas.fillStyle = colours.bg;
    canvas.fillRect(middle - width / 2 - 3, 1, width + 6, 13);
    canvas.fillStyle = colours.faint;
    canvas.fillText(text, middle, 8);
  }
  canvas.textAlign = "left";
}

function drawCursor(canvas, height) {
  for (const broken of violations) {
    if (broken.event === null) continue;
    const x = view.x(axis.places[broken.event]);
    if (x < GUTTER) continue;
    canvas.fillStyle = colours.violation;
    canvas.fillRect(Math.round(x) - 1, 0, 2, height);
  }
  if (state.selected < 0) return;
  const x = view.x(axis.places[state.selected]);
  if (x < GUTTER) return;
  canvas.globalAlpha = 0.5;
  canvas.fillStyle = colours.accent;
  canvas.fillRect(Math.round(x), 0, 1, height);
  canvas.globalAlpha = 1;
}

const SPAN_COLOURS = {
  call: ["call", "call-text"],
  ask: ["ask", "ask-text"],
  work: ["work", "work-text"],
};

/** Where a span is drawn; null if it is out of view. */
function spanBox(span) {
  const lane = layout.lanes[span.lane];
  if (!lane) return null;
  const end = span.last === null ? axis.at(span.to) : axis.places[span.last];
  const band = inView(axis.places[span.first], end);
  if (!band) return null;
  const y = lane.top + Math.min(span.row, SPAN_ROWS_MAX - 1) * SPAN_PX;
  return { x: band.left, y, width: Math.max(band.width, 1), height: SPAN_PX - 2 };
}

function drawSpans(canvas) {
  for (const span of spans) {
    const box = spanBox(span);
    if (!box) continue;
    const names =
      span.outcome === "failed" ? ["bad-span", "bad-text"]
      : span.outcome === "unknown" ? ["open-span", "open-text"]
      : SPAN_COLOURS[span.kind];
    canvas.globalAlpha = filter.isShown[span.first] ? 1 : 0.25;
    canvas.fillStyle = colours[names[0]];
    canvas.fillRect(box.x, box.y, box.width, box.height);
    if (span.outcome === "unknown") hatch(canvas, box.x, box.y, box.width, box.height, colours.bg, 5);
    canvas.fillStyle = colours[names[1]];
    if (box.width > 3) canvas.fillRect(box.x, box.y, 1.5, box.height);
    if (box.width > 30) {
      const outcome = span.outcome === "ok" ? "" : `: ${span.outcome}`;
      const text = fitted(canvas, span.label + outcome, box.width - 8);
      if (span.outcome === "unknown" && text) {
        canvas.fillStyle = colours[names[0]];
        canvas.fillRect(box.x + 3, box.y, textWidth(canvas, text) + 4, box.height);
        canvas.fillStyle = colours[names[1]];
      }
      canvas.fillText(text, box.x + 5, box.y + box.height / 2 + 0.5);
    }
    canvas.globalAlpha = 1;
  }
}

/** The places of all messages: a message may cross the view and begin and end outside of it. */
const sends = events.flatMap((event, index) => (event.kind === "send" && event.message.peer !== undefined ? [index] : []));

/** The message that an event is an end of, by its beginning. */
function messageOf(index) {
  const event = events[index];
  if (event?.kind === "send") return index;
  return event?.kind === "arrival" ? event.message.other : undefined;
}

function drawMessages(canvas) {
  canvas.save();
  canvas.beginPath();
  canvas.rect(GUTTER, 0, view.width, layout.height);
  canvas.clip();
  const selected = messageOf(state.selected);
  const visible = sends.filter((index) => axis.places[index] >= view.from && axis.places[index] <= view.to).length;
  // Where there are more messages than pixels the usual ones step back, so that what befell the others stands out.
  const crowd = Math.min(1, Math.max(0.14, (0.45 * view.width) / (visible + 1)));
  for (const faint of [true, false]) {
    for (const index of sends) {
      if (index !== selected && (filter.isShown[index] === 0) === faint) drawMessage(canvas, index, { faint, crowd });
    }
  }
  if (selected !== undefined) drawMessage(canvas, selected, { strong: true });
  canvas.restore();
}

/** Marks, labels where there is room, and rings; gives how many events are shown. */
function drawMarks(canvas) {
  const first = lowerBound(view.from - 8 / view.perUnit);
  const last = lowerBound(view.to + 8 / view.perUnit);
  const concerned = concernedBy[state.violation];
  const rows = new Map();
  const latest = new Map();
  let drawn = 0;
  for (let index = first; index < last; index++) {
    const event = events[index];
    if (event.lane === undefined) {
      drawn += filter.isShown[index];
      continue;
    }
    const y = rowOf(event);
    if (y === null) continue;
    const x = view.x(axis.places[index]);
    if (x < GUTTER) continue;
    const shown = filter.isShown[index];
    drawn += shown;
    const [glyph, colour] = markOf(event);
    const row = `${event.lane} ${y}`;
    // Of many marks on one spot the first is drawn, and each that is not like it.
    const spot = `${row} ${glyph} ${colour} ${shown}`;
    const rings = shown && (concerned?.has(index) || index === state.selected);
    if (!rings && x - (latest.get(spot) ?? -9) < 1.5) continue;
    latest.set(spot, x);
    canvas.globalAlpha = shown ? 1 : 0.12;
    if (shown && concerned?.has(index)) ring(canvas, x, y, colours.violation, 1.2);
    if (index === state.selected) ring(canvas, x, y, colours.accent, 2.2);
    drawGlyph(canvas, glyph, colours[colour], x, y);
    canvas.globalAlpha = 1;
    if (!shown) continue;
    if (!rows.has(row)) rows.set(row, []);
    rows.get(row).push({ x, y, index });
  }
  rows.forEach((marks) => drawLabels(canvas, marks));
  return drawn;
}

function ring(canvas, x, y, colour, width) {
  canvas.strokeStyle = colour;
  canvas.lineWidth = width;
  canvas.beginPath();
  canvas.arc(x, y, 7, 0, 7);
  canvas.stroke();
}

/** Words beside marks, as far as the next mark of the row. */
function drawLabels(canvas, marks) {
  marks.forEach(({ x, y, index }, place) => {
    const event = events[index];
    if (event.kind === "arrival" || event.kind === "connection") return;
    const room = (marks[place + 1]?.x ?? view.width + 200) - x - 18;
    if (room < 26) return;
    const text = fitted(canvas, event.label, Math.min(room, 320));
    if (!text) return;
    const width = textWidth(canvas, text);
    canvas.globalAlpha = 0.82;
    canvas.fillStyle = colours.bg;
    canvas.fillRect(x + 8, y - 6, width + 3, 12);
    canvas.globalAlpha = 1;
    canvas.fillStyle = event.tone ? colours[event.tone] : event.kind === "send" || event.kind === "log" ? colours.dim : colours.text;
    canvas.fillText(text, x + 9, y + 0.5);
  });
}

function drawGutter(canvas, height) {
  gutter(canvas, 0, height);
  const own = new Set();
  for (const index of concernedBy[state.violation] ?? []) own.add(events[index].lane);
  lanes.forEach((lane, index) => {
    const place = layout.lanes[index];
    if (!place) return;
    canvas.fillStyle = colours.line;
    canvas.fillRect(0, Math.round(place.y + place.height) - 1, GUTTER, 1);
    if (own.has(index)) {
      canvas.fillStyle = colours.violation;
      canvas.fillRect(0, place.y, 3, place.height - 1);
    }
    canvas.font = `${lane.client ? "" : "600 "}12px ${colours.sans}`;
    canvas.fillStyle = lane.client ? colours.dim : colours.text;
    canvas.fillText(fitted(canvas, lane.name, GUTTER - 18), 10, place.y + place.height / 2);
  });
  canvas.font = `11px ${colours.sans}`;
}

/** The first event whose place is not before this one. Places within one instant may step back from lane to lane. */
function lowerBound(place) {
  const index = lastNotAbove(axis.starts, place);
  const time = axis.times[Math.max(index, 0)];
  const beyond = index >= 0 && place > axis.ends[index];
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle].at < time || (beyond && events[middle].at === time)) low = middle + 1;
    else high = middle;
  }
  return low;
}
