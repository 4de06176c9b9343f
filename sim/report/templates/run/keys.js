// Everything that can be done from the keyboard.

function step(by) {
  if (!filter.shown.length) return;
  const rank = filter.rank(state.selected);
  const onIt = filter.shown[rank] === state.selected;
  const next = by > 0 || onIt ? rank + by : rank;
  select(filter.shown[Math.min(Math.max(next, 0), filter.shown.length - 1)]);
}

/** The next message of the selected event's saga; of any saga if it has none. */
function stepMessage(by) {
  const members = sagaMembers.get(state.saga || events[state.selected]?.saga);
  let index = state.selected + by;
  for (; index >= 0 && index < events.length; index += by) {
    if (events[index].kind === "send" && filter.isShown[index] && (!members || members.has(index))) break;
  }
  if (events[index]) select(index);
}

/** To the violation; from there to the next one. */
function toViolation(index) {
  if (!violations.length) return say("Nothing was broken");
  const there = state.selected >= 0 && violations[state.violation].event === state.selected;
  lookAt(index ?? (there ? (state.violation + 1) % violations.length : state.violation));
  const { event, concerns } = violations[state.violation];
  const goal = event ?? concerns[concerns.length - 1];
  return goal === undefined ? undefined : select(goal);
}

/** From one end of a message to the other, from a request to its answer. */
function follow() {
  const event = events[state.selected];
  const message = event?.message;
  if (event?.kind === "send" && message.other !== undefined) return select(message.other);
  const answer = answerTo(messageOf(state.selected));
  if (answer !== undefined) return select(answer);
  return message?.answers === undefined ? undefined : select(message.answers);
}

const KEYS = [
  [["→", "j"], "next event", () => step(1)],
  [["←", "k"], "event before", () => step(-1)],
  [["n"], "next message of the saga", () => stepMessage(1)],
  [["p"], "message of the saga before", () => stepMessage(-1)],
  [["Enter"], "follow a message to its end, a request to its answer", follow],
  [["v"], "to the violation, then to the next one", () => toViolation()],
  [["c"], "only what names the violation's entities", () => $("concerned").click()],
  [["s"], "only the selected event's saga", () => filterBySaga(state.saga ? "" : events[state.selected]?.saga ?? "")],
  [["/"], "search", () => $("search").focus()],
  [["Esc"], "clear the filters", clearFilters],
  [["Home"], "first event", () => select(filter.shown[0] ?? -1)],
  [["End"], "last event", () => select(filter.shown[filter.shown.length - 1] ?? -1)],
  [["+", "="], "zoom in", () => view.zoom(0.6, focusX())],
  [["-"], "zoom out", () => view.zoom(1 / 0.6, focusX())],
  [["f"], "show everything", () => view.fit()],
  [["a"], "move left", () => view.pan(-0.3)],
  [["d"], "move right", () => view.pan(0.3)],
  [["m"], "another time scale", nextScale],
  [["h"], "hide or show the summary", () => $("fold").click()],
  [["t"], "dark or light", () => $("theme").click()],
  [["?"], "this help", () => $("help").showModal()],
];

const NAMES = { ArrowRight: "→", ArrowDown: "→", ArrowLeft: "←", ArrowUp: "←", Escape: "Esc" };

/** Zooming keeps the selected event where it is, if it is in view. */
function focusX() {
  const x = state.selected < 0 ? -1 : view.x(axis.places[state.selected]);
  return x > GUTTER && x < view.width ? x : undefined;
}

function nextScale() {
  const chooser = $("scale");
  chooser.selectedIndex = (chooser.selectedIndex + 1) % chooser.options.length;
  view.rescale(chooser.value);
}

function listenToKeys() {
  for (const [keys, text] of KEYS) {
    $("keys").append(el("dt", {}, ...keys.map((key) => el("kbd", {}, key))), el("dd", {}, text));
  }
  document.addEventListener("keydown", (press) => {
    if ($("help").open || press.ctrlKey || press.metaKey || press.altKey) return;
    const name = NAMES[press.key] ?? press.key;
    const typing = press.target.matches("input[type=search], select");
    if (typing && name !== "Esc") {
      if (name === "Enter") press.target.blur();
      return;
    }
    const pressing = press.target.matches("button, summary, input") && (name === "Enter" || name === " ");
    const found = !pressing && KEYS.find(([keys]) => keys.includes(name));
    if (!found) return;
    press.preventDefault();
    if (typing) press.target.blur();
    found[2]();
  });
}
