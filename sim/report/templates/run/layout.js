// Where lanes lie. A lane has rows: spans on top, then messages and turns of life, then commits and disk, then log lines.

const GUTTER = 96;
const SPAN_PX = 12;
const ROW_PX = 13;
/** More spans than this at once share the last row. */
const SPAN_ROWS_MAX = 4;

const layout = {
  /** By lane: `{ y, height, base, mark, log, spanRows }` in pixels; `null` if it is hidden. */
  lanes: [],
  height: 0,
};

/** What the lanes need, whatever room there is. */
const needs = lanes.map((lane, index) => {
  const own = events.filter((event) => event.lane === index);
  const rows = spans.filter((span) => span.lane === index).map((span) => span.row + 1);
  return {
    spanRows: Math.min(Math.max(0, ...rows), SPAN_ROWS_MAX),
    marks: own.some((event) => event.kind === "commit" || event.kind === "disk"),
    logs: own.some((event) => event.kind === "log" || event.kind === "saga"),
  };
});

function layOut(room) {
  const shown = lanes.map((_, index) => !state.hiddenNodes.has(index));
  const own = needs.map(
    ({ spanRows, marks, logs }) => 7 + spanRows * SPAN_PX + ROW_PX + (marks ? ROW_PX : 0) + (logs ? ROW_PX : 0),
  );
  const count = shown.filter(Boolean).length;
  const needed = own.reduce((sum, height, index) => sum + (shown[index] ? height : 0), 0);
  const spare = count ? Math.max(0, Math.min((room - needed) / count, 22)) : 0;
  let y = 0;
  layout.lanes = needs.map(({ spanRows, marks, logs }, index) => {
    if (!shown[index]) return null;
    const height = own[index] + spare;
    const top = y + 3 + spare / 3;
    const base = top + spanRows * SPAN_PX + ROW_PX / 2 + 2;
    const mark = marks ? base + ROW_PX : base;
    const lane = { y, height, top, base, mark, log: logs ? mark + ROW_PX : mark, spanRows };
    y += height;
    return lane;
  });
  layout.height = Math.max(y, 1);
}

/** The middle of the row that an event is drawn on. */
function rowOf(event) {
  const lane = layout.lanes[event.lane];
  if (!lane) return null;
  if (event.kind === "commit" || event.kind === "disk") return lane.mark;
  if (event.kind === "log" || event.kind === "saga") return lane.log;
  return lane.base;
}
