/*
 * One experiment: what it is and how far, curves, a table with intervals, paired differences, and the metric over its axes; from points to their
 * trials to jobs. Every number, label, colour and dash is the server's. The page keeps what was read, asks again while the experiment goes on and
 * something happens, and never more often than the answers take.
 *
 * What is seen stands in the address: metric, curve, x, axes, hidden lines, the chosen point and the order of the table.
 */
import { addressRead, addressWrite, addressBind } from "./address.js";
import { get } from "./api.js";
import { attempt, oncePerFrame, h } from "./dom.js";
import { EXPERIMENT_ENDED } from "./experiments.js";
import { onExperimentEvent, onOpened } from "./jobs.js";
import { loadInto, Refresher } from "./load.js";
import { forest } from "./plots.js";
import { keysOf, metricAbout, metricName, metricRead, quantityOf } from "./quantities.js";
import { AxesView } from "./study-axes.js";
import { CurvesView } from "./study-curves.js";
import { headMake } from "./study-head.js";
import { PointsTable, TrialsTable } from "./study-points.js";
import { axesOf, styleOf, valueName } from "./study.js";

const REREAD_MS = 1500, // ms between two readings at least
  SLOW = 10000,
  REREAD_FACTOR = 8, // between two readings, times what the last one took
  COMPARED = 40; // comparisons drawn at once

const option = (value, text, chosen) => h("option", { value, selected: value === chosen }, text);
const labelled = (id, text, input) => h("span", { class: "pair" }, h("label", { for: id }, text), input);

class Page extends Refresher {
  constructor(place, experiment, signal) {
    super();
    Object.assign(this, { place, experiment, signal, points: [], comparisons: [], timer: 0, due: 0, took: 0 });
    this.hidden = new Set((addressRead().settings.get("hide") ?? "").split(",").filter(Boolean));
    this.head = headMake(experiment, { changed: (now) => this.take(now), signal });
    this.drawSoon = oncePerFrame(() => signal.aborted || this.draw());
    this.controlsMake();
    this.curves = new CurvesView(this);
    this.table = new PointsTable(this);
    this.trials = new TrialsTable(this);
    this.forest = forest("Paired differences");
    this.axes = new AxesView(this);
    this.layOut();
    this.listen();
  }
  get named() {
    return this.experiment.specification.metrics ?? [{ final: "loss" }];
  }
  get ended() {
    return EXPERIMENT_ENDED.includes(this.experiment.status);
  }

  /* ---- what is asked for ---- */

  controlsMake() {
    const names = this.named.map(metricName),
      keys = keysOf(this.experiment.specification),
      given = addressRead().settings.get("metric"),
      first = metricRead(given ?? "");
    this.unit = addressBind("x", h("select", { id: "x", onchange: () => this.again() }, [option("iterations", "iterations"), option("trials", "trials"), option("seconds", "seconds")]));
    const threshold = first?.threshold !== undefined;
    this.metric = h(
      "select",
      { id: "metric", onchange: () => this.metricTake() },
      h("optgroup", { label: "Of the experiment" }, names.map((name) => option(name, name, given ?? names[0]))),
      ["final", "best", "area"].map((kind) =>
        h("optgroup", { label: { final: "Last value", best: "Best value", area: "Mean over training" }[kind] }, keys.map((key) => option(`${kind}:${key}`, `${kind === "area" ? "mean" : kind} ${quantityOf(key).name}`, given))),
      ),
      h("optgroup", { label: "First reached" }, option("reached", "reached a value", threshold ? "reached" : given)),
    );
    const more = (id, input, value) => {
      input.value = value;
      input.id = id;
      input.addEventListener("change", () => this.metricTake());
      return input;
    };
    this.reached = {
      key: more("reached-key", h("select", {}, keys.map((key) => option(key, quantityOf(key).name, threshold ? first.key : "loss"))), threshold ? first.key : "loss"),
      side: more("reached-side", h("select", {}, ["below", "above"].map((word) => option(word, word))), threshold ? first.kind : "below"),
      threshold: more("reached-at", h("input", { type: "number", step: "any" }), threshold ? first.threshold : "0.1"),
      row: more("reached-row", h("input", { type: "number", min: 1, step: 1 }), threshold ? first.row : "1"),
    };
    this.reachedPlace = h(
      "span",
      { class: "pair", hidden: !threshold },
      labelled("reached-key", "quantity", this.reached.key),
      h("label", { class: "hidden", for: "reached-side" }, "side"),
      this.reached.side,
      h("label", { class: "hidden", for: "reached-at" }, "value"),
      this.reached.threshold,
      this.reached.row,
      h("label", { for: "reached-row" }, "in a row"),
    );
    this.slices = h("span", { class: "controls" });
  }
  /** The metric's name, or how the API's query writes it. */
  metricNow() {
    if (this.metric.value !== "reached") return this.metric.value;
    const { key, side, threshold, row } = this.reached;
    return `${key.value}_${side.value}:${Number(threshold.value)}${row.value > 1 ? `:${Math.floor(row.value)}` : ""}`;
  }
  metricTake() {
    this.reachedPlace.hidden = this.metric.value !== "reached";
    const now = this.metricNow();
    addressWrite({ metric: now === metricName(this.named[0]) ? null : now });
    this.again();
  }
  about() {
    return metricAbout(this.metricNow(), this.named, this.unit.value);
  }
  /** Query of points, trials and compare. */
  query() {
    const about = this.about();
    if (about.own) return "";
    const unit = about.quantity.learned && this.unit.value !== "iterations" ? `&in=${this.unit.value}` : "";
    return `?metrics=${encodeURIComponent(this.metricNow())}${unit}`;
  }

