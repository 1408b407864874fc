/*
 * Charts of lines: curves with bands, and points with bars over an axis of values.
 *
 * A band has edges in its line's colour and dash, and a hatching of its own direction, so that overlapping bands stay distinct; what the legend
 * points at stands out and the rest steps back. Nothing is drawn where nothing can be: a band ends at the limits of its quantity, a logarithmic axis at the least that was measured.
 * "never" is a value above all others: it has a lane of its own at the top.
 *
 * Drag to zoom, with shift to move; double click for all of it. One finger scrolls the page over a chart, two fingers zoom it; with the focus on it
 * plus, minus, arrows and 0 do. Arrows read the chart where all of it is seen.
 */
import { dashOf, markersNeeded, seriesStyle } from "./colours.js";
import { number } from "./dom.js";
import { endsMarks, endsRoom } from "./ends.js";
import { Figure, Legend, valueText } from "./figure.js";
import { extentOf, linearScale, logScale, percentText, placeScale, tickText } from "./scales.js";
import { areaBetween, inside, line, marker, pathThrough, path, rect, textFit, within, words } from "./scene.js";

/** What is left of the data, right of it, above and below, in pixels; the same for all, so that charts one below the other have one axis. */
export const MARGIN = { left: 62, right: 14, top: 8, bottom: 36 };
const NEVER_LANE = 22, // px, of "never"
  BAND = 0.09,
  FAINT = 0.15,
  MARKS = 9, // markers along a line, about
  HATCH = 7, // px between the lines of a hatching
  HATCHED = 8, // bands at most, of which each has a hatching of its own
  REACH = 24, // px around the pointer in which a series is read
  DRAGGED = 4; // px after which a press is a drag

/** What a key does to the window [low, high] within [first, last]; null: all of it; undefined: it is none of ours. */
function keyWindow(key, [low, high], [first, last]) {
  const width = high - low,
    moves = { "+": [0.25, -0.25], "=": [0.25, -0.25], "-": [-0.5, 0.5], ArrowLeft: [-0.2, -0.2], ArrowRight: [0.2, 0.2] };
  if (key === "0") return null;
  if (!moves[key]) return undefined;
  let [a, b] = [low + moves[key][0] * width, high + moves[key][1] * width];
  if (b - a >= last - first) return null;
  if (a < first) [a, b] = [first, first + b - a];
  if (b > last) [a, b] = [last - (b - a), last];
  return [a, b];
}

const isNumber = (v) => typeof v === "number" && Number.isFinite(v);

/* How the lines of each band's hatching run, as (across, down); the first band has none. */
const HATCHINGS = [null, [1, 1], [1, -1], [0, 1], [1, 0], [1, 2], [2, -1], [2, 1]];

/** Lines in one direction over an area. */
function hatching([left, top, wide, high], [across, down]) {
  const length = wide + high,
    norm = Math.hypot(across, down),
    steps = Math.ceil((2 * length) / HATCH);
  let d = "";
  for (let i = -steps; i <= steps; i++) {
    const x = left + wide / 2 - (down / norm) * i * HATCH,
      y = top + high / 2 + (across / norm) * i * HATCH;
    d += `M${(x - (across / norm) * length).toFixed(1)} ${(y - (down / norm) * length).toFixed(1)}L${(x + (across / norm) * length).toFixed(1)} ${(y + (down / norm) * length).toFixed(1)}`;
  }
  return d;
}

/** The index of the x nearest to `at` at which the series has a value; -1. */
function nearest({ x, y }, at, distance) {
  let best = -1,
    least = Infinity;
  for (let i = 0; i < x.length; i++) {
    const d = distance(x[i], at);
    if (d < least && y[i] !== null && y[i] !== undefined && !Number.isNaN(y[i])) [best, least] = [i, d];
  }
  return best;
}

