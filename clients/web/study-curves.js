/*
 * Curves of an experiment's points: median with quartiles over the seeds, or mean with its interval, and each seed's own line on request. One panel,
 * or one a value of an axis; all panels have one legend and zoom together.
 */
import { addressWrite, addressBind } from "./address.js";
import { get } from "./api.js";
import { chart, chartsLink } from "./charts.js";
import { integerText, h } from "./dom.js";
import { Legend } from "./figure.js";
import { keysOf, quantityOf } from "./quantities.js";
import { axesOf, styleOf, valueName } from "./study.js";

const POINTS_MAX = 36, // points drawn at once
  MOST_TOGETHER = 12, // of them in one panel
  PANELS = 8,
  TOGETHER = 6; // points in one panel, before they are divided among several
const X_LABELS = { iterations: "iteration", trials: "trials", seconds: "seconds" };
const option = (value, text) => h("option", { value }, text);
const labelled = (id, text, input) => h("span", { class: "pair" }, h("label", { for: id }, text), input);

/** Points by the values of `axis`, if any, and by the panel that the server puts them in: [title, points]. */
function panelsOf(points, axis) {
  const of = (point) => (axis ? valueName(point.values[axis.name]) : ""),
    sorted = axis ? axis.values.flatMap((v) => points.filter(({ values }) => values[axis.name] === v)) : points,
    groups = new Map();
  for (const point of sorted) {
    const several = new Set(points.filter((other) => of(other) === of(point)).map(({ panel }) => panel ?? "")).size > 1,
      title = [axis ? `${axis.name} ${of(point)}` : "", several || !axis ? (point.panel ?? "") : ""].filter(Boolean).join(", ");
    if (!groups.has(title)) groups.set(title, []);
    groups.get(title).push(point);
  }
  return [...groups];
}

