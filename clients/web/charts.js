/*
 * Charts: dygraphs with the page's colours, labelled axes, and hands for those who have no mouse.
 *
 * Colours are Okabe and Ito's, told apart by all kinds of colour vision, in an order for each scheme (style.css); from the ninth series on they
 * come again, dashed. One finger scrolls the page over a chart, two fingers zoom it; with the focus on it plus, minus, arrows and 0 do.
 */
import { grouped, h, number } from "./dom.js";

const COLOURS = 8,
  DASH = [7, 4];
const dark = matchMedia("(prefers-color-scheme: dark)");
export const isDark = () => dark.matches;
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = (i) => css(`--series-${i % COLOURS}`);
/** What stands for series i in legends and tables. */
export const swatch = (i) => h("span", { class: `swatch series-${i % COLOURS}${i >= COLOURS ? " dashed" : ""}` });
/** Calls `listener` when the colour scheme changes; returns what ends it. */
export function onScheme(listener) {
  dark.addEventListener("change", listener);
  return () => dark.removeEventListener("change", listener);
}

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

/** The legend of `entries` [name, colour index]: their values at x while one points at the chart. */
function legendOf(x, entries) {
  const values = entries.map(() => h("span", { class: "num" })),
    at = h("span", { class: "num" });
  return {
    element: h(
      "div",
      { class: "legend" },
      at,
      entries.map(([name, i], k) => h("span", { class: "entry" }, swatch(i), name, values[k])),
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

/**
 * A chart of `series`, a list of {name, colour (index, its place by default), thin, hidden (in the legend)}, over an x called `x` and a y called
 * `y`. `percent` writes y in percent; `zoomed(window)` hears of the user's zoom, null for all; `options` go to dygraphs.
 * Returns {element, set(rows, more), window(low and high, or null), destroy()}; rows are [x, y...].
 */
export function chart(title, series, { x, y, percent = false, zoomed = () => {}, options = {} }) {
  const index = (s, i) => s.colour ?? i,
    labels = [x, ...series.map((s) => s.name)];
  const legend = legendOf(
    x,
    series.map((s, i) => [s.name, index(s, i), s.hidden]).filter(([, , hidden]) => !hidden),
  );
  const place = h("div", { class: "plot", role: "group", "aria-roledescription": "chart", tabindex: "0", onkeydown: (e) => key(e) });
  const element = h("figure", { class: "chart" }, h("figcaption", {}, h("span", {}, title), legend.element), place);
  let graph = null,
    size = 0,
    windowNow = null;
  const colours = () => ({ colors: series.map((s, i) => colour(index(s, i))), axisLineColor: css("--line"), gridLineColor: css("--grid") });
  const watcher = new ResizeObserver(() => {
    if (graph && place.clientWidth && place.clientWidth !== size) {
      size = place.clientWidth;
      graph.resize();
    }
  });
  watcher.observe(place);
  const endScheme = onScheme(() => graph && graph.updateOptions(colours()));
  const show = (window) => {
    windowNow = window;
    if (graph) graph.updateOptions({ dateWindow: window, ...(window ? {} : { valueRange: options.valueRange ?? null }) });
  };
  const drawn = () => {
    const now = graph && graph.isZoomed("x") ? graph.xAxisRange() : null;
    if (!graph || String(now) === String(windowNow)) return;
    windowNow = now;
    zoomed(now);
  };
  const key = (event) => {
    const now = graph && keyWindow(event.key, graph.xAxisRange(), graph.xAxisExtremes());
    if (!graph || now === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    show(now);
    zoomed(now);
  };
  const make = (rows, more) => {
    const Dygraph = prepared(),
      label = (value) => (percent ? `${Number((100 * value).toPrecision(4))} %` : tick(value));
    return new Dygraph(place, rows, {
      labels,
      xlabel: x,
      ylabel: y,
      xLabelHeight: 14,
      yLabelWidth: 14,
      highlightCallback: (event, at, points) => legend.show(at, points),
      unhighlightCallback: () => legend.show(null, null),
      drawCallback: drawn,
      interactionModel: hands(Dygraph),
      strokeWidth: 1.6,
      connectSeparatedPoints: true,
      axisLabelFontSize: 11,
      xRangePad: 4,
      yRangePad: 6,
      rightGap: 10,
      axes: {
        x: { axisLabelWidth: 60, pixelsPerLabel: 50, axisLabelFormatter: tick },
        y: { axisLabelWidth: 50, pixelsPerLabel: 28, axisLabelFormatter: label },
      },
      series: Object.fromEntries(
        series.map((s, i) => [s.name, { ...(index(s, i) >= COLOURS && { strokePattern: DASH }), ...(s.thin && { strokeWidth: 0.7 }) }]),
      ),
      animatedZooms: false,
      highlightCircleSize: 3,
      ...(windowNow && { dateWindow: windowNow }),
      ...colours(),
      ...options,
      ...more,
    });
  };
  /* What a picture says, for those who do not see it. */
  const tell = (rows) => {
    const last = rows.at(-1),
      middle = (v) => (Array.isArray(v) ? v[1] : v),
      said = series.map((s, i) => (s.hidden ? null : `${s.name} ${number(middle(last[i + 1]), 4)}`)).filter(Boolean);
    const text = `${title}: at ${x} ${number(last[0], 6)}, ${said.join(", ")}. Plus and minus zoom, arrows move, 0 shows all.`;
    place.setAttribute("aria-label", text);
  };
  return {
    element,
    set(rows, more = {}) {
      if (!rows.length || !place.clientWidth) return;
      tell(rows);
      if (graph) graph.updateOptions({ file: rows, ...more });
      else graph = make(rows, more);
      size = place.clientWidth;
    },
    window: show,
    destroy() {
      watcher.disconnect();
      endScheme();
      if (graph) graph.destroy();
      graph = null;
    },
  };
}

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
