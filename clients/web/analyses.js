/*
 * Analyses of a job's network, which the server computes: which there are, what they take and what they give follows from GET /v1/analyses; nothing
 * here knows their names, but for what is better drawn otherwise (trajectories, pathways).
 *
 * A result along one axis is a chart over it, one along two axes a chart with a line for each entry of the shorter one, or a map where both are long;
 * single numbers stand above.
 */
import { get, post } from "./api.js";
import { chart } from "./charts.js";
import { seriesStyle } from "./colours.js";
import { h, number } from "./dom.js";
import { raster } from "./raster.js";
import { pythonCall } from "./snippets.js";

const LINES_MAX = 8, // more have no colour of their own
  WORDS = { step: "time, ms", lag: "lag, ms", checkpoint: "iteration" },
  COORDINATES = { checkpoint: "iteration" }, // the result that says where the entries of an axis lie, where it is not named as the axis
  PARTS = ["W", "Win", "Wout"], // of which results like norm_W share a chart
  APART = ["unit", "type", "source"]; // axes whose entries have no order: no line joins them

const spaced = (name) => name.replaceAll("_", " ");
const missing = (list) => list.map((v) => v ?? NaN); // not a number breaks a line

/** What a text field holds, as JSON where it is some; undefined: nothing. */
export function valueParse(text) {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text.trim();
  }
}

/** The mean of each row over the trials of each class: [{name, rows}], one of all where there are none. `paths` is [step][trial][component]. */
export function classMeans(paths, labels) {
  const classes = labels ? [...new Set(labels.filter((l) => l !== null))].sort((a, b) => a - b) : [null];
  return classes.map((one) => {
    const members = paths[0].map((_, b) => b).filter((b) => one === null || labels[b] === one),
      mean = (step, k) => members.reduce((sum, b) => sum + step[b][k], 0) / members.length;
    return { name: one === null ? "all trials" : `class ${one}`, rows: paths.map((step) => step[0].map((_, k) => mean(step, k))) };
  });
}

/** Pictures of an answer: each {title, x, y, series, settings} or {title, x, word, rows (a map)}. */
export function picturesOf({ results }) {
  const at = (axis, count) => results[COORDINATES[axis] ?? axis]?.values ?? Array.from({ length: count }, (_, i) => i),
    coordinates = new Set([...Object.values(COORDINATES), "unit_type"]),
    word = (axis) => WORDS[axis] ?? axis,
    pictures = new Map();
  const put = (title, picture) => {
    if (pictures.has(title)) pictures.get(title).series.push(...picture.series);
    else pictures.set(title, { title, ...picture });
  };
  const along = (name, { axes: [axis], unit, values }) => {
    const part = PARTS.find((p) => name.endsWith(`_${p}`)),
      title = spaced(part ? name.slice(0, -part.length - 1) : name),
      types = axis === "unit" ? results.unit_type?.values : null,
      groups = types ? [...new Set(types)].sort((a, b) => a - b) : [null],
      x = at(axis, values.length);
    const series = groups.map((group) => {
      const kept = values.map((_, i) => i).filter((i) => group === null || types[i] === group);
      return { name: group === null ? (part ?? title) : `type ${group}`, x: kept.map((i) => x[i]), y: missing(kept.map((i) => values[i])), gaps: true };
    });
    put(title, { x: word(axis), y: unit ?? title, settings: { points: !WORDS[axis], scatter: APART.includes(axis) }, series });
  };
  const across = (name, { axes: [first, second], unit, values }) => {
    const title = spaced(name),
      turn = values[0].length > values.length && values.length <= LINES_MAX,
      rows = turn ? values[0].map((_, i) => values.map((row) => row[i])) : values,
      [over, each] = turn ? [second, first] : [first, second],
      x = at(over, rows.length);
    if (rows[0].length > LINES_MAX) {
      pictures.set(title, { title, x: word(over), word: each, rows: rows.map((row, i) => [x[i], ...row.map((v) => v ?? 0)]) });
      return;
    }
    const types = (n, last) => [...Array.from({ length: n - 1 }, (_, i) => `type ${i}`), last],
      named = first === "source",
      names = named ? types(rows[0].length, "outputs").map((t) => `to ${t}`) : rows[0].map((_, i) => `${each} ${i}`),
      places = named ? ["inputs", ...types(rows.length, "").slice(0, -1)] : x;
    const series = names.map((one, i) => ({ name: one, x: places, y: missing(rows.map((row) => row[i])), gaps: true }));
    put(title, { x: named ? "from" : word(over), y: unit ?? title, settings: { points: !WORDS[over], scatter: APART.includes(over), places: named ? places : undefined }, series });
  };
  const paths = (name, { values }) => {
    const means = classMeans(values, results.label?.values),
      x = at("step", values.length);
    values[0][0].forEach((_, k) =>
      put(`component ${k}`, { x: WORDS.step, y: `component ${k}`, settings: {}, series: means.map((one) => ({ name: one.name, x, y: one.rows.map((row) => row[k]) })) }),
    );
    if (values[0][0].length < 2) return;
    const plane = means.map((one) => ({ name: one.name, x: one.rows.map((row) => row[0]), y: one.rows.map((row) => row[1]) }));
    put(spaced(name), { x: "component 0", y: "component 1", settings: { fixed: true }, series: plane });
  };
  for (const [name, result] of Object.entries(results)) {
    const { axes, values } = result;
    if (!axes.length || axes.includes(name) || coordinates.has(name) || name === "label" || !values.length) continue;
    [along, across, paths][axes.length - 1](name, result);
  }
  return [...pictures.values()];
}