class Chart extends Figure {
  constructor(title, settings) {
    const legend = settings.legend ?? new Legend([], { changed: (hidden) => settings.hidden?.(hidden), lit: (key) => this.light(key) });
    super(title, { ...settings, legend, own: !settings.legend });
    Object.assign(this, { settings, series: [], more: {}, lit: null, windowNow: null, at: null, drag: null, touches: new Map() });
    if (!settings.legend) legend.changed = (hidden) => (settings.hidden?.(hidden), this.draw());
    this.place.classList.add("zoomable");
    this.listen();
  }

  /* ---- data ---- */

  /**
   * Draws `series`, each {name, x, y, low, high, n (all lists), style, key (of the legend; the name), thin, gaps (null breaks the line), mute (not in
   * the legend)}; `more` are settings that change: {log, y, family (all series of charts that have one y axis while nothing is zoomed)}.
   */
  set(series, more = {}) {
    this.series = series.map((s, i) => ({ key: s.name, style: seriesStyle(i), ...s }));
    this.more = { ...this.more, ...more };
    const named = this.series.filter((s) => !s.mute),
      marked = markersNeeded(named.map((s) => s.style));
    named.forEach((s, i) => Object.assign(s, { marked: marked[i] }));
    this.integers = named.every((s) => s.x.every(Number.isInteger)); // no half iterations
    this.ready = this.series.some(({ x }) => x.length > 0);
    if (!this.settings.legend) this.legend.set(this.series.filter((s) => !s.mute));
    this.say(this.spoken());
    this.draw();
    this.roomed?.();
  }
  spoken() {
    const { x } = this.settings,
      named = this.series.filter((s) => !s.mute && s.x.length),
      last = named.length ? named[0].x.at(-1) : 0,
      said = named.slice(0, 12).map((s) => `${s.name} ${typeof s.y.at(-1) === "string" ? s.y.at(-1) : number(s.y.at(-1), 4)}`),
      hint = this.settings.fixed ? "Arrows read single values." : "Plus and minus zoom, arrows pan or read values, 0 shows everything.";
    return `${this.title}: at ${x} ${isNumber(last) ? number(last, 6) : last}, ${said.join(", ")}${named.length > 12 ? ` and ${named.length - 12} more` : ""}. ${hint}`;
  }
  seen() {
    return this.series.filter(({ key }) => !this.legend.hidden.has(key));
  }
  light(key) {
    this.lit = key;
    this.draw();
  }

  /* ---- layout ---- */

  extremes() {
    return extentOf(this.series.map((s) => s.x), this.settings.places === "log") ?? [0, 1];
  }
  xScale(span) {
    const { places } = this.settings;
    if (Array.isArray(places)) return placeScale(places, span);
    const [low, high] = this.windowNow ?? this.extremes();
    if (places === "log") return logScale([low / 1.15, high * 1.15], span);
    const pad = this.settings.points ? 0.06 * (high - low || 1) : 0;
    return linearScale([low - pad, high + pad], span);
  }
  yScale(span) {
    const { limits, percent } = this.settings,
      text = percent ? percentText : tickText,
      log = this.more.log ?? this.settings.log ?? false,
      [from, to] = this.windowNow ?? [-Infinity, Infinity],
      inside = (s, list) => (this.windowNow ? (list ?? []).filter((_, i) => s.x[i] >= from && s.x[i] <= to) : list);
    const seen = (this.windowNow ? null : this.more.family?.filter(({ key }) => !this.legend.hidden.has(key))) ?? this.seen(),
      found = extentOf(seen.flatMap((s) => [inside(s, s.y), inside(s, s.low), inside(s, s.high)]), log);
    if (!found) return linearScale(limits ?? [0, 1], span, text);
    let [low, high] = found;
    if (log) return logScale([low, high * 1.04], span, text);
    if (limits && percent) return linearScale(limits, span, text);
    const pad = 0.05 * (high - low || Math.abs(high) || 1);
    [low, high] = [low >= 0 && low < 0.4 * high ? 0 : low - pad, high + pad];
    if (limits) [low, high] = [Math.max(limits[0], low), Math.min(limits[1], high)];
    return linearScale([low, high], span, text);
  }
  named() {
    return this.seen().filter((s) => !s.mute && s.x.length);
  }
  /** Pixels that the names at the ends of this chart's lines want right of the data. */
  roomWanted(width = this.place.clientWidth, height = this.place.clientHeight) {
    const names = this.settings.ends ? this.named().map(({ name }) => name) : [];
    return endsRoom(names, width, height - MARGIN.top - MARGIN.bottom);
  }
  layout(width, height) {
    const { left, top, bottom } = MARGIN,
      room = Math.max(this.roomWanted(width, height), this.roomBeside?.() ?? 0),
      right = Math.max(MARGIN.right, room),
      area = [left, top, width - left - right, height - top - bottom],
      never = this.seen().some((s) => s.y.includes("never") || s.high?.includes("never")),
      lane = never ? NEVER_LANE : 0,
      ys = this.yScale([top + area[3], top + lane + 3]),
      high = (v) => (v === "never" ? top + lane / 2 : ys.to(v));
    this.now = { area, room, lane, xs: this.xScale([left, left + area[2]]), ys, y: high };
    return this.now;
  }

