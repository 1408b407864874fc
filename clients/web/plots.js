/*
 * Plots of what an experiment found: paired differences as a forest, a heat map over two axes, parallel coordinates over more. Each is a figure
 * (figure.js) and draws numbers as the server gave them; "never" is later than all.
 */
import { dashOf } from "./colours.js";
import { number } from "./dom.js";
import { Figure } from "./figure.js";
import { extentOf, linearScale, logScale, percentText, placeScale, tickText } from "./scales.js";
import { line, marker, path, rect, textFit, textWidth, words } from "./scene.js";

const nameOf = (v) => (typeof v === "number" ? tickText(v) : String(v));
const isNumber = (v) => typeof v === "number" && Number.isFinite(v);
const writer = (percent) => (v) => (typeof v === "string" ? v : percent && isNumber(v) ? percentText(v) : number(v, 3));

/* ---- differences ---- */

const ROW = 38,
  NARROW = 640,
  HEAD = 22,
  FOOT = 38;

/** Pairs of one metric: a row a comparison, with its mean difference and the 95 % interval; the axis is a factor where they are of logarithms. */
class Forest extends Figure {
  constructor(title) {
    super(title, { kind: "forest plot" });
    this.rows = [];
    this.at = -1;
  }
  /** `rows`: comparisons as the server gives them, with `style`; `percent` writes differences in percent. */
  set(rows, { percent = false } = {}) {
    Object.assign(this, { rows, percent, ready: rows.length > 0, at: -1 });
    this.logarithms = rows.some((row) => row.logarithms);
    this.place.style.height = `${HEAD + FOOT + rows.length * this.rowHeight(this.place.clientWidth || 900)}px`;
    this.say(`${this.title}: ${rows.slice(0, 12).map((row) => this.sentence(row)).join("; ")}. Arrows read single rows.`);
    this.draw();
  }
  rowHeight(width) {
    return width < NARROW ? 54 : ROW;
  }
  drawNow() {
    this.place.style.height = `${HEAD + FOOT + this.rows.length * this.rowHeight(this.place.clientWidth || 900)}px`;
    super.drawNow();
  }
  difference(v) {
    if (!isNumber(v)) return "–";
    if (this.logarithms) return `× ${number(Math.exp(v), 3)}`;
    return `${v > 0 ? "+" : ""}${this.percent ? percentText(v) : number(v, 3)}`;
  }
  sentence(row) {
    const { low, high } = row.difference_95 ?? {},
      interval = isNumber(low) && isNumber(high) ? `, 95 % from ${this.difference(low)} to ${this.difference(high)}` : "",
      p = isNumber(row.holm_p) ? `, p ${number(row.holm_p, 2)} (Holm)` : "";
    return `${row.label} against ${row.to_label}: ${this.difference(row.mean_difference)}${interval}, better on ${percentText(row.won ?? 0)} of ${row.n} seeds${p}`;
  }
  layout(width) {
    const narrow = width < NARROW,
      labels = this.rows.flatMap((row) => [row.label, `against ${row.to_label}`]),
      left = narrow ? 12 : Math.min(0.4 * width, 16 + Math.max(...labels.map((text) => textWidth(text, 12)))),
      right = narrow ? 118 : 176,
      span = [left + 10, width - right - 14],
      all = extentOf(this.rows.flatMap((row) => [[row.mean_difference, 0], [row.difference_95?.low, row.difference_95?.high]])) ?? [-1, 1],
      pad = 0.06 * (all[1] - all[0] || 1);
    return { narrow, left, right, span, scale: linearScale([all[0] - pad, all[1] + pad], span, (v) => this.tick(v)) };
  }
  tick(v) {
    if (this.logarithms) return `×${number(Math.exp(v), 2)}`;
    return this.percent ? percentText(v) : tickText(v);
  }
  /** Round factors where the axis is one. */
  ticks(scale, count) {
    if (!this.logarithms) return scale.ticks(count);
    const [low, high] = scale.domain.map(Math.exp);
    return logScale([low, high], [0, 1]).ticks(count).map(Math.log);
  }
  marks(width, height, theme) {
    const now = this.layout(width),
      { span, scale, narrow } = now,
      row = this.rowHeight(width),
      base = HEAD + this.rows.length * row,
      ticks = this.ticks(scale, Math.max(2, Math.floor((span[1] - span[0]) / 64)));
    const heads = [
      words(width - now.right, 10, "difference", { fill: theme.muted }),
      words(width - 8, 10, narrow ? "won" : "won, p (Holm)", { fill: theme.muted, anchor: "end" }),
    ];
    return [
      ...heads,
      ...ticks.flatMap((v) => [
        line(scale.to(v), HEAD, scale.to(v), base, { stroke: theme.grid }),
        words(scale.to(v), base + 12, scale.text(v), { fill: theme.muted, anchor: "middle", name: "tick-x" }),
      ]),
      line(scale.to(0), HEAD - 4, scale.to(0), base, { stroke: theme.text, width: 1, dash: [4, 3] }),
      words((span[0] + span[1]) / 2, base + 28, this.logarithms ? "factor, paired by seed" : "difference, paired by seed", { fill: theme.muted, anchor: "middle" }),
      ...this.rows.flatMap((one, i) => this.rowMarks(one, HEAD + i * row, now, theme, row, width)),
    ];
  }
  rowMarks(one, top, now, theme, row, width) {
    const { scale, narrow, left } = now,
      middle = narrow ? top + row - 14 : top + row / 2,
      stroke = theme.of(one.style),
      { low, high } = one.difference_95 ?? {},
      won = isNumber(one.won) ? `${Number((one.won * one.n).toFixed(1))}/${one.n}` : "–",
      p = isNumber(one.holm_p) ? `, ${one.holm_p < 0.001 ? "<0.001" : number(one.holm_p, 2)}` : "",
      room = narrow ? width - 12 : left - 8,
      at = { anchor: narrow ? "start" : "end" },
      x = narrow ? 6 : left;
    const marks = [
      ...(narrow ? [rect(0, top + 1, width, 30, { fill: theme.sheet })] : []), // over the grid
      words(x, narrow ? top + 9 : middle - 7, textFit(one.label, room, 12), { ...at, fill: theme.text, size: 12 }),
      words(x, narrow ? top + 23 : middle + 8, textFit(`against ${one.to_label}`, room), { ...at, fill: theme.muted }),
      words(width - now.right, middle, this.difference(one.mean_difference), { fill: theme.text }),
      words(width - 8, middle, `${won}${narrow ? "" : p}${one.few ? " †" : ""}`, { fill: theme.text, anchor: "end" }),
    ];
    if (isNumber(low) && isNumber(high)) {
      const look = { stroke, width: 1.8, dash: dashOf(one.style) };
      marks.push(line(scale.to(low), middle, scale.to(high), middle, look), ...[low, high].map((v) => line(scale.to(v), middle - 4, scale.to(v), middle + 4, { stroke, width: 1.4 })));
    }
    if (isNumber(one.mean_difference))
      marks.push(marker(scale.to(one.mean_difference), middle, one.style.marker ?? 0, 4.5, { fill: one.few ? theme.sheet : stroke, stroke, width: 1.6 }));
    return marks;
  }
  read(i) {
    this.at = Math.min(this.rows.length - 1, Math.max(0, i));
    this.reading.textContent = this.sentence(this.rows[this.at]);
    this.overDraw();
  }
  point(_, y) {
    const i = Math.floor((y - HEAD) / this.rowHeight(this.width));
    if (i >= 0 && i < this.rows.length) this.read(i);
  }
  leave() {
    this.at = -1;
    this.reading.textContent = "";
    this.overDraw();
  }
  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !this.rows.length) return;
    event.preventDefault();
    this.read(this.at < 0 ? 0 : this.at + step);
  }
  over(theme) {
    const row = this.rowHeight(this.width);
    return this.at < 0 ? [] : [rect(2, HEAD + this.at * row, this.width - 4, row, { fill: theme.accent, fillOpacity: 0.08 })];
  }
  table() {
    const columns = ["label", "to_label", "n", "finite", "logarithms", "mean_difference", "low_95", "high_95", "won", "sign_flip_p", "holm_p", "least_p"];
    const rows = this.rows.map((r) => [r.label, r.to_label, r.n, r.finite, r.logarithms, r.mean_difference, r.difference_95?.low, r.difference_95?.high, r.won, r.sign_flip_p, r.holm_p, r.least_p]);
    return { columns, rows };
  }
}

