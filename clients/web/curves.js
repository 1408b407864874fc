/*
 * A job's curves: loss, accuracy, and the diagnostics where the job asked for them, all over the same iterations.
 *
 * They are read once, thinned by the server to POINTS, and grow by events; when they have doubled they are read anew, so that a run of any
 * length stays quick. Zoomed in, the window is read by itself, so that what thinning left out is seen. Events that come before the first
 * reading wait for it: half a curve would look like a whole one.
 */
import { get } from "./api.js";
import { chart, linked, smooth } from "./charts.js";
import { attempt, framed, h } from "./dom.js";

const POINTS = 1500;
const SHARE = { percent: true, log: false, options: { valueRange: [0, 1.03] } };

/** Every chart: {title, y, series: [key, name], ...}; `always` shows its series before they have values; `log`: whether y is logarithmic, by default as the user chose. */
const CURVES = [
  {
    title: "Loss",
    always: true,
    series: [
      ["loss", "evaluation"],
      ["training_loss", "training"],
    ],
  },
  { title: "Accuracy", y: "masked steps answered right", series: [["accuracy", "evaluation"]], ...SHARE },
];
const DIAGNOSTICS = [
  {
    title: "Cosine with the gradient of bptt",
    y: "cosine",
    series: [
      ["cosine_all", "all"],
      ["cosine_W", "W"],
      ["cosine_Win", "Win"],
      ["cosine_Wout", "Wout"],
      ["cosine_b", "b"],
    ],
    log: false,
  },
  { title: "Spectral radius of W", y: "largest |eigenvalue|", series: [["spectral_radius", "spectral radius"]], log: false },
  {
    title: "Units",
    y: "share",
    series: [
      ["mean_psi", "mean ψ"],
      ["silent_fraction", "silent units"],
    ],
    ...SHARE,
  },
  {
    title: "Gradient norms",
    y: "norm",
    log: true,
    series: [
      ["gradient_norm_W", "W"],
      ["gradient_norm_Win", "Win"],
      ["gradient_norm_Wout", "Wout"],
    ],
  },
  {
    title: "Time of each phase between evaluations",
    y: "seconds",
    log: false,
    series: [
      ["seconds_trials", "trials"],
      ["seconds_forward", "forward"],
      ["seconds_credit", "credit"],
      ["seconds_gradient", "gradient"],
      ["seconds_optimizer", "optimizer"],
    ],
  },
];
const DRAWN = [...CURVES, ...DIAGNOSTICS];
const KEYS = DRAWN.flatMap((panel) => panel.series.map(([key]) => key));

/** A column a key, grown by events. */
class Columns {
  constructor(read = { iteration: [] }) {
    this.iteration = read.iteration;
    for (const key of KEYS) this[key] = read[key] || new Array(read.iteration.length).fill(null);
  }
  get length() {
    return this.iteration.length;
  }
  get last() {
    return this.iteration.at(-1) ?? -1;
  }
  has(key) {
    return this[key].some((value) => value !== null && value !== undefined);
  }
  add(event) {
    if (event.iteration <= this.last) return false;
    this.iteration.push(event.iteration);
    for (const key of KEYS) this[key].push(event[key] ?? null);
    return true;
  }
  /** Adds those rows of `other` whose iteration `wanted` names. */
  take(other, wanted = () => true) {
    other.iteration.forEach((iteration, i) => {
      if (wanted(iteration)) this.add({ iteration, ...Object.fromEntries(KEYS.map((key) => [key, other[key][i]])) });
    });
    return this;
  }
}

/** One chart with its place; it is made when the first of its series has a value. */
class Panel {
  constructor(what, link) {
    Object.assign(this, { what, link, chart: null, series: [], element: h("div", { hidden: true }) });
  }
  draw(columns, span, log) {
    const { what } = this;
    if (!this.chart) {
      const known = what.series.filter(([key]) => columns.has(key));
      if (!known.length) return false;
      this.series = what.always ? what.series : known;
      const y = what.y ?? (columns.has("accuracy") ? "cross-entropy, nats" : "half squared error"),
        names = this.series.map(([, name]) => ({ name }));
      this.chart = this.link.add((zoomed) => chart(what.title, names, { x: "iteration", ...what, y, zoomed }));
      this.element.replaceWith(this.chart.element);
    }
    const values = this.series.map(([key]) => smooth(columns[key], span));
    this.chart.set(
      columns.iteration.map((x, i) => [x, ...values.map((v) => v[i] ?? null)]),
      { logscale: what.log ?? log },
    );
    return true;
  }
}