  /* ---- drawing ---- */

  marks(width, height, theme) {
    const { area } = this.layout(width, height),
      data = [...this.seen()].sort((a, b) => (a.thin ? 0 : 1) - (b.thin ? 0 : 1));
    return [
      ...(this.settings.under?.(this.now, theme) ?? []),
      ...this.axesMarks(width, height, theme),
      within([area[0] - 6, area[1] - 6, area[2] + 12, area[3] + 7], [
        ...data.filter((s) => s.low && s.high).flatMap((s, i, all) => this.bandMarks(s, theme, all.length <= HATCHED ? HATCHINGS[i] : null)),
        ...data.flatMap((s) => this.lineMarks(s, theme)),
      ]),
      ...this.endMarks(width, height, theme),
    ];
  }
  /** The names at the ends of the lines, as far as they are seen: of a line that ends before the window there is none. */
  endMarks(width, height, theme) {
    const { area, room, xs, y, ys } = this.now;
    if (!this.roomWanted(width, height)) return [];
    const ends = this.named().flatMap((s) => {
      const last = s.x.findLastIndex((x, i) => xs.to(x) <= area[0] + area[2] + 0.5 && (isNumber(s.y[i]) || s.y[i] === "never")),
        at = last < 0 ? NaN : y(ys.log && s.y[last] !== "never" ? Math.max(ys.domain[0], s.y[last]) : s.y[last]);
      if (!Number.isFinite(at) || xs.to(s.x[last]) < area[0]) return [];
      const height = Math.min(area[1] + area[3], Math.max(area[1], at));
      return [{ name: s.name, style: s.style, x: xs.to(s.x[last]), y: height, opacity: this.faint(s) }];
    });
    return endsMarks(ends, area, room, theme);
  }
  axesMarks(width, height, theme) {
    const { area, xs, ys, lane } = this.now,
      [left, top, wide, high] = area,
      base = top + high,
      { x } = this.settings,
      y = this.more.y ?? this.settings.y,
      rows = ys.ticks(Math.max(2, Math.floor((high - lane) / 34))),
      room = Array.isArray(xs.values) ? xs.step - 6 : Infinity;
    const { ticks } = this.settings,
      round = xs.ticks(Math.max(2, Math.floor(wide / 72))),
      across = ticks && wide / ticks.length > 30 ? ticks : this.integers && !xs.values ? round.filter(Number.isInteger) : round,
      every = Array.isArray(xs.values) ? Math.ceil(34 / xs.step) : 1;
    return [
      ...rows.map((v) => line(left, ys.to(v), left + wide, ys.to(v), { stroke: theme.grid })),
      ...(lane ? [line(left, top + lane, left + wide, top + lane, { stroke: theme.line, dash: [3, 3] }), words(left - 6, top + lane / 2, "never", { fill: theme.muted, anchor: "end" })] : []),
      line(left, base, left + wide, base, { stroke: theme.line }),
      ...rows.map((v) => words(left - 6, ys.to(v), ys.text(v), { fill: theme.muted, anchor: "end", name: "tick-y" })),
      ...across.flatMap((v, i) => {
        const at = xs.to(v);
        if (i % every || at < left - 1 || at > left + wide + 1) return [];
        return [line(at, base, at, base + 4, { stroke: theme.line }), words(at, base + 12, textFit(xs.text(v), Math.max(24, every * room)), { fill: theme.muted, anchor: "middle", name: "tick-x" })];
      }),
      words(left + wide / 2, height - 8, x, { fill: theme.muted, anchor: "middle" }),
      ...(y ? [words(9, top + high / 2, textFit(y, high), { fill: theme.muted, anchor: "middle", turn: -90 })] : []),
    ];
  }
  faint(s) {
    return this.lit !== null && this.lit !== s.key ? FAINT : 1;
  }
  clipped(list) {
    const { limits } = this.settings,
      { ys, y } = this.now;
    return list.map((v) => {
      if (v === "never") return y(v);
      if (!isNumber(v)) return NaN;
      const [low, high] = limits ?? [-Infinity, Infinity];
      return y(Math.min(high, Math.max(low, ys.log ? Math.max(ys.domain[0], v) : v)));
    });
  }
  bandMarks(s, theme, lines) {
    if (this.settings.points) return [];
    const xs = s.x.map(this.now.xs.to),
      low = this.clipped(s.low),
      high = this.clipped(s.high),
      stroke = theme.of(s.style),
      opacity = this.faint(s),
      edge = { stroke, width: 1, dash: dashOf(s.style), opacity: 0.6 * opacity, name: "edge" },
      area = areaBetween(xs, low, high);
    const hatch = lines && area ? [inside(area, [path(hatching(this.now.area, lines), { stroke, width: 0.8, opacity: 0.3 * opacity })])] : [];
    return [path(area, { fill: stroke, fillOpacity: BAND * opacity, name: "band" }), ...hatch, path(pathThrough(xs, low), edge), path(pathThrough(xs, high), edge)];
  }
  lineMarks(s, theme) {
    const { xs, y } = this.now,
      keep = s.gaps ? null : s.y.map((v) => v !== null && v !== undefined && !Number.isNaN(v)),
      of = (list) => (keep ? list.filter((_, i) => keep[i]) : list),
      stroke = theme.of(s.style),
      xAt = of(s.x).map(xs.to),
      yAt = of(s.y).map((v) => (v === "never" ? y(v) : isNumber(v) ? this.now.ys.to(v) : NaN)),
      opacity = this.faint(s) * (s.thin ? 0.5 : 1);
    if (this.settings.points) this.aside(s, xAt);
    const drawn = this.settings.scatter ? [] : [path(pathThrough(xAt, yAt), { stroke, width: s.thin ? 0.8 : 1.8, dash: dashOf(s.style), opacity, name: s.thin ? "thin" : "line" })];
    if (s.marked && !this.settings.points) {
      const every = Math.ceil(xAt.length / MARKS);
      xAt.forEach((x, i) => i % every === every >> 1 && Number.isFinite(yAt[i]) && drawn.push(marker(x, yAt[i], s.style.marker ?? 0, 3.6, { fill: stroke, opacity })));
    }
    if (xAt.length === 1 || this.settings.points) drawn.push(...this.pointMarks(s, of, xAt, yAt, { stroke, opacity }));
    return drawn;
  }
  /** Moves a series a little aside, so that bars do not lie on each other. */
  aside(s, xAt) {
    const all = this.seen().filter((one) => !one.thin),
      by = s.low ? (all.indexOf(s) - (all.length - 1) / 2) * Math.min(5, 26 / Math.max(1, all.length)) : 0;
    for (let i = 0; i < xAt.length; i++) xAt[i] += by;
  }
  pointMarks(s, of, xAt, yAt, { stroke, opacity }) {
    const [low, high] = [s.low, s.high].map((list) => (list ? this.clipped(of(list)) : null));
    return xAt.flatMap((at, i) => {
      const bar = low && Number.isFinite(low[i]) && Number.isFinite(high[i]),
        look = { stroke, width: 1.4, opacity };
      return [
        ...(bar ? [line(at, low[i], at, high[i], look), line(at - 3, low[i], at + 3, low[i], look), line(at - 3, high[i], at + 3, high[i], look)] : []),
        ...(Number.isFinite(yAt[i]) ? [marker(at, yAt[i], s.style.marker ?? s.style.dash ?? 0, 3.6, { fill: stroke, opacity })] : []),
      ];
    });
  }