/* ---- heat map ---- */

/* From cividis: equally readable for all kinds of colour vision, and in grey. */
const HEAT = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"].map((hex) =>
  [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)),
);
function heat(share) {
  const at = Math.min(1, Math.max(0, share)) * (HEAT.length - 1),
    i = Math.min(HEAT.length - 2, Math.floor(at)),
    mixed = HEAT[i].map((v, k) => Math.round(v + (HEAT[i + 1][k] - v) * (at - i)));
  return { fill: `rgb(${mixed.join(" ")})`, dark: 0.3 * mixed[0] + 0.59 * mixed[1] + 0.11 * mixed[2] < 130 };
}

/** A value over two axes; what has none is empty, "never" is hatched. */
class HeatMap extends Figure {
  constructor(title) {
    super(title, { kind: "heat map" });
    this.at = null;
  }
  /** `columns` and `rows` are the axes' values, `cells` has {column, row, value, text (a sentence)}; the colours reach over all of `medians`. */
  set({ x, y, columns, rows, cells, medians, what, percent, log }) {
    Object.assign(this, { x, y, columns, rows, cells, what, percent, ready: cells.length > 0, at: null });
    this.range = extentOf([medians], log) ?? [0, 1];
    this.log = Boolean(log);
    this.place.style.height = `${Math.min(520, Math.max(180, 70 + rows.length * 44))}px`;
    this.say(`${this.title}: ${what} over ${x} and ${y}, from ${number(this.range[0], 3)} to ${number(this.range[1], 3)}. Arrows read single cells.`);
    this.draw();
  }
  layout(width, height) {
    const left = 34 + Math.min(0.3 * width, Math.max(...this.rows.map((v) => textWidth(nameOf(v))))),
      right = 74;
    return { left, right, xs: placeScale(this.columns, [left, width - right]), ys: placeScale(this.rows, [8, height - 40]) };
  }
  share(value) {
    const [low, high] = this.range;
    if (this.log) return (Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low) || 1);
    return (value - low) / (high - low || 1);
  }
  marks(width, height, theme) {
    const now = this.layout(width, height),
      { xs, ys, left } = now,
      write = writer(this.percent);
    this.now = now;
    return [
      ...this.cells.flatMap((cell) => this.cellMarks(cell, now, theme, write)),
      ...this.columns.map((v) => words(xs.to(v), height - 30, textFit(nameOf(v), xs.step - 4), { fill: theme.muted, anchor: "middle", name: "tick-x" })),
      ...this.rows.map((v) => words(left - 6, ys.to(v), textFit(nameOf(v), left - 30), { fill: theme.muted, anchor: "end", name: "tick-y" })),
      words((left + width - now.right) / 2, height - 10, this.x, { fill: theme.muted, anchor: "middle" }),
      words(10, (height - 32) / 2, textFit(this.y, height - 40), { fill: theme.muted, anchor: "middle", turn: -90 }),
      ...this.barMarks(width, height, theme, write),
    ];
  }
  cellMarks({ column, row, value }, { xs, ys }, theme, write) {
    const [w, high] = [xs.step - 2, ys.step - 2],
      x = xs.to(column) - w / 2,
      y = ys.to(row) - high / 2;
    if (value === "never") {
      let hatch = "";
      for (let k = 8; k < w + high; k += 8) {
        const [x1, y1] = [Math.min(k, w), Math.max(0, k - w)],
          [x2, y2] = [Math.max(0, k - high), Math.min(k, high)];
        hatch += `M${x + x1} ${y + y1}L${x + x2} ${y + y2}`;
      }
      return [rect(x, y, w, high, { fill: theme.sheet, stroke: theme.line }), path(hatch, { stroke: theme.line }), words(x + w / 2, y + high / 2, "never", { fill: theme.text, anchor: "middle", weight: 600 })];
    }
    if (!isNumber(value)) return [rect(x, y, w, high, { fill: "none", stroke: theme.line, dash: [3, 3] }), words(x + w / 2, y + high / 2, "–", { fill: theme.muted, anchor: "middle" })];
    const { fill, dark } = heat(this.share(value)),
      text = write(value);
    return [rect(x, y, w, high, { fill }), ...(textWidth(text) < w - 4 && high > 13 ? [words(x + w / 2, y + high / 2, text, { fill: dark ? "#ffffff" : "#111111", anchor: "middle" })] : [])];
  }
  barMarks(width, height, theme, write) {
    const top = 16,
      high = height - 66,
      x = width - 60,
      steps = 24,
      marks = Array.from({ length: steps }, (_, i) => rect(x, top + (i * high) / steps, 12, high / steps + 0.5, { fill: heat(1 - (i + 0.5) / steps).fill }));
    return [
      ...marks,
      words(x + 17, top + 4, write(this.range[1]), { fill: theme.muted }),
      words(x + 17, top + high - 4, write(this.range[0]), { fill: theme.muted }),
    ];
  }
  read(cell) {
    this.at = cell;
    this.reading.textContent = cell?.text ?? "";
    this.overDraw();
  }
  point(x, y) {
    if (!this.now) return;
    const column = this.now.xs.from(x),
      row = this.now.ys.from(y);
    this.read(this.cells.find((cell) => cell.column === column && cell.row === row) ?? null);
  }
  leave() {
    this.read(null);
  }
  key(event) {
    const step = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!step || !this.cells.length) return;
    event.preventDefault();
    const move = (list, v, by) => list[Math.min(list.length - 1, Math.max(0, list.indexOf(v) + by))],
      here = this.at ?? { column: this.columns[0], row: this.rows[0] },
      [column, row] = this.at ? [move(this.columns, here.column, step[0]), move(this.rows, here.row, step[1])] : [here.column, here.row];
    this.read(this.cells.find((cell) => cell.column === column && cell.row === row) ?? this.at);
  }
  over(theme) {
    if (!this.at || !this.now) return [];
    const { xs, ys } = this.now;
    return [rect(xs.to(this.at.column) - xs.step / 2, ys.to(this.at.row) - ys.step / 2, xs.step, ys.step, { stroke: theme.text, width: 2 })];
  }
  table() {
    return { columns: [this.y, this.x, this.what], rows: this.cells.map(({ row, column, value }) => [row, column, value]) };
  }
}