/** An input for a parameter as the server describes it: {element, value()}. */
function fieldMake(name, parameter) {
  const id = `analysis-${name}`,
    about = { id, title: parameter.description, "aria-label": `${spaced(name)}: ${parameter.description}` },
    fallback = parameter.default === undefined || parameter.default === null ? "" : JSON.stringify(parameter.default),
    input = parameter.choices
      ? h("select", about, parameter.choices.map((choice) => h("option", { value: choice, selected: choice === parameter.default }, choice)))
      : h("input", { ...about, size: 10, placeholder: parameter.required ? "needed" : fallback || "auto" });
  const label = `${spaced(name)}${parameter.unit ? `, ${parameter.unit}` : ""}`;
  return { element: h("span", { class: "pair" }, h("label", { for: id }, label), input), value: () => (parameter.choices ? input.value : valueParse(input.value)) };
}

class Analyses {
  constructor(body, job, listed, signal) {
    Object.assign(this, { job, listed, signal, control: null, drawn: [] });
    this.kind = h("select", { id: "analysis-type", onchange: () => this.choose() }, listed.map(({ type }) => h("option", { value: type }, type)));
    this.fields = h("span", { class: "controls" });
    this.about = h("p", { class: "hint" });
    this.said = h("p", { class: "hint", role: "status" });
    this.numbers = h("dl", { class: "facts" });
    this.place = h("div", { class: "charts" });
    const submit = (event) => {
      event.preventDefault();
      this.run();
    };
    const form = h(
      "form",
      { class: "controls", onsubmit: submit },
      h("span", { class: "pair" }, h("label", { for: "analysis-type" }, "Analysis"), this.kind),
      this.fields,
      h("button", { class: "primary" }, "Analyse"),
    );
    body.replaceChildren(form, this.about, this.said, this.numbers, this.place);
    signal.addEventListener("abort", () => {
      this.control?.abort();
      this.clear();
    });
    this.choose();
  }
  choose() {
    const { description, parameters } = this.listed.find(({ type }) => type === this.kind.value);
    this.inputs = Object.entries(parameters).map(([name, parameter]) => [name, fieldMake(name, parameter)]);
    this.fields.replaceChildren(...this.inputs.map(([, { element }]) => element));
    this.about.textContent = `${description[0].toUpperCase()}${description.slice(1)}.`;
  }
  clear() {
    this.drawn.splice(0).forEach((one) => one.destroy());
    this.place.replaceChildren();
    this.numbers.replaceChildren();
  }
  show(answer, asked) {
    this.clear();
    const single = Object.entries(answer.results).filter(([, { axes }]) => !axes.length),
      fact = ([name, { values, unit }]) => h("div", {}, h("dt", {}, spaced(name)), h("dd", { class: "num" }, `${number(values, 4)}${unit ? ` ${unit}` : ""}`));
    this.numbers.replaceChildren(...single.map(fact));
    for (const { title, x, y, settings, series, word, rows } of picturesOf(answer)) {
      const made = rows ? raster(title, word, rows[0].length - 1, { x }) : chart(title, { x, y, ...settings });
      if (!rows) made.python = pythonCall(this.job.id, "analyse", answer.type, asked, location.origin);
      this.drawn.push(made);
      this.place.append(made.element);
      made.set(rows ?? series.map((one, i) => ({ ...one, style: seriesStyle(i) })));
    }
    this.said.textContent = `Weights of iteration ${answer.iteration}; ${number(answer.multiply_adds)} multiply-adds.`;
  }
  async run() {
    this.control?.abort();
    this.control = new AbortController();
    const given = this.inputs.map(([name, field]) => [name, field.value()]).filter(([, value]) => value !== undefined),
      asked = Object.fromEntries(given);
    this.said.textContent = "The server computes.";
    try {
      this.show(await post(`/v1/jobs/${this.job.id}/analyses`, { type: this.kind.value, ...asked }, this.control.signal), asked);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.said.textContent = error.status === 409 ? "No checkpoint yet: weights come with the first one." : error.sentence?.() || error.message;
    }
  }
}

/** Shows in `body` until `signal`. */
export async function analysesShow(body, job, signal) {
  body.replaceChildren(h("p", { class: "empty" }, "Loading."));
  try {
    const { analyses } = await get("/v1/analyses", signal);
    if (!signal.aborted) new Analyses(body, job, analyses, signal);
  } catch (error) {
    if (error.name !== "AbortError") body.replaceChildren(h("p", { class: "empty" }, error.message));
  }
}
