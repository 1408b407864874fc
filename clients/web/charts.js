/*
 * Charts: dygraphs with the page's colours. Okabe and Ito's palette, told apart by all kinds of colour vision; on a dark ground its
 * black is white. Lines keep their colours when the scheme changes, axes follow it.
 */
import { h, number } from "./dom.js";

export const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a", "#b8ad1a"];
const dark = matchMedia("(prefers-color-scheme: dark)");
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/*
 * dygraphs' own legend writes inline styles, which the page's Content-Security-Policy forbids: ours is made of elements.
 */
let prepared = false;
function prepare() {
  if (!prepared) window.Dygraph.PLUGINS = window.Dygraph.PLUGINS.filter((plugin) => plugin !== window.Dygraph.Plugins.Legend);
  prepared = true;
}

/** The legend of series `labels` (the first is x): their colours, and their values at x while one points at the chart. */
function legendOf(labels) {
  const values = labels.slice(1).map(() => h("span", { class: "num" }));
  const at = h("span", { class: "num" });
  const element = h(
    "div",
    { class: "legend" },
    at,
    values.map((value, i) => {
      const swatch = h("span", { class: "swatch" });
      swatch.style.background = PALETTE[i % PALETTE.length];
      return h("span", { class: "entry" }, swatch, labels[i + 1], value);
    }),
  );
  return {
    element,
    show(x, points) {
      at.textContent = points ? `${labels[0]} ${number(x, 5)}` : "";
      labels.slice(1).forEach((label, i) => {
        const point = points && points.find((p) => p.name === label);
        values[i].textContent = point ? number(point.yval, 4) : "";
      });
    },
  };
}

/** Rows of [x, y...] as dygraphs wants them; `options` go to it. Returns {element, set(rows, more), destroy()}. */
export function chart(title, labels, options = {}) {
  const legend = legendOf(labels);
  const place = h("div", { class: "plot", role: "img", "aria-label": title });
  const element = h("figure", { class: "chart" }, h("figcaption", {}, h("span", {}, title), legend.element), place);
  let graph = null,
    size = 0;
  const axes = () => ({ axisLineColor: css("--line"), gridLineColor: css("--grid") });
  const watcher = new ResizeObserver(() => {
    if (graph && place.clientWidth !== size) {
      size = place.clientWidth;
      graph.resize();
    }
  });
  watcher.observe(place);
  const recolour = () => graph && graph.updateOptions(axes());
  dark.addEventListener("change", recolour);
  return {
    element,
    set(rows, more = {}) {
      if (!rows.length || !place.isConnected) return;
      if (graph) {
        graph.updateOptions({ file: rows, ...more });
        return;
      }
      prepare();
      graph = new window.Dygraph(place, rows, {
        labels,
        colors: PALETTE,
        highlightCallback: (event, x, points) => legend.show(x, points),
        unhighlightCallback: () => legend.show(null, null),
        strokeWidth: 1.6,
        connectSeparatedPoints: true,
        axisLabelFontSize: 11,
        xRangePad: 4,
        yRangePad: 6,
        rightGap: 10,
        axes: { x: { axisLabelWidth: 60, pixelsPerLabel: 60 }, y: { axisLabelWidth: 44, pixelsPerLabel: 26 } },
        animatedZooms: false,
        highlightCircleSize: 3,
        ...axes(),
        ...options,
        ...more,
      });
      size = place.clientWidth;
    },
    zoomReset() {
      if (graph) graph.resetZoom();
    },
    destroy() {
      watcher.disconnect();
      dark.removeEventListener("change", recolour);
      if (graph) graph.destroy();
      graph = null;
    },
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