/* ---- parallel coordinates ---- */

/** Points over many axes: an upright line an axis, one for the metric at the end; a line a point. */
class Parallel extends Figure {
  constructor(title) {
    super(title, { kind: "parallel coordinates", height: 320 });
    this.at = -1;
  }
  /** `axes`: {name, values (places), or log and numbers}; `points`: {label, style, values (one an axis), text}; the last axis is the metric. */
  set({ axes, points, percent }) {
    Object.assign(this, { axes, points, percent, ready: points.length > 0, at: -1 });
    this.say(`${this.title}: ${points.length} points over ${axes.map((axis) => axis.name).join(", ")}. Arrows up and down read single points.`);
    this.draw();
  }
  layout(width, height) {
    const n = this.axes.length,
      left = 20 + Math.max(...(this.axes[0].values ?? []).map((v) => textWidth(nameOf(v))), 30),
      right = 70,
      xs = this.axes.map((_, i) => Math.min(left, 0.25 * width) + (i * (width - right - Math.min(left, 0.25 * width))) / Math.max(1, n - 1)),
      span = [height - 16, 40];
    const ys = this.axes.map((axis) => {
      if (axis.values) return placeScale(axis.values, span);
      const numbers = extentOf([axis.numbers], axis.log) ?? [0, 1],
        never = axis.numbers.includes("never"),
        scale = (axis.log ? logScale : linearScale)(numbers, [span[0], span[1] + (never ? 20 : 0)], axis.percent ? percentText : tickText);
      return { ...scale, to: (v) => (v === "never" ? span[1] : scale.to(v)), never };
    });
    this.now = { xs, ys, span };
    return this.now;
  }
  marks(width, height, theme) {
    const { xs, ys, span } = this.layout(width, height);
    return [
      ...this.points.map((point) => this.lineMark(point, theme, 0.75, 1.4)),
      ...this.axes.flatMap((axis, i) => {
        const end = i === this.axes.length - 1,
          scale = ys[i],
          ticks = [...scale.ticks(6), ...(scale.never ? ["never"] : [])];
        return [
          line(xs[i], span[0], xs[i], span[1], { stroke: theme.muted }),
          words(xs[i], 14, textFit(axis.name, (width / this.axes.length) * 0.95, 12), { fill: theme.text, anchor: i === 0 ? "start" : end ? "end" : "middle", size: 12, weight: 600 }),
          ...ticks.flatMap((v) => {
            const text = textFit(v === "never" ? v : scale.text(v), end ? 60 : 110),
              wide = textWidth(text);
            return [
              line(xs[i] - 3, scale.to(v), xs[i] + 3, scale.to(v), { stroke: theme.muted }),
              rect(end ? xs[i] + 5 : xs[i] - 9 - wide, scale.to(v) - 7, wide + 4, 14, { fill: theme.sheet, fillOpacity: 0.85 }), // over the lines
              words(xs[i] + (end ? 7 : -7), scale.to(v), text, { fill: theme.text, anchor: end ? "start" : "end" }),
            ];
          }),
        ];
      }),
    ];
  }
  /** Where a point crosses axis i: among words each a little aside, so that points that share one can be followed. */
  crossing(point, i) {
    const { ys } = this.now,
      scale = ys[i],
      part = this.points.length > 1 ? this.points.indexOf(point) / (this.points.length - 1) - 0.5 : 0;
    return scale.to(point.values[i]) + (scale.step ? part * Math.min(0.5 * scale.step, 24) : 0);
  }
  lineMark(point, theme, opacity, width) {
    const { xs } = this.now,
      d = point.values
        .map((_, i) => [xs[i], this.crossing(point, i)])
        .filter(([, y]) => Number.isFinite(y))
        .map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`)
        .join("");
    return path(d, { stroke: theme.of(point.style), width, dash: dashOf(point.style), opacity, name: "line" });
  }
  read(i) {
    this.at = i;
    this.reading.textContent = i < 0 ? "" : this.points[i].text;
    this.overDraw();
  }
  point(px, py) {
    if (!this.now) return;
    const { xs } = this.now,
      right = xs.findIndex((x) => x >= px),
      k = right < 0 ? xs.length - 1 : Math.max(1, right),
      part = (px - xs[k - 1]) / (xs[k] - xs[k - 1]);
    let best = -1,
      least = 14;
    this.points.forEach((one, i) => {
      const [a, b] = [this.crossing(one, k - 1), this.crossing(one, k)],
        d = Math.abs(a + (b - a) * part - py);
      if (d < least) [best, least] = [i, d];
    });
    this.read(best);
  }
  leave() {
    this.read(-1);
  }
  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !this.points.length) return;
    event.preventDefault();
    this.read(Math.min(this.points.length - 1, Math.max(0, this.at + step)));
  }
  over(theme) {
    return this.at < 0 || !this.now ? [] : [this.lineMark(this.points[this.at], { ...theme, of: () => theme.sheet }, 1, 6), this.lineMark(this.points[this.at], theme, 1, 3.4)];
  }
  table() {
    return { columns: ["label", ...this.axes.map((axis) => axis.name)], rows: this.points.map(({ label, values }) => [label, ...values]) };
  }
}

export const forest = (title) => new Forest(title);
export const heatMap = (title) => new HeatMap(title);
export const parallel = (title) => new Parallel(title);
