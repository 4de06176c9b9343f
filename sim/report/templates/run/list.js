// The events as a list. Only the rows in sight exist.

const ROW_EVENT_PX = 22;
const OVERSCAN = 8;

const list = {
  /** Fits the list to the filter. */
  refresh() {
    $("sizer").style.height = `${filter.shown.length * ROW_EVENT_PX}px`;
    const all = events.length.toLocaleString("en");
    const shown = filter.shown.length.toLocaleString("en");
    $("shown").textContent = filter.isOn() ? `${shown} of ${all} events` : `${all} events`;
    this.draw();
  },

  draw() {
    const box = $("list");
    const first = Math.max(0, Math.floor(box.scrollTop / ROW_EVENT_PX) - OVERSCAN);
    const count = Math.ceil(box.clientHeight / ROW_EVENT_PX) + 2 * OVERSCAN;
    const rows = filter.shown.slice(first, first + count).map((index, place) => this.row(index, first + place));
    $("sizer").replaceChildren(...rows);
    const selected = filter.isShown[state.selected] ? `event-${state.selected}` : "";
    if (selected && document.getElementById(selected)) box.setAttribute("aria-activedescendant", selected);
    else box.removeAttribute("aria-activedescendant");
  },

  row(index, place) {
    const event = events[index];
    const classes = ["row-event"];
    if (event.tone) classes.push(event.tone);
    if (event.kind === "arrival" || event.kind === "connection") classes.push("quiet");
    if (concernedBy[state.violation]?.has(index) || event.kind === "violation") classes.push("concerned");
    const row = el(
      "div",
      {
        class: classes.join(" "),
        id: `event-${index}`,
        role: "option",
        "aria-selected": String(index === state.selected),
        "aria-posinset": String(place + 1),
        "aria-setsize": String(filter.shown.length),
        title: event.text,
        onclick: () => select(index, { from: "list" }),
      },
      el("span", { class: "when" }, seconds(event.at)),
      el("span", { class: "where" }, laneName(event)),
      glyphElement(...markOf(event)),
      el("span", { class: "what" }, briefly(event)),
    );
    row.style.top = `${place * ROW_EVENT_PX}px`;
    return row;
  },

  /** Brings an event into sight. */
  reveal(index) {
    const box = $("list");
    const top = filter.rank(index) * ROW_EVENT_PX;
    if (top < box.scrollTop + ROW_EVENT_PX || top > box.scrollTop + box.clientHeight - 2 * ROW_EVENT_PX) {
      box.scrollTop = top - box.clientHeight / 2;
    }
    this.draw();
  },
};

function briefly(event) {
  if (event.kind === "send") return `→ ${event.text}`;
  if (event.kind === "arrival") return `← ${event.text}`;
  return event.text;
}

function listenToList() {
  $("list").addEventListener("scroll", () => list.draw(), { passive: true });
}
