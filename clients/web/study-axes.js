/*
 * A metric over the axes of an experiment: response curves over one, a heat map over two, parallel coordinates over more.
 */
import { addressWrite, kept } from "./address.js";
import { chart } from "./charts.js";
import { h } from "./dom.js";
import { heatMap, parallel } from "./plots.js";
import { quantityText } from "./quantities.js";
import { isGeometric } from "./scales.js";
import { axesOf, styleOf } from "./study.js";

const option = (value, text, chosen) => h("option", { value, selected: value === chosen }, text);
const labelled = (id, text, input) => h("span", { class: "pair" }, h("label", { for: id }, text), input);
const settingOf = (name) => new URLSearchParams(location.hash.split("?")[1] ?? "").get(name);

export class AxesView {
  constructor(page) {
    Object.assign(this, { page, response: null, shown: "" });
    const draw = () => this.draw(),
      select = (id) => h("select", { id, onchange: (event) => (addressWrite({ [id]: event.target.value }), draw()) });
    this.over = select("over");
    this.across = select("across");
    this.log = kept("mlog", h("input", { type: "checkbox", id: "mlog", onchange: draw }));
    this.heat = heatMap("Median");
    this.lines = parallel("All axes");
    this.responsePlace = h("div", { class: "view" });
    this.heatPlace = h("div", { class: "view" }, this.heat.element);
    this.linesPlace = h("div", { class: "view" }, this.lines.element);
    this.hint = h("p", { class: "hint" });
    this.acrossPlace = labelled("across", "and", this.across);
    const controls = [labelled("over", "over", this.over), this.acrossPlace, h("span", { class: "pair" }, this.log, h("label", { for: "mlog" }, "log scale"))];
    this.element = h(
      "section",
      { class: "study-axes", "aria-labelledby": "axes", hidden: true },
      h("div", { class: "section" }, h("h2", { id: "axes" }, "Over the axes"), h("span", { class: "controls" }, controls)),
      h("div", { class: "views" }, this.responsePlace, this.heatPlace, this.linesPlace),
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
      about = page.about();
    this.acrossPlace.hidden = axes.length < 2;
    this.responseDraw(points, axes, over, about);
    this.heatPlace.hidden = axes.length < 2;
    if (across) this.heatDraw(points, axes, over, across, about);
    this.linesPlace.hidden = axes.length < 3;
    if (axes.length > 2) this.linesDraw(points, axes, about);
    const more = axes.length > 2 && across ? " The map shows, of the points that share a cell, the first: choose values of the other axes above." : "";
    this.hint.textContent = `Points are medians over seeds, bars reach from the lower to the upper quartile.${more}`;
  }
  responseDraw(points, axes, over, about) {
    const groups = new Map(),
      rest = axes.filter((axis) => axis !== over);
    for (const point of points) {
      const name = rest.map((axis) => point.values[axis.name]).join(", ") || about.quantity.name;
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(point);
    }
    const places = over.numeric ? (isGeometric(over.values) ? "log" : "number") : over.values,
      key = JSON.stringify([over.name, over.values, places, about.text]);
    if (key !== this.responseKey) this.responseMake(over, places, about);
    this.responseKey = key;
    const series = [...groups].map(([name, own]) => {
      const sorted = over.values.map((v) => own.find((point) => point.values[over.name] === v)).filter(Boolean),
        of = (read) => sorted.map((point) => read(page.summary(point)) ?? null),
        page = this.page,
        one = own[0];
      const alike = new Set(own.map(({ colour }) => colour)).size === 1;
      return {
        name,
        style: alike ? { ...styleOf(one), dash: rest.length > 1 || own.every(({ dash }) => dash === one.dash) ? one.dash : 0 } : { hex: "#7a7a7a", dash: 0 },
        x: sorted.map((point) => point.values[over.name]),
        y: of((s) => s.median),
        low: of((s) => s.quartiles.low),
        high: of((s) => s.quartiles.high),
        n: of((s) => s.n),
      };
    });
    this.response.set(series, { log: this.log.checked });
  }
  responseMake(over, places, about) {
    this.response?.destroy();
    this.response = chart(about.text, {
      x: over.name,
      y: about.quantity.name,
      percent: about.quantity.percent,
      limits: about.quantity.limits,
      places: places === "number" ? undefined : places,
      ticks: over.numeric ? over.values : undefined,
      points: true,
      fixed: true,
      file: `${about.text} over ${over.name}`,
      columns: { y: "median", low: "quartile_1", high: "quartile_3" },
    });
    this.responsePlace.replaceChildren(this.response.element);
  }
  heatDraw(points, axes, over, across, about) {
    const seen = new Set(),
      cells = points.flatMap((point) => {
        const [column, row] = [point.values[over.name], point.values[across.name]],
          at = JSON.stringify([column, row]);
        if (seen.has(at)) return [];
        seen.add(at);
        const { median, quartiles, n } = this.page.summary(point),
          write = (v) => quantityText(v, about.quantity);
        return [{ column, row, value: median, text: `${point.label}: median ${write(median)}, quartiles ${write(quartiles.low)} to ${write(quartiles.high)}, n ${n}` }];
      });
    this.heat.caption.textContent = `Median ${about.text}`;
    this.heat.file = `median ${about.text} over ${over.name} and ${across.name}`;
    const log = this.log.checked && cells.every(({ value }) => value === "never" || value > 0);
    this.heat.set({ x: over.name, y: across.name, columns: over.values, rows: across.values, cells, what: `median ${about.text}`, percent: about.quantity.percent, log });
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
    this.response?.destroy();
    this.heat.destroy();
    this.lines.destroy();
  }
}