/** Shows the curves of `job`; `signal` ends what is being read. Returns {elements, progress(event), reload(), destroy()}. */
export function curvesShow(job, signal) {
  const path = `/v1/jobs/${job.id}/metrics?points=${POINTS}`,
    every = job.training.evaluate_every;
  const log = h("input", { type: "checkbox", id: "log", onchange: () => draw() });
  const span = h("input", { type: "range", id: "smooth", min: 1, max: 40, value: 1, oninput: () => draw() });
  const empty = h("p", { class: "empty" }, "Reading the curve.");
  const charts = h("div", { class: "charts" }),
    diagnostics = h("div", { class: "charts" });
  const link = linked((window) => zoomed(window)),
    panels = (list, place) =>
      list.map((what) => {
        const panel = new Panel(what, link);
        place.append(panel.element);
        return panel;
      });
  const main = panels(CURVES, charts),
    more = panels(DIAGNOSTICS, diagnostics);
  const section = h(
    "section",
    { "aria-labelledby": "diagnostics", hidden: true },
    h("div", { class: "section" }, h("h2", { id: "diagnostics" }, "Diagnostics")),
    diagnostics,
  );
  let columns = new Columns(),
    waiting = [],
    loaded = false,
    timer = 0;
  const draw = framed(() => {
    if (signal.aborted || !loaded) return;
    empty.hidden = columns.length > 0;
    charts.hidden = !columns.length;
    if (!columns.length) empty.textContent = "No evaluation yet: the first comes before the first update.";
    section.hidden = !DIAGNOSTICS.some((what) => what.series.some(([key]) => columns.has(key)));
    for (const panel of [...main, ...more]) panel.draw(columns, Number(span.value), log.checked);
  });
  const load = () =>
    attempt(async () => {
      const read = new Columns(await get(path, signal));
      columns = read.take(columns);
      waiting.splice(0).forEach((event) => columns.add(event));
      loaded = true;
      draw();
    });
  /* What thinning left out of the window. */
  const detail = ([from, to]) =>
    attempt(async () => {
      const inside = (x) => x >= from && x <= to;
      if (columns.iteration.filter(inside).length >= Math.min(POINTS, (to - from) / every - 1)) return;
      const read = new Columns(await get(`${path}&from=${Math.max(0, Math.floor(from))}&to=${Math.ceil(to)}`, signal));
      if (!read.length) return;
      columns = new Columns()
        .take(columns, (x) => x < read.iteration[0])
        .take(read)
        .take(columns);
      draw();
    });
  const zoomed = (window) => {
    clearTimeout(timer);
    if (window) timer = setTimeout(() => detail(window), 200);
    else if (columns.length > POINTS) load();
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  load();
  return {
    elements: [
      h(
        "section",
        { "aria-labelledby": "curves" },
        h(
          "div",
          { class: "section" },
          h("h2", { id: "curves" }, "Curves"),
          h(
            "span",
            { class: "controls" },
            log,
            h("label", { for: "log" }, "log scale"),
            h("label", { for: "smooth" }, "smoothing"),
            span,
            h("button", { type: "button", class: "quiet", onclick: () => link.reset() }, "Whole curve"),
          ),
        ),
        empty,
        charts,
        h(
          "p",
          { class: "hint" },
          "Drag across a curve to zoom, with shift to move; a double click shows all of it. On a phone, use two fingers; ",
          "by keyboard, + and −, arrows, and 0.",
        ),
      ),
      section,
    ],
    progress(event) {
      if (!loaded) waiting.push(event);
      else if (columns.add(event)) {
        if (columns.length > 2 * POINTS) load();
        else draw();
      }
    },
    reload: load,
    destroy: link.destroy,
  };
}
