/*
 * Charts: dygraphs with the page's colours (colours.js), labelled axes, a legend outside the data, and controls for those who have no mouse.
 *
 * One finger scrolls the page over a chart, two fingers zoom it; with the focus on it plus, minus, arrows and 0 do.
 */
import { colourOf, css, dashOf, onScheme, seriesStyle, swatch } from "./colours.js";
import { grouped, h, number } from "./dom.js";

/*
 * dygraphs' own legend writes inline styles, which the page's Content-Security-Policy forbids: ours is made of elements.
 */
function prepared() {
  const { Dygraph } = window;
  Dygraph.PLUGINS = Dygraph.PLUGINS.filter((plugin) => plugin !== Dygraph.Plugins.Legend);
  return Dygraph;
}

/** One finger belongs to the page: it scrolls. */
function hands(Dygraph) {
  const model = Dygraph.defaultInteractionModel,
    two = (does) => (event, graph, context) => event.touches.length > 1 && does(event, graph, context);
  return { ...model, touchstart: two(model.touchstart), touchmove: two(model.touchmove) };
}

/** The legend of `entries` [name, style]: their values at x while one points at the chart. */
function legendOf(x, entries) {
  const values = entries.map(() => h("span", { class: "num" })),
    at = h("span", { class: "num" });
  return {
    element: h(
      "div",
      { class: "legend" },
      at,
      entries.map(([name, style], k) => h("span", { class: "entry" }, swatch(style), h("span", { class: "entry-name", title: name }, name), values[k])),
    ),
    show(where, points) {
      at.textContent = points ? `${x} ${number(where, 6)}` : "";
      entries.forEach(([name], k) => {
        const point = points && points.find((p) => p.name === name);
        values[k].textContent = point ? number(point.yval, 4) : "";
      });
    },
  };
}

const tick = (value) => {
  const size = Math.abs(value);
  if (size >= 1e7 || (size > 0 && size < 1e-4)) return value.toExponential(1).replace("e+", "e");
  return size >= 1000 ? grouped(Math.round(value)) : String(Number(value.toPrecision(4)));
};

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

const axes = (percent) => ({
  x: { axisLabelWidth: 60, pixelsPerLabel: 50, axisLabelFormatter: tick },
  y: {
    axisLabelWidth: 50,
    pixelsPerLabel: 28,
    axisLabelFormatter: (value) => (percent ? `${Number((100 * value).toPrecision(4))} %` : tick(value)),
  },
});

/** What a picture says, for those who do not see it. */
function spoken(title, x, series, rows) {
  const last = rows.at(-1),
    middle = (v) => (Array.isArray(v) ? v[1] : v),
    said = series.map((s, i) => (s.hidden ? null : `${s.name} ${number(middle(last[i + 1]), 4)}`)).filter(Boolean);
  return `${title}: at ${x} ${number(last[0], 6)}, ${said.join(", ")}. Plus and minus zoom, arrows move, 0 shows all.`;
}

class Chart {
  constructor(title, series, { x, y, percent = false, zoomed = () => {}, options = {} }) {
    const styled = series.map((s, i) => ({ ...s, style: s.style ?? seriesStyle(i) }));
    Object.assign(this, { title, series: styled, x, y, percent, zoomed, options, graph: null, size: 0, windowNow: null });
    this.legend = legendOf(
      x,
      styled.filter((s) => !s.hidden).map((s) => [s.name, s.style]),
    );
    this.place = h("div", { class: "plot", role: "group", "aria-roledescription": "chart", tabindex: "0", onkeydown: (e) => this.key(e) });
    this.element = h("figure", { class: "chart" }, h("figcaption", {}, h("span", {}, title), this.legend.element), this.place);
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.place);
    this.endScheme = onScheme(() => this.graph && this.graph.updateOptions(this.colours()));
  }
  colours() {
    return { colors: this.series.map((s) => colourOf(s.style)), axisLineColor: css("--line"), gridLineColor: css("--grid") };
  }
  resize() {
    if (!this.graph || !this.place.clientWidth || this.place.clientWidth === this.size) return;
    this.size = this.place.clientWidth;
    this.graph.resize();
  }
  window(window) {
    this.windowNow = window;
    if (this.graph) this.graph.updateOptions({ dateWindow: window, ...(window ? {} : { valueRange: this.options.valueRange ?? null }) });
  }
  drawn() {
    const now = this.graph && this.graph.isZoomed("x") ? this.graph.xAxisRange() : null;
    if (!this.graph || String(now) === String(this.windowNow)) return;
    this.windowNow = now;
    this.zoomed(now);
  }
  key(event) {
    const now = this.graph && keyWindow(event.key, this.graph.xAxisRange(), this.graph.xAxisExtremes());
    if (!this.graph || now === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.window(now);
    this.zoomed(now);
  }
  lines() {
    return Object.fromEntries(
      this.series.map((s) => [s.name, { ...(dashOf(s.style) && { strokePattern: dashOf(s.style) }), ...(s.thin && { strokeWidth: 0.7 }) }]),
    );
  }
  make(rows, more) {
    const Dygraph = prepared();
    return new Dygraph(this.place, rows, {
      labels: [this.x, ...this.series.map((s) => s.name)],
      xlabel: this.x,
      ylabel: this.y,
      xLabelHeight: 14,
      yLabelWidth: 14,
      highlightCallback: (event, at, points) => this.legend.show(at, points),
      unhighlightCallback: () => this.legend.show(null, null),
      drawCallback: () => this.drawn(),
      interactionModel: hands(Dygraph),
      strokeWidth: 1.6,
      connectSeparatedPoints: true,
      axisLabelFontSize: 11,
      xRangePad: 4,
      yRangePad: 6,
      rightGap: 10,
      axes: axes(this.percent),
      series: this.lines(),
      animatedZooms: false,
      highlightCircleSize: 3,
      ...(this.windowNow && { dateWindow: this.windowNow }),
      ...this.colours(),
      ...this.options,
      ...more,
    });
  }
  set(rows, more = {}) {
    if (!rows.length || !this.place.clientWidth) return;
    this.place.setAttribute("aria-label", spoken(this.title, this.x, this.series, rows));
    if (this.graph) this.graph.updateOptions({ file: rows, ...more });
    else this.graph = this.make(rows, more);
    this.size = this.place.clientWidth;
  }
  destroy() {
    this.watcher.disconnect();
    this.endScheme();
    if (this.graph) this.graph.destroy();
    this.graph = null;
  }
}

/**
 * A chart of `series`, a list of {name, style (colours.js; by default the palette in order), thin, hidden (in the legend)}, over an x called `x`
 * and a y called `y`. `percent` writes y in percent; `zoomed(window)` hears of the user's zoom, null for all; `options` go to dygraphs.
 * Has {element, set(rows, more), window(low and high, or null), destroy()}; rows are [x, y...].
 */
export const chart = (title, series, settings) => new Chart(title, series, settings);

/**
 * Charts that show the same x: one zooms, all do, and `zoomed(window)` hears of it. `add(make)` calls make(zoomed) for a chart, `reset()` shows
 * all again.
 */
export function linked(zoomed = () => {}) {
  const charts = [];
  return {
    add(make) {
      const mine = make((window) => {
        charts.forEach((other) => other !== mine && other.window(window));
        zoomed(window);
      });
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
