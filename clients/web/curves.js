/*
 * A job's curves: loss, accuracy, and the diagnostics where the job asked for them, all over the same iterations.
 *
 * They are read once, thinned by the server to POINTS, and grow by events; when they have doubled they are read anew, so that a run of any
 * length stays quick. Zoomed in, the window is read by itself, so that what thinning left out is seen. Events that come before the first
 * reading wait for it: half a curve would look like a whole one. What an evaluation gives has the rule's colour; an evaluation without a loss, in
 * which nothing counted, is a gap.
 */
import { addressBind } from "./address.js";
import { get } from "./api.js";
import { chart, chartsLink, smooth } from "./charts.js";
import { ruleStyle, seriesStyle } from "./colours.js";
import { attempt, oncePerFrame, h } from "./dom.js";
import { pythonCall } from "./snippets.js";

const POINTS = 1500;
const FRACTION = { percent: true, log: false, limits: [0, 1] };

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
  { title: "Accuracy", y: "share of masked steps correct", series: [["accuracy", "evaluation"]], ...FRACTION },
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
    limits: [-1, 1],
    log: false,
  },
  {
    title: "Fitted filter",
    y: "share or cosine",
    series: [
      ["fit_share", "share explained, fitted trials"],
      ["fit_share_unseen", "share explained"],
      ["fit_cosine", "cosine"],
      ["fit_share_dW", "share, dW"],
      ["fit_cosine_dW_nonlocal", "cosine, dW"],
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
    ...FRACTION,
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
const ALL_CURVES = [...CURVES, ...DIAGNOSTICS];
const KEYS = ALL_CURVES.flatMap((panel) => panel.series.map(([key]) => key));

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

const TRAINING = seriesStyle(6);

/** One chart with its place; it is made when the first of its series has a value. */
class Panel {
  constructor(what, job, link) {
    Object.assign(this, { what, rule: job.rule.type, id: job.id, link, chart: null, series: [], element: h("div", { hidden: true }) });
  }
  draw(columns, span, log) {
    const { what } = this;
    if (!this.chart) {
      const known = what.series.filter(([key]) => columns.has(key));
      if (!known.length) return false;
      this.series = what.always ? what.series : known;
      const y = what.y ?? (columns.has("accuracy") ? "cross-entropy, nats" : "half squared error");
      this.chart = this.link.add((zoomed) => chart(what.title, { x: "iteration", y, percent: what.percent, limits: what.limits, ends: true, zoomed }));
      this.chart.python = pythonCall(this.id, "metrics", null, {}, location.origin);
      this.element.replaceWith(this.chart.element);
    }
    const series = this.series.map(([key, name], i) => ({
      name,
      style: seriesStyle(i),
      ...this.look(key),
      x: columns.iteration,
      y: smooth(columns[key], span),
      gaps: key === "loss",
    }));
    this.chart.set(series, { log: what.log ?? log });
    return true;
  }
  look(key) {
    if (key === "training_loss") return { style: TRAINING, thin: true };
    return ["loss", "accuracy"].includes(key) ? { style: ruleStyle(this.rule) } : {};
  }
}

const GESTURES =
  "Drag across a curve to zoom, shift and drag to pan; double-click to show everything. On a phone, use two fingers; by keyboard, + and −, arrows, and 0.";

class Curves {
  constructor(job, signal) {
    Object.assign(this, { signal, path: `/v1/jobs/${job.id}/metrics?points=${POINTS}`, every: job.training.evaluate_every });
    Object.assign(this, { columns: new Columns(), waiting: [], loaded: false, timer: 0 });
    this.draw = oncePerFrame(() => signal.aborted || !this.loaded || this.drawNow());
    this.log = addressBind("log", h("input", { type: "checkbox", id: "log", onchange: () => this.draw() }));
    this.span = addressBind("smooth", h("input", { type: "range", id: "smooth", min: 1, max: 40, value: 1, oninput: () => this.draw() }));
    this.empty = h("p", { class: "empty" }, "Loading the curve.");
    this.charts = h("div", { class: "charts" });
    this.diagnostics = h("div", { class: "charts" });
    this.link = chartsLink((window) => this.zoomed(window));
    this.panels = [...this.panelsMake(CURVES, job, this.charts), ...this.panelsMake(DIAGNOSTICS, job, this.diagnostics)];
    this.elements = this.sections();
    signal.addEventListener("abort", () => clearTimeout(this.timer));
    this.load();
  }
  panelsMake(list, job, place) {
    return list.map((what) => {
      const panel = new Panel(what, job, this.link);
      place.append(panel.element);
      return panel;
    });
  }
  sections() {
    const whole = h("button", { type: "button", class: "quiet", onclick: () => this.link.reset() }, "Whole curve"),
      controls = [this.log, h("label", { for: "log" }, "log scale"), h("label", { for: "smooth" }, "smoothing"), this.span, whole],
      head = h("div", { class: "section" }, h("h2", { id: "curves" }, "Curves"), h("span", { class: "controls" }, controls));
    this.more = h(
      "section",
      { "aria-labelledby": "diagnostics", hidden: true },
      h("div", { class: "section" }, h("h2", { id: "diagnostics" }, "Diagnostics")),
      this.diagnostics,
    );
    return [h("section", { "aria-labelledby": "curves" }, head, this.empty, this.charts, h("p", { class: "hint" }, GESTURES)), this.more];
  }
  drawNow() {
    const { columns } = this;
    this.empty.hidden = columns.length > 0;
    this.charts.hidden = !columns.length;
    if (!columns.length) this.empty.textContent = "No evaluation yet: the first comes before the first update.";
    this.more.hidden = !DIAGNOSTICS.some((what) => what.series.some(([key]) => columns.has(key)));
    for (const panel of this.panels) panel.draw(columns, Number(this.span.value), this.log.checked);
  }
  load() {
    return attempt(async () => {
      const read = new Columns(await get(this.path, this.signal));
      this.columns = read.take(this.columns);
      this.waiting.splice(0).forEach((event) => this.columns.add(event));
      this.loaded = true;
      this.draw();
    });
  }
  /** Reads what thinning left out of the window. */
  detail([from, to]) {
    return attempt(async () => {
      const inside = (x) => x >= from && x <= to,
        { columns } = this;
      if (columns.iteration.filter(inside).length >= Math.min(POINTS, (to - from) / this.every - 1)) return;
      const read = new Columns(await get(`${this.path}&from=${Math.max(0, Math.floor(from))}&to=${Math.ceil(to)}`, this.signal));
      if (!read.length) return;
      this.columns = new Columns()
        .take(columns, (x) => x < read.iteration[0])
        .take(read)
        .take(columns);
      this.draw();
    });
  }
  zoomed(window) {
    clearTimeout(this.timer);
    if (window) this.timer = setTimeout(() => this.detail(window), 200);
    else if (this.columns.length > POINTS) this.load();
  }
  progress(event) {
    if (!this.loaded) this.waiting.push(event);
    else if (this.columns.add(event)) {
      if (this.columns.length > 2 * POINTS) this.load();
      else this.draw();
    }
  }
  destroy() {
    this.link.destroy();
  }
}

/** The curves of `job`; `signal` ends what is being read. Has {elements, progress(event), load(), destroy()}. */
export const curvesShow = (job, signal) => new Curves(job, signal);
