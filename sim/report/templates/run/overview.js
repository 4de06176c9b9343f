// The whole run in one strip: how much happens when, the storm, outages, violations, and the part that is in view.

function drawOverview() {
  const { canvas, width, height } = prepared("overview");
  const room = width - GUTTER - VIEW_MARGIN;
  const x = (place) => GUTTER + (place / axis.length) * room;
  const columns = new Uint32Array(Math.max(1, Math.ceil(room / 3)) + 1);
  const kept = new Uint32Array(columns.length);
  axis.places.forEach((place, index) => {
    const column = Math.floor((place / axis.length) * (columns.length - 1));
    columns[column]++;
    kept[column] += filter.isShown[index];
  });
  const most = Math.log1p(Math.max(...columns));
  const bars = (counts, colour) => {
    canvas.fillStyle = colour;
    counts.forEach((count, column) => {
      const tall = (Math.log1p(count) / most) * (height - 14);
      canvas.fillRect(GUTTER + column * 3, height - 3 - tall, 2, tall);
    });
  };
  bars(columns, colours.line);
  bars(kept, colours.answer);
  canvas.fillStyle = colours.fault;
  for (const fault of faults) {
    if (fault.from === null) continue;
    canvas.fillRect(x(axis.at(fault.from)), 3, Math.max(2, x(axis.at(fault.to)) - x(axis.at(fault.from))), 2.5);
  }
  canvas.fillStyle = colours.alarm;
  for (const outage of outages) {
    canvas.fillRect(x(axis.at(outage.from)), 7, Math.max(2, x(axis.at(outage.to)) - x(axis.at(outage.from))), 1.5);
  }
  for (const broken of violations) {
    if (broken.event === null) continue;
    canvas.fillStyle = colours.violation;
    canvas.fillRect(x(axis.places[broken.event]) - 1, 0, 2, height);
  }
  if (state.selected >= 0) {
    canvas.fillStyle = colours.accent;
    canvas.fillRect(x(axis.places[state.selected]), 0, 1.5, height);
  }
  const [left, right] = [x(Math.max(view.from, 0)), x(Math.min(view.to, axis.length))];
  canvas.fillStyle = colours.bg;
  canvas.globalAlpha = 0.62;
  canvas.fillRect(GUTTER, 0, left - GUTTER, height);
  canvas.fillRect(right, 0, width - right, height);
  canvas.globalAlpha = 1;
  canvas.strokeStyle = colours.accent;
  canvas.lineWidth = 1;
  canvas.strokeRect(left + 0.5, 0.5, Math.max(right - left - 1, 2), height - 1);
  gutter(canvas, 0, height);
  canvas.fillStyle = colours.faint;
  canvas.fillText("whole run", 10, height / 2);
}

/** Dragging over the strip chooses what is in view; a click moves there. */
function listenToOverview() {
  const strip = $("overview");
  const place = (pointer) => {
    const { left, width } = strip.getBoundingClientRect();
    return ((pointer.clientX - left - GUTTER) / (width - GUTTER - VIEW_MARGIN)) * axis.length;
  };
  strip.addEventListener("pointerdown", (down) => {
    const began = place(down);
    const inside = began > view.from && began < view.to && view.to - view.from < axis.length * 0.98;
    const grip = began - view.from;
    const wide = view.to - view.from;
    strip.setPointerCapture(down.pointerId);
    const move = (pointer) => {
      const now = place(pointer);
      if (inside) view.show(now - grip, now - grip + wide);
      else if (Math.abs(pointer.clientX - down.clientX) > 4) view.show(Math.min(began, now), Math.max(began, now));
    };
    const up = (pointer) => {
      strip.removeEventListener("pointermove", move);
      if (!inside && Math.abs(pointer.clientX - down.clientX) <= 4) view.show(began - wide / 2, began + wide / 2);
    };
    strip.addEventListener("pointermove", move);
    strip.addEventListener("pointerup", up, { once: true });
  });
}