  /* ---- what is pointed at ---- */

  point(px, py) {
    if (!this.ready || !this.now) return;
    const { area, xs } = this.now;
    if (px < area[0] - 8 || px > area[0] + area[2] + 8) {
      this.leave();
      return;
    }
    const distance = (v, at) => Math.abs(xs.to(v) - at),
      named = this.seen().filter((s) => !s.mute && s.x.length),
      found = named.map((s) => [s, nearest(s, px, distance)]).filter(([, i]) => i >= 0);
    if (!found.length) return;
    const closest = Math.min(...found.map(([s, i]) => distance(s.x[i], px))),
      [first, k] = found.find(([s, i]) => distance(s.x[i], px) === closest),
      at = first.x[k],
      near = found.filter(([s, i]) => distance(s.x[i], xs.to(at)) <= REACH);
    this.show(at, near, this.thinNear(px, py));
  }
  /** The seed's line next to the pointer. */
  thinNear(px, py) {
    const { xs, ys } = this.now;
    let best = null,
      least = 8;
    for (const s of this.seen().filter((one) => one.thin && one.mute)) {
      const i = nearest(s, px, (v, at) => Math.abs(xs.to(v) - at)),
        d = i < 0 ? Infinity : Math.abs(ys.to(s.y[i]) - py);
      if (d < least && Math.abs(xs.to(s.x[i]) - px) < REACH) [best, least] = [[s, i], d];
    }
    return best;
  }
  show(at, near, thin) {
    const write = (v) => (v === "never" ? v : this.settings.percent ? percentText(v) : number(v, this.series.some((s) => s.low) ? 3 : 4)),
      text = `${this.settings.x} ${isNumber(at) ? number(at, 6) : at}`,
      values = new Map(near.map(([s, i]) => [s.key, valueText({ y: s.y[i], low: s.low?.[i], high: s.high?.[i], n: s.n?.[i] }, write)]));
    this.at = { at, near, thin };
    this.legend.show(text, values);
    if (!this.led) this.pointed?.(at);
    if (thin) this.reading.textContent = `${thin[0].name}: ${write(thin[0].y[thin[1]])} at ${this.settings.x} ${number(thin[0].x[thin[1]], 6)}`;
    else this.reading.textContent = "";
    this.overDraw();
  }
  /** Reads what another chart of the same x is pointed at; null: nothing any more. */
  follow(at) {
    this.led = true; // and leads no other
    if (at === null) this.leave();
    else if (this.ready && this.now) this.point(this.now.xs.to(at), -1e9);
    this.led = false;
  }
  leave() {
    if (!this.at) return;
    this.at = null;
    if (!this.led) this.pointed?.(null);
    this.legend.show(null, null);
    this.reading.textContent = "";
    this.overDraw();
  }
  over(theme) {
    if (!this.now) return [];
    const { area, xs, y } = this.now,
      [left, top, wide, high] = area,
      marks = [];
    if (this.drag?.to !== undefined) {
      const [a, b] = [this.drag.from, this.drag.to].map((v) => Math.min(left + wide, Math.max(left, v)));
      marks.push(rect(Math.min(a, b), top, Math.abs(b - a), high, { fill: theme.accent, fillOpacity: 0.15 }));
    }
    if (!this.at) return marks;
    const guide = xs.to(this.at.at);
    marks.push(line(guide, top, guide, top + high, { stroke: theme.muted, dash: [2, 2], opacity: 0.8 }));
    const dots = [...this.at.near, ...(this.at.thin ? [this.at.thin] : [])];
    for (const [s, i] of dots) marks.push(marker(xs.to(s.x[i]), y(s.y[i]), 0, 3.4, { fill: theme.of(s.style), stroke: theme.sheet }));
    if (this.at.thin) {
      const [s] = this.at.thin;
      marks.push(within(area, [path(pathThrough(s.x.map(xs.to), s.y.map(y)), { stroke: theme.of(s.style), width: 1.6 })]));
    }
    return marks;
  }