  /* ---- layout ---- */

  layOut() {
    const { settings } = addressRead();
    this.differences = h("section", { class: "differences", "aria-labelledby": "differences", hidden: true }, h("h2", { id: "differences" }, "Paired differences"));
    this.differencesHint = h("p", { class: "hint" });
    this.differences.append(this.forest.element, this.differencesHint);
    this.tools = h(
      "div",
      { class: "tools study-tools", role: "group", "aria-label": "What is shown" },
      labelled("metric", "Metric", this.metric),
      this.reachedPlace,
      labelled("x", "Training in", this.unit),
      this.slices,
    );
    this.place.replaceChildren(
      this.head.element,
      this.tools,
      this.curves.element,
      h("div", { class: "study-pair" }, this.table.element, this.differences),
      this.axes.element,
      this.trials.element,
    );
    if (settings.get("point")) this.trials.choose(settings.get("point"));
  }
  /** A choice a axis: all of its values, or one. */
  slicesMake() {
    const all = axesOf(this.points),
      now = JSON.stringify(all);
    if (now === this.slicesShown) return;
    this.slicesShown = now;
    this.slices.replaceChildren(
      ...all.map((axis, i) => {
        const select = h("select", { id: `slice-${i}`, onchange: () => this.again() }, option("", "all"), axis.values.map((v) => option(String(v), valueName(v))));
        addressBind(`at.${axis.name}`, select);
        select.dataset.axis = axis.name;
        return labelled(select.id, axis.name, select);
      }),
    );
  }
  /** The points that the choices leave. */
  shown() {
    const fixed = [...this.slices.querySelectorAll("select")].filter((s) => s.value !== "").map((s) => [s.dataset.axis, s.value]);
    return this.points.filter(({ values }) => fixed.every(([axis, value]) => String(values?.[axis]) === value));
  }

  /* ---- reading ---- */

  again() {
    this.due = 0;
    clearTimeout(this.timer);
    this.timer = 0;
    attempt(() => this.read());
  }
  later(ms = Math.max(REREAD_MS, REREAD_FACTOR * this.took)) {
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      this.read().catch(() => {});
    }, ms);
  }
  async readOnce() {
    const begun = performance.now();
    try {
      const path = `/v1/experiments/${this.experiment.id}`,
        query = this.query(),
        [experiment, { points }, { comparisons }] = await Promise.all([
          get(path, this.signal),
          get(`${path}/points${query}`, this.signal),
          get(`${path}/compare${query}`, this.signal),
        ]);
      Object.assign(this, { experiment, points, comparisons });
      this.slicesMake();
      this.draw();
      await Promise.all([this.curves.read(), this.trials.read()]);
    } finally {
      this.took = performance.now() - begun;
    }
  }
  take(experiment) {
    this.experiment = experiment;
    this.again();
  }

  /* ---- drawing ---- */

  /** The summary of the chosen metric at a point. */
  summary(point) {
    const about = this.about();
    return about.own ? point.metrics?.[this.metricNow()] : Object.values(point.metrics ?? {})[0];
  }
  draw() {
    this.head.draw(this.experiment, this.points);
    this.table.draw();
    this.differencesDraw();
    this.axes.draw();
  }
  differencesDraw() {
    const about = this.about(),
      shown = new Map(this.shown().map((point) => [point.point, point])),
      rows = this.comparisons
        .filter((c) => (about.own ? c.metric === this.metricNow() : true) && shown.has(c.point) && c.n > 0)
        .map((c) => ({ ...c, style: styleOf(shown.get(c.point)) }));
    const left = rows.splice(COMPARED).length; // rows beyond those are not drawn
    this.differences.hidden = !rows.length;
    this.place.querySelector(".study-pair").classList.toggle("alone", !rows.length);
    if (!rows.length) return;
    this.forest.file = `differences ${about.text}`;
    this.forest.caption.textContent = about.text;
    this.forest.set(rows, { percent: about.quantity.percent });
    const least = Math.max(...rows.map((row) => row.least_p ?? 0)),
      few = rows.some((row) => row.few) ? ` † fewer than 10 pairs: so few can reach p = ${Number(least.toPrecision(2))} at best.` : "",
      ratio = rows.some((row) => row.logarithms) ? " Factors are of iterations; a pair with one that never learned counts in what was won alone." : "";
    this.differencesHint.textContent = `Each row compares the same seeds. Lines are 95 % intervals of the mean difference; p by sign flips, adjusted over the comparisons (Holm).${ratio}${few}${left ? ` ${left} more are not drawn: choose a value of an axis above.` : ""}`;
  }
  listen() {
    const ends = [
      onExperimentEvent((event) => {
        if (event.experiment !== this.experiment.id) return;
        if (event.type === "deleted") location.hash = "#/";
        else this.later();
      }),
      onOpened(() => this.later(0)),
    ];
    const slow = setInterval(() => document.hidden || this.ended || this.later(0), SLOW);
    this.signal.addEventListener("abort", () => {
      clearTimeout(this.timer);
      clearInterval(slow);
      ends.forEach((end) => end());
      this.curves.destroy();
      this.forest.destroy();
      this.axes.destroy();
    });
  }
}

/** Shows experiment `id` in `place` until `signal`. */
export function experimentShow(place, id, signal) {
  loadInto(place, "No such experiment", signal, async () => {
    const experiment = await get(`/v1/experiments/${id}`, signal);
    if (signal.aborted) return;
    const page = new Page(place, experiment, signal);
    await page.read();
  });
}
