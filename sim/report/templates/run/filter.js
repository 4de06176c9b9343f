// Which events are shown. The others stay in the picture, faintly, and leave the list.

const haystacks = new Array(events.length);

/** All text of an event, in lower case, made when it is first searched. */
function haystack(index) {
  if (haystacks[index] === undefined) {
    const { text, label, op, saga, trace, request, fields, message, rows } = events[index];
    const parts = [laneName(events[index]), text, label, op, saga, trace, request, fields, message?.bytes];
    for (const row of rows ?? []) parts.push(`${row.table}/${row.key}`, row.value);
    haystacks[index] = parts.filter(Boolean).join("\n").toLowerCase();
  }
  return haystacks[index];
}

const filter = {
  /** The places of the events that are shown, in order. */
  shown: [],
  isShown: new Uint8Array(events.length),

  isOn() {
    return Boolean(
      state.saga || state.text || state.concerned || state.hiddenNodes.size || state.hiddenKinds.size,
    );
  },

  apply() {
    const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
    const members = state.saga && sagaMembers.get(state.saga);
    const concerned = state.concerned && concernedBy[state.violation];
    this.shown = [];
    events.forEach((event, index) => {
      const ofRun = event.lane === undefined;
      const shown =
        (ofRun || !state.hiddenNodes.has(event.lane)) &&
        !kindsOf(event).every((kind) => state.hiddenKinds.has(kind)) &&
        (!members || members.has(index) || (event.kind === "violation" && mentionsSaga(event))) &&
        (!concerned || concerned.has(index) || violations[state.violation].event === index) &&
        words.every((word) => haystack(index).includes(word));
      this.isShown[index] = shown ? 1 : 0;
      if (shown) this.shown.push(index);
    });
  },

  /** The place within `shown` of the last event that is not after `index`. */
  rank(index) {
    return lastNotAbove(this.shown, index);
  },
};

/** A violation belongs to the sagas that its entities lead to. */
function mentionsSaga(event) {
  const index = events.indexOf(event);
  return violations.some((broken) => broken.event === index && broken.sagas.includes(state.saga));
}