  /* ---- window ---- */

  window(window) {
    this.windowNow = window;
    this.leave();
    this.drawNow();
  }
  zoomTo(window) {
    this.window(window);
    this.settings.zoomed?.(window);
  }
  listen() {
    if (this.settings.fixed) return;
    const { place } = this;
    place.addEventListener("pointerdown", (event) => this.down(event));
    place.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) place.addEventListener(end, (event) => this.up(event, end === "pointercancel"));
    place.addEventListener("dblclick", () => this.zoomTo(null));
  }
  xOf(event) {
    return event.clientX - this.place.getBoundingClientRect().left;
  }
  down(event) {
    if (!this.now || (event.pointerType !== "touch" && event.button !== 0)) return;
    if (event.pointerType === "touch") {
      this.touches.set(event.pointerId, this.xOf(event));
      const { xs } = this.now;
      this.pinch = this.touches.size === 2 ? [...this.touches].map(([id, x]) => [id, xs.from(x)]) : null;
      return;
    }
    this.place.setPointerCapture(event.pointerId);
    this.drag = { from: this.xOf(event), pan: event.shiftKey, window: this.now.xs.domain };
  }
  move(event) {
    if (event.pointerType === "touch") {
      if (!this.touches.has(event.pointerId)) return;
      this.touches.set(event.pointerId, this.xOf(event));
      if (this.pinch && this.touches.size === 2) this.pinched();
      return;
    }
    if (!this.drag) return;
    const x = this.xOf(event);
    if (Math.abs(x - this.drag.from) < DRAGGED && this.drag.to === undefined) return;
    if (this.drag.pan) {
      const { area } = this.now,
        [low, high] = this.drag.window,
        shift = ((this.drag.from - x) / area[2]) * (high - low),
        [first, last] = this.extremes(),
        inside = Math.min(last - high, Math.max(first - low, shift));
      this.zoomTo([low + inside, high + inside]);
    } else {
      this.drag.to = x;
      this.leave();
      this.overDraw();
    }
  }
  up(event, cancelled) {
    if (event.pointerType === "touch") {
      this.touches.delete(event.pointerId);
      this.pinch = null;
      return;
    }
    const { drag } = this;
    this.drag = null;
    if (!drag || drag.pan || drag.to === undefined) return;
    const [a, b] = [drag.from, drag.to].map(this.now.xs.from).sort((p, q) => p - q),
      [first, last] = this.extremes(),
      window = [Math.max(first, a), Math.min(last, b)];
    if (!cancelled && window[1] > window[0]) this.zoomTo(window);
    else this.overDraw();
  }
  /** The window in which what was under the two fingers still is. */
  pinched() {
    const { area } = this.now,
      [[p, a], [q, b]] = this.pinch,
      [x, y] = [this.touches.get(p), this.touches.get(q)],
      [first, last] = this.extremes();
    if (Math.abs(y - x) < 10) return;
    const unit = (b - a) / (y - x),
      low = Math.max(first, a - (x - area[0]) * unit),
      high = Math.min(last, a + (area[0] + area[2] - x) * unit);
    if (high > low) this.zoomTo(low <= first && high >= last ? null : [low, high]);
  }
  key(event) {
    if (!this.now || event.target !== this.place || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && !this.windowNow) {
      event.preventDefault();
      this.step(step);
      return;
    }
    const now = this.settings.fixed ? undefined : keyWindow(event.key, this.now.xs.domain ?? [0, 1], this.extremes());
    if (now === undefined) return;
    event.preventDefault();
    this.zoomTo(now);
  }
  /** The next x that a series has, read aloud. */
  step(by) {
    const places = this.settings.places,
      all = Array.isArray(places) ? places : [...new Set(this.seen().flatMap((s) => (s.mute ? [] : s.x)))].sort((a, b) => a - b);
    if (!all.length) return;
    const here = this.at ? all.indexOf(this.at.at) : by > 0 ? -1 : all.length,
      at = all[Math.min(all.length - 1, Math.max(0, here + by))];
    this.point(this.now.xs.to(at), -1e9);
    const said = this.at?.near.map(([s, i]) => `${s.name} ${typeof s.y[i] === "string" ? s.y[i] : number(s.y[i], 4)}`) ?? [];
    this.reading.textContent = `${this.settings.x} ${isNumber(at) ? number(at, 6) : at}: ${said.slice(0, 8).join(", ")}`;
  }

  /* ---- numbers ---- */

  table() {
    const { x } = this.settings,
      [from, to] = this.windowNow ?? [-Infinity, Infinity],
      names = this.settings.columns ?? { y: this.more.y ?? this.settings.y ?? "value", low: "low", high: "high" },
      bands = this.seen().some((s) => s.low);
    const rows = this.seen().flatMap((s) =>
      s.x.flatMap((at, i) =>
        isNumber(at) && (at < from || at > to) ? [] : [[s.name, at, s.y[i], ...(bands ? [s.low?.[i], s.high?.[i], s.n?.[i]] : [])]],
      ),
    );
    return { columns: ["series", x, names.y, ...(bands ? [names.low, names.high, "n"] : [])], rows };
  }
}