export class CurvesView {
  constructor(page) {
    Object.assign(this, { page, records: [], charts: [], link: chartsLink(), key: "" });
    const again = () => page.again(),
      draw = () => this.draw(),
      keys = keysOf(page.experiment.specification);
    this.curve = addressBind("curve", h("select", { id: "curve", onchange: again }, keys.map((key) => option(key, quantityOf(key).name))));
    this.spread = addressBind("spread", h("select", { id: "spread", onchange: again }, option("quartiles", "median, quartiles"), option("mean", "mean, 95 % interval"), option("none", "median alone")));
    this.seeds = addressBind("seeds", h("input", { type: "checkbox", id: "seeds", onchange: again }));
    this.log = addressBind("log", h("input", { type: "checkbox", id: "log", onchange: draw }));
    this.panels = h("select", { id: "panels", onchange: () => (addressWrite({ panels: this.panels.value === "auto" ? null : this.panels.value }), draw()) });
    this.panelsWanted = new URLSearchParams(location.hash.split("?")[1] ?? "").get("panels") ?? "auto";
    this.legend = new Legend([], { hidden: page.hidden, changed: (hidden) => this.hiddenTake(hidden), lit: (key) => this.charts.forEach((one) => one.light(key)) });
    this.stage = h("div", { class: "panels" });
    this.hint = h("p", { class: "hint" });
    const whole = h("button", { type: "button", class: "quiet", onclick: () => this.link.reset() }, "Whole curve"),
      controls = [labelled("curve", "Curve", this.curve), labelled("spread", "over seeds", this.spread), labelled("panels", "panels", this.panels)];
    controls.push(h("span", { class: "pair" }, this.seeds, h("label", { for: "seeds" }, "each seed")), h("span", { class: "pair" }, this.log, h("label", { for: "log" }, "log scale")), whole);
    this.element = h(
      "section",
      { class: "study-curves", "aria-labelledby": "curves" },
      h("div", { class: "section" }, h("h2", { id: "curves" }, "Curves"), h("span", { class: "controls" }, controls)),
      this.stage,
      this.legend.element,
      this.hint,
    );
  }
  hiddenTake(hidden) {
    addressWrite({ hide: [...hidden].join(",") }); // all charts are drawn again: they have one y axis
    this.draw();
    this.page.table.draw();
  }
  async read() {
    const { page } = this,
      points = page.shown(),
      most = this.panelAxis(points) || this.panels.value === "one" ? POINTS_MAX : MOST_TOGETHER,
      some = points.length <= most ? points : Array.from({ length: most }, (_, i) => points[Math.floor((i * points.length) / most)]),
      query = new URLSearchParams({ keys: this.curve.value });
    if (some.length < page.points.length) query.set("points", some.map(({ point }) => point).join(","));
    if (page.unit.value !== "iterations") query.set("x", page.unit.value);
    if (this.spread.value === "mean") query.set("mean", "true");
    if (this.seeds.checked) query.set("seeds", "true");
    const { curves } = await get(`/v1/experiments/${page.experiment.id}/curves?${query}`, page.signal);
    this.records = curves;
    this.left = points.length - some.length;
    this.draw();
  }
  /** The axis by whose values panels are made, or null. */
  panelAxis(points) {
    const axes = axesOf(points),
      wanted = axes.find(({ name }) => name === this.panelsWanted),
      now = JSON.stringify(axes.map(({ name }) => name));
    if (now !== this.panelsShown) {
      this.panelsShown = now;
      this.panels.replaceChildren(option("auto", "automatic"), option("one", "one"), ...axes.map(({ name }) => option(name, `by ${name}`)));
      this.panels.value = wanted ? wanted.name : this.panelsWanted === "one" ? "one" : "auto";
    }
    this.panelsWanted = this.panels.value;
    if (this.panels.value === "one" || axes.length === 0) return null;
    if (this.panels.value !== "auto") return axes.find(({ name }) => name === this.panels.value) ?? null;
    if (points.length <= TOGETHER || axes.length < 2) return null;
    const rule = axes.find(({ name }) => new Set(points.map(({ values, colour }) => `${values[name]} ${colour}`)).size === axes.find((a) => a.name === name).values.length);
    return axes.find((axis) => axis !== rule && axis.values.length <= PANELS) ?? null;
  }
  seriesOf(record, point, style) {
    const { page } = this,
      x = record.x ?? record.iteration,
      mean = this.spread.value === "mean" && record.mean,
      key = point.point;
    const seeds = Object.entries(record.seeds ?? {}).map(([seed, own]) => ({
      name: `${point.label}, seed ${seed}`,
      key,
      style: { ...style, dash: 0 },
      thin: true,
      mute: true,
      gaps: true,
      x: own.x ?? own.iteration,
      y: own.value,
    }));
    const band = this.spread.value === "none" ? {} : mean ? { low: record.mean_low, high: record.mean_high } : { low: record.low, high: record.high };
    return [...seeds, { name: point.label, key, style, x, y: mean ? record.mean : record.median, n: record.n, gaps: true, ...band, unit: page.unit.value }];
  }
  draw() {
    const { page } = this,
      byPoint = new Map(this.records.map((record) => [record.point, record])),
      points = page.shown().filter(({ point }) => byPoint.has(point)),
      quantity = quantityOf(this.curve.value),
      axis = this.panelAxis(page.shown()),
      groups = this.panels.value === "one" ? [["", points]] : panelsOf(points, axis),
      unit = X_LABELS[page.unit.value];
    const series = groups.map(([, own]) => own.flatMap((point) => this.seriesOf(byPoint.get(point.point), point, styleOf(point))));
    const filled = groups.map((group, i) => [...group, series[i]]).filter(([, , own]) => own.some((s) => s.x.length));
    const key = JSON.stringify([filled.map(([title]) => title), this.curve.value, unit, this.spread.value]);
    if (key !== this.key) this.build(filled, quantity, unit);
    this.key = key;
    this.legend.set(points.map((point) => ({ key: point.point, name: point.label, style: styleOf(point) })));
    const family = filled.flatMap(([, , own]) => own);
    filled.forEach(([, , own], i) => this.charts[i].set(own, { log: this.log.checked, family }));
    this.hint.textContent = this.hintText(filled.length);
  }
  hintText(count) {
    if (!count) return "No curve yet: a point is drawn when its first trial has succeeded.";
    const what = { quartiles: "Lines are medians over the seeds that succeeded, bands reach from the lower to the upper quartile.", mean: "Lines are means over the seeds that succeeded, bands their 95 % bootstrap intervals.", none: "Lines are medians over the seeds that succeeded." }[this.spread.value],
      left = this.left > 0 ? ` ${integerText(this.left)} more points are not drawn: choose a value of an axis above.` : "",
      seconds = this.page.unit.value === "seconds" ? " Seconds are the median time that the seeds took to get there." : "";
    return `${what}${seconds}${left} Drag to zoom, double click for all of it.`;
  }
  build(groups, quantity, unit) {
    this.link.destroy();
    const y = quantity.unit ? `${quantity.name}, ${quantity.unit}` : quantity.name,
      columns = this.spread.value === "mean" ? { y: "mean", low: "mean_low_95", high: "mean_high_95" } : { y: "median", low: "quartile_1", high: "quartile_3" };
    this.charts = groups.map(([title]) =>
      this.link.add((zoomed) =>
        chart(title || y, { x: unit, y, percent: quantity.percent, limits: quantity.limits, legend: this.legend, columns, ends: true, zoomed, file: `${quantity.name} ${title}` }),
      ),
    );
    this.stage.replaceChildren(...this.charts.map((one) => one.element));
    this.stage.classList.toggle("several", groups.length > 1);
  }
  destroy() {
    this.link.destroy();
  }
}
