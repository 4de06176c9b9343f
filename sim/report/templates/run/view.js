// The part of the axis that is in view, and how pointers move it.

const VIEW_MARGIN = 26;
/** No further in than this many pixels a unit. */
const PER_UNIT_MAX = 400;

let axis = new Axis(state.scale);

const view = {
  from: 0,
  to: axis.length,
  width: 800,

  get perUnit() {
    return (this.width - GUTTER - VIEW_MARGIN) / (this.to - this.from);
  },

  /** The pixel of a place. */
  x(place) {
    return GUTTER + 8 + (place - this.from) * this.perUnit;
  },

  place(x) {
    return this.from + (x - GUTTER - 8) / this.perUnit;
  },

  show(from, to) {
    const least = (this.width - GUTTER - VIEW_MARGIN) / PER_UNIT_MAX;
    const middle = (from + to) / 2;
    const wide = Math.min(Math.max(to - from, Math.min(least, axis.length)), axis.length);
    this.from = Math.min(Math.max(middle - wide / 2, 0), axis.length - wide);
    this.to = this.from + wide;
    redraw();
  },

  get whole() {
    return this.to - this.from >= axis.length * 0.999;
  },

  fit() {
    this.show(0, axis.length);
  },

  /** Zooms by a factor around a pixel, the middle if none is given. */
  zoom(factor, x = GUTTER + (this.width - GUTTER) / 2) {
    const place = this.place(x);
    this.show(place - (place - this.from) * factor, place + (this.to - place) * factor);
  },

  pan(part) {
    const by = (this.to - this.from) * part;
    this.show(this.from + by, this.to + by);
  },

  /** Brings a place into view, not quite at its edge. */
  reveal(place) {
    const wide = this.to - this.from;
    if (place < this.from + wide * 0.06 || place > this.to - wide * 0.06) this.show(place - wide / 2, place + wide / 2);
  },

  /** Another scale, with the same instants in view. */
  rescale(name) {
    const [from, to] = [axis.time(this.from), axis.time(this.to)];
    const { whole } = this;
    state.scale = name;
    axis = new Axis(name);
    if (whole) this.fit();
    else this.show(axis.at(from), axis.at(to));
    if (state.selected >= 0) this.reveal(axis.places[state.selected]);
  },
};

let pending = 0;

/** Draws everything again with the next frame. */
function redraw() {
  pending ||= requestAnimationFrame(drawNow);
}

function drawNow() {
  pending = 0;
  drawLanes();
  drawAxis();
  drawOverview();
}

/** The event at a point of the picture: a mark, else a message's line, else a span. */
function eventAt(x, y) {
  let [best, nearest] = [-1, 9];
  const [first, last] = [lowerBound(view.place(x - 60)), lowerBound(view.place(x + 60))];
  for (let index = first; index < last; index++) {
    const row = events[index].lane === undefined ? null : rowOf(events[index]);
    if (row === null || !filter.isShown[index]) continue;
    const distance = Math.hypot(view.x(axis.places[index]) - x, row - y);
    if (distance < nearest) [best, nearest] = [index, distance];
  }
  if (best >= 0) return best;
  nearest = 4;
  for (const index of sends) {
    const way = filter.isShown[index] && wayOf(index);
    const distance = way ? distanceTo(way, x, y) : Infinity;
    if (distance < nearest) [best, nearest] = [index, distance];
  }
  if (best >= 0) return best;
  const under = spans.find((span) => {
    const box = filter.isShown[span.first] && spanBox(span);
    return box && x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height;
  });
  return under ? under.first : -1;
}

function listenToPicture() {
  const picture = $("lanes");
  const point = (pointer) => [pointer.offsetX, pointer.offsetY];
  picture.addEventListener(
    "wheel",
    (wheel) => {
      wheel.preventDefault();
      const sideways = wheel.shiftKey ? wheel.deltaY || wheel.deltaX : wheel.deltaX;
      if (wheel.shiftKey || Math.abs(wheel.deltaX) > Math.abs(wheel.deltaY)) view.pan(sideways / view.width);
      else view.zoom(Math.exp(wheel.deltaY * 0.0015), wheel.offsetX);
    },
    { passive: false },
  );
  let drag = null;
  picture.addEventListener("pointerdown", (down) => {
    if (down.button !== 0) return;
    drag = { x: down.clientX, y: down.clientY, from: view.from, to: view.to, scroll: $("scroller").scrollTop, moved: false };
    picture.setPointerCapture(down.pointerId);
  });
  picture.addEventListener("pointermove", (pointer) => {
    if (!drag) return showTip(pointer, eventAt(...point(pointer)));
    const [dx, dy] = [pointer.clientX - drag.x, pointer.clientY - drag.y];
    if (!drag.moved && Math.hypot(dx, dy) < 4) return undefined;
    drag.moved = true;
    picture.classList.add("grabbing");
    $("tip").hidden = true;
    view.show(drag.from - dx / view.perUnit, drag.to - dx / view.perUnit);
    $("scroller").scrollTop = drag.scroll - dy;
    return undefined;
  });
  const drop = (pointer) => {
    if (drag && !drag.moved) {
      const found = eventAt(...point(pointer));
      if (found >= 0) select(found, { from: "picture" });
    }
    drag = null;
    picture.classList.remove("grabbing");
  };
  picture.addEventListener("pointerup", drop);
  picture.addEventListener("pointercancel", () => (drag = null));
  picture.addEventListener("pointerleave", () => ($("tip").hidden = true));
  picture.addEventListener("dblclick", (pointer) => view.zoom(0.4, pointer.offsetX));
}

function showTip(pointer, index) {
  const tip = $("tip");
  tip.hidden = index < 0;
  $("lanes").style.cursor = index < 0 ? "default" : "pointer";
  if (index < 0) return;
  const event = events[index];
  const text = event.text.length > 300 ? `${event.text.slice(0, 300)}…` : event.text;
  tip.replaceChildren(el("div", { class: "when" }, `${seconds(event.at)} s  ${laneName(event)}`), el("div", {}, briefly({ ...event, text })));
  const room = tip.parentElement.getBoundingClientRect();
  const [x, y] = [pointer.clientX - room.left, pointer.clientY - room.top];
  tip.style.left = `${Math.max(4, Math.min(x + 14, room.width - tip.offsetWidth - 6))}px`;
  tip.style.top = `${y + 18 + tip.offsetHeight > room.height ? y - tip.offsetHeight - 12 : y + 18}px`;
}
