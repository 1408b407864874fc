/*
 * A metric over the axes of an experiment: response curves over one, a heat map over two, parallel coordinates over more.
 */
import { addressWrite, addressBind } from "./address.js";
import { chart } from "./charts.js";
import { seriesStyle } from "./colours.js";
import { h } from "./dom.js";
import { heatMap, parallel } from "./plots.js";
import { quantityText } from "./quantities.js";
import { isGeometric } from "./scales.js";
import { axesOf, styleOf, valueName } from "./study.js";

const option = (value, text, chosen) => h("option", { value, selected: value === chosen }, text);
const labelled = (id, text, input) => h("span", { class: "pair" }, h("label", { for: id }, text), input);
const settingOf = (name) => new URLSearchParams(location.hash.split("?")[1] ?? "").get(name);

const COMBINATIONS_MAX = 6; // combinations of further axes, each of which has its plots

/** Points by their values on further axes: [title, points]. */
function combinations(points, further) {
  const groups = new Map();
  for (const point of points) {
    const title = further.map(({ name }) => `${name} ${valueName(point.values[name])}`).join(", ");
    if (!groups.has(title)) groups.set(title, []);
    groups.get(title).push(point);
  }
  return [...groups];
}

/** One look a group of points: the server's, where that tells the groups apart; else the palette's. */
function stylesOf(groups) {
  const own = groups.map((points) => {
      const { colour, dash, marker } = points[0],
        alike = (name) => points.every((point) => point[name] === points[0][name]);
      return alike("colour") ? styleOf({ colour, dash: alike("dash") ? dash : 0, marker: alike("marker") ? marker : 0 }) : null;
    }),
    distinct = new Set(own.map((style) => JSON.stringify(style)));
  return own.includes(null) || distinct.size < groups.length ? groups.map((_, i) => ({ ...seriesStyle(i), marker: i })) : own;
}

