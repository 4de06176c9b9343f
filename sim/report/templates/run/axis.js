// From virtual time to places on the axis. A place is a number of units; the view turns units into pixels.

/** Waits up to this long are drawn to scale where time is compressed; longer ones grow with their logarithm. */
const UNIT_NS = 500_000;
/** Waits from here on are marked as breaks that say how long they are. */
const BREAK_NS = 250_000_000;

/** How a scale draws the wait between two instants, and what room it gives to the events of one instant. */
const SCALES = {
  compressed: {
    wait: (ns) => Math.max(0.15, ns <= UNIT_NS ? ns / UNIT_NS : 1 + Math.log(ns / UNIT_NS)),
    room: 0.4,
    together: (event) => event.lane,
  },
  even: { wait: () => 1, room: 1, together: () => 0 },
  linear: { wait: (ns) => ns / UNIT_NS, room: 0, together: () => 0 },
};

class Axis {
  constructor(name) {
    const scale = SCALES[name];
    this.times = [];
    this.starts = [];
    this.ends = [];
    this.breaks = [];
    /** The place of each event: those of one instant and lane stand side by side. */
    this.places = new Float64Array(events.length);
    let place = 0;
    this.instant(0, 0, 0);
    for (let first = 0; first < events.length; ) {
      const at = events[first].at;
      const last = this.times.length - 1;
      if (at > this.times[last]) place = this.ends[last] + this.wait(scale, name, at);
      const ranks = new Map();
      let next = first;
      for (; next < events.length && events[next].at === at; next++) {
        const group = scale.together(events[next]);
        const rank = ranks.get(group) ?? 0;
        ranks.set(group, rank + 1);
        this.places[next] = place + rank * scale.room;
      }
      const room = (Math.max(...ranks.values()) - 1) * scale.room;
      this.instant(at, place, place + room);
      first = next;
    }
    const last = this.times.length - 1;
    if (ended > this.times[last]) {
      const end = this.ends[last] + this.wait(scale, name, ended);
      this.instant(ended, end, end);
    }
    this.length = Math.max(this.ends[this.ends.length - 1], 1);
  }

  instant(at, start, end) {
    const last = this.times.length - 1;
    if (this.times[last] === at) {
      this.ends[last] = Math.max(this.ends[last], end);
      return;
    }
    this.times.push(at);
    this.starts.push(start);
    this.ends.push(end);
  }

  wait(scale, name, at) {
    const last = this.times.length - 1;
    const ns = at - this.times[last];
    const width = scale.wait(ns);
    if (name !== "linear" && ns >= BREAK_NS) {
      this.breaks.push({ from: this.ends[last], to: this.ends[last] + width, ns });
    }
    return width;
  }

  /** The place of an instant. */
  at(time) {
    const index = lastNotAbove(this.times, time);
    if (index < 0) return 0;
    if (this.times[index] === time || index + 1 === this.times.length) return this.starts[index];
    const part = (time - this.times[index]) / (this.times[index + 1] - this.times[index]);
    return this.ends[index] + part * (this.starts[index + 1] - this.ends[index]);
  }

  /** The instant of a place. */
  time(place) {
    const index = lastNotAbove(this.starts, place);
    if (index < 0) return 0;
    if (place <= this.ends[index] || index + 1 === this.times.length) return this.times[index];
    const part = (place - this.ends[index]) / (this.starts[index + 1] - this.ends[index]);
    return this.times[index] + part * (this.times[index + 1] - this.times[index]);
  }

  /** Round instants for labels, no two nearer than `apart` units. */
  ticks(from, to, apart) {
    const steps = [];
    for (let step = 1e12; step >= 1e3; step /= 10) steps.push(step, step / 2, step / 5);
    const found = [];
    const fill = (a, b, level) => {
      if (this.at(b) - this.at(a) < apart || level >= steps.length) return;
      const step = steps[level];
      let left = a;
      if ((b - a) / step <= 64) {
        for (let tick = Math.ceil(a / step) * step; tick < b; tick += step) {
          const clear = this.at(tick) - this.at(left) >= apart && this.at(b) - this.at(tick) >= apart;
          if (tick <= a || !clear) continue;
          found.push(tick);
          fill(left, tick, level + 1);
          left = tick;
        }
      }
      fill(left, b, level + 1);
    };
    fill(this.time(from), this.time(to), 0);
    return found.sort((a, b) => a - b);
  }
}

/** The last index whose value is not above `value`, or -1. */
function lastNotAbove(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