/**
 * A chart over an x called `x` and a y called `y`. Settings: `percent` writes y in percent; `limits` are the possible values; `log`: y is logarithmic;
 * `points`: with bars in place of bands; `scatter`: and without lines between them; `places`: the words along x, or "log"; `ticks`: where x has its ticks; `fixed`: no zoom; `ends`: the names of lines at their ends; `legend`: one that is shared; `hidden(set)` and
 * `zoomed(window, or null)` hear of the user's choice; `under(layout, theme)` gives marks below the data; `columns` name those of the CSV.
 * Has {element, set(series, more), window(low and high, or null), light(key), draw(), destroy()}.
 */
export const chart = (title, settings) => new Chart(title, settings);

/**
 * Charts that show the same x: one zooms, all do, and `zoomed(window)` hears of it; where one is pointed at, all are read; those that stand one below
 * the other or are as wide leave the same room right of their data, so that their axes agree. `add(make)` calls make(zoomed) for a chart, `reset()` shows all again.
 */
export function chartsLink(zoomed = () => {}) {
  const charts = [];
  return {
    add(make) {
      const mine = make((window) => {
        charts.forEach((other) => other !== mine && other.window(window));
        zoomed(window);
      });
      mine.pointed = (at) => charts.forEach((other) => other !== mine && other.follow?.(at));
      let wanted = 0; // room of this chart when it was last asked for
      const box = (one) => one.place?.getBoundingClientRect();
      const alike = (a, b) => Math.abs(a?.left - b?.left) < 1 || Math.abs(a?.width - b?.width) < 1; // a grid's columns differ by parts of a pixel
      mine.roomBeside = () => Math.max(0, ...charts.filter((other) => other.roomWanted && alike(box(other), box(mine))).map((other) => other.roomWanted()));
      mine.roomed = () => {
        const now = mine.roomWanted();
        if (now !== wanted) charts.forEach((other) => other !== mine && other.draw?.());
        wanted = now;
      };
      charts.push(mine);
      return mine;
    },
    reset() {
      charts.forEach((one) => one.window(null));
      zoomed(null);
    },
    destroy: () => charts.splice(0).forEach((one) => one.destroy()),
  };
}

/** Exponential moving average over about `span` values, from a mean of what there is; nulls stay. */
export function smooth(values, span) {
  if (span <= 1) return values;
  const keep = 1 - 1 / span;
  let sum = 0,
    weight = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return null;
    sum = keep * sum + value;
    weight = keep * weight + 1;
    return sum / weight;
  });
}

/** A canvas of CSS size at the screen's resolution; returns its context in CSS pixels. */
export function canvasContext(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