export class AxesView {
  constructor(page) {
    Object.assign(this, { page, views: [], shown: "", key: "" });
    const draw = () => this.draw(),
      select = (id) => h("select", { id, onchange: (event) => (addressWrite({ [id]: event.target.value }), draw()) });
    this.over = select("over");
    this.across = select("across");
    this.log = addressBind("mlog", h("input", { type: "checkbox", id: "mlog", onchange: draw }));
    this.lines = parallel("All axes");
    this.place = h("div", { class: "views" });
    this.linesPlace = h("div", { class: "view", hidden: true }, this.lines.element);
    this.hint = h("p", { class: "hint" });
    this.acrossPlace = labelled("across", "and", this.across);
    const controls = [labelled("over", "over", this.over), this.acrossPlace, h("span", { class: "pair" }, this.log, h("label", { for: "mlog" }, "log scale"))];
    this.element = h(
      "section",
      { class: "study-axes", "aria-labelledby": "axes", hidden: true },
      h("div", { class: "section" }, h("h2", { id: "axes" }, "Over the axes"), h("span", { class: "controls" }, controls)),
      this.place,
      this.linesPlace,
      this.hint,
    );
  }
  /** Keeps both choices among the axes that there are, a numeric one first along x. */
  choices(axes) {
    const now = JSON.stringify(axes.map(({ name }) => name));
    if (now !== this.shown) {
      this.shown = now;
      const first = (axes.find((axis) => axis.numeric) ?? axes.at(-1)).name,
        over = axes.some(({ name }) => name === settingOf("over")) ? settingOf("over") : first,
        second = axes.find(({ name }) => name !== over)?.name,
        across = axes.some(({ name }) => name === settingOf("across")) ? settingOf("across") : second;
      this.over.replaceChildren(...axes.map(({ name }) => option(name, name, over)));
      this.across.replaceChildren(...axes.map(({ name }) => option(name, name, across)));
    }
    const over = axes.find(({ name }) => name === this.over.value),
      across = axes.find(({ name }) => name === this.across.value && name !== over.name) ?? axes.find((axis) => axis !== over) ?? null;
    if (across) this.across.value = across.name;
    return [over, across];
  }
  draw() {
    const { page } = this,
      points = page.shown().filter((point) => page.summary(point)?.n > 0),
      axes = axesOf(points);
    this.element.hidden = !axes.length;
    if (!axes.length) return;
    const [over, across] = this.choices(axes),
      about = page.about(),
      all = combinations(
        points,
        axes.filter((axis) => axis !== over && axis !== across),
      ),
      shown = all.slice(0, COMBINATIONS_MAX);
    this.acrossPlace.hidden = axes.length < 2;
    const key = JSON.stringify([over, across, shown.map(([title]) => title), about.text]);
    if (key !== this.key) this.build(shown, over, across, about);
    this.key = key;
    const series = shown.map(([, own]) => this.seriesOf(own, over, across, about)),
      family = series.flat();
    shown.forEach(([, own], i) => {
      this.views[i].response.set(series[i], { log: this.log.checked, family });
      if (across) this.heatDraw(this.views[i].heat, own, over, across, about, points);
    });
    this.linesPlace.hidden = axes.length < 3;
    if (axes.length > 2) this.linesDraw(points, axes, about);
    const left = all.length > COMBINATIONS_MAX ? ` ${all.length - COMBINATIONS_MAX} more combinations of the other axes are not drawn: choose their values above.` : "";
    this.hint.textContent = `Points are medians over seeds, bars reach from the lower to the upper quartile.${left}`;
  }
  build(shown, over, across, about) {
    this.views.forEach((view) => view.destroy());
    const places = over.numeric ? (isGeometric(over.values) ? "log" : undefined) : over.values,
      settings = { x: over.name, y: about.quantity.name, percent: about.quantity.percent, limits: about.quantity.limits, places, ticks: over.numeric ? over.values : undefined };
    this.views = shown.map(([title]) => {
      const end = title ? `, ${title}` : "",
        file = `${about.text} over ${over.name}${end}`,
        response = chart(`${about.text}${end}`, { ...settings, points: true, fixed: true, file, columns: { y: "median", low: "quartile_1", high: "quartile_3" } }),
        heat = across && heatMap(`Median ${about.text}${end}`);
      if (heat) heat.file = `median ${file} and ${across.name}`;
      const destroy = () => (response.destroy(), heat?.destroy());
      return { response, heat, elements: [response, heat].filter(Boolean).map((one) => h("div", { class: "view" }, one.element)), destroy };
    });
    this.place.replaceChildren(...this.views.flatMap(({ elements }) => elements));
    this.place.classList.toggle("pairs", Boolean(across));
  }
  seriesOf(points, over, across, about) {
    const { page } = this,
      groups = across ? across.values.map((v) => [valueName(v), points.filter((point) => point.values[across.name] === v)]) : [[about.quantity.name, points]],
      there = groups.filter(([, own]) => own.length),
      looks = stylesOf(there.map(([, own]) => own));
    return there.map(([name, own], i) => {
      const sorted = over.values.map((v) => own.find((point) => point.values[over.name] === v)).filter(Boolean),
        of = (read) => sorted.map((point) => read(page.summary(point)) ?? null);
      return {
        name,
        style: looks[i],
        x: sorted.map((point) => point.values[over.name]),
        y: of((s) => s.median),
        low: of((s) => s.quartiles.low),
        high: of((s) => s.quartiles.high),
        n: of((s) => s.n),
      };
    });
  }
  heatDraw(heat, points, over, across, about, all) {
    const write = (v) => quantityText(v, about.quantity),
      medians = all.map((point) => this.page.summary(point).median),
      log = this.log.checked && medians.every((v) => v === "never" || v > 0);
    const cells = points.map((point) => {
      const { median, quartiles, n } = this.page.summary(point);
      return {
        column: point.values[over.name],
        row: point.values[across.name],
        value: median,
        text: `${point.label}: median ${write(median)}, quartiles ${write(quartiles.low)} to ${write(quartiles.high)}, n ${n}`,
      };
    });
    heat.set({ x: over.name, y: across.name, columns: over.values, rows: across.values, cells, medians, what: `median ${about.text}`, percent: about.quantity.percent, log });
  }
  linesDraw(points, axes, about) {
    const numbers = points.map((point) => this.page.summary(point).median),
      log = this.log.checked && numbers.every((v) => v === "never" || v > 0);
    this.lines.set({
      axes: [...axes.map(({ name, values }) => ({ name, values })), { name: about.quantity.name, numbers, log, percent: about.quantity.percent }],
      percent: about.quantity.percent,
      points: points.map((point, i) => ({
        label: point.label,
        style: styleOf(point),
        values: [...axes.map(({ name }) => point.values[name]), numbers[i]],
        text: `${point.label}: ${quantityText(numbers[i], about.quantity)}`,
      })),
    });
  }
  destroy() {
    this.views.forEach((view) => view.destroy());
    this.lines.destroy();
  }
}
