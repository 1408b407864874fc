/*
 * What the trained network does on fresh trials: inputs with their cues, rates of units, outputs with what was wanted of them, one under the other
 * over the same time. The steps that count are shaded.
 */
import { post } from "./api.js";
import { chart, chartsLink } from "./charts.js";
import { seriesStyle } from "./colours.js";
import { h } from "./dom.js";
import { raster } from "./raster.js";
import { rect, within } from "./scene.js";
import { pythonCall } from "./snippets.js";

const STEPS_SHOWN = 2000,
  UNITS_MAX = 24,
  TRIALS_MAX = 16,
  LINES_MAX = 8; // more inputs or outputs than have a colour of their own are a map

/** "0-4, 9" as units; throws a sentence for what is none. */
export function unitsParse(text, count) {
  const units = new Set();
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part);
    const last = range && Number(range[2] ?? range[1]);
    if (!range || last >= count || Number(range[1]) > last) throw new Error(`Units: ${part} is no unit or range from 0 to ${count - 1}`);
    for (let unit = Number(range[1]); unit <= last && units.size <= UNITS_MAX; unit++) units.add(unit);
  }
  if (units.size > UNITS_MAX) throw new Error(`Units: at most ${UNITS_MAX} at once`);
  if (!units.size) throw new Error("Units: name at least one");
  return [...units];
}

/** The moments of trial `at` that count, as spans [from, to] of time; none where there is no mask, or where everything counts. */
export function countedSpans({ mask, every }, at) {
  const spans = [];
  if (!mask || mask.every((step) => step[at] > 0)) return spans;
  mask.forEach((step, t) => {
    if (!(step[at] > 0)) return;
    const from = (t - 0.5) * every;
    if (spans.length && spans.at(-1)[1] >= from) spans.at(-1)[1] = from + every;
    else spans.push([from, from + every]);
  });
  return spans;
}

/** What a trial wanted where it counts: classes as one series of numbers, values as a series an output; null where nothing is known of it. */
export function targetsOf({ targets, loss_type }, at) {
  if (!targets?.length) return null;
  const classes = loss_type === "cross_entropy",
    known = (v) => v ?? NaN, // not a number breaks a line
    width = classes ? 1 : (targets.find((step) => Array.isArray(step[at]))?.[at].length ?? 0);
  const values = targets.map((step) => (Array.isArray(step[at]) ? step[at].map(known) : new Array(width).fill(known(step[at]))));
  return width ? { classes, values } : null;
}

/** What lies below the lines: shades the spans that count, and of classes draws the wanted one as a strip of its output's colour along the top. */
function underlay(spans, wanted, every) {
  return ({ area, xs }, theme) => {
    const [, top, , high] = area,
      span = (from, to, height, look) => rect(xs.to(from), top, Math.max(0.5, xs.to(to) - xs.to(from)), height, look),
      strip = wanted?.classes ? wanted.values.map(([answer], t) => [t, answer]).filter(([, answer]) => !Number.isNaN(answer)) : [];
    return [
      within(area, [
        ...spans.map(([from, to]) => span(from, to, high, { fill: theme.counted, name: "counted" })),
        ...strip.map(([t, answer]) => span((t - 0.5) * every, (t + 0.5) * every, 7, { fill: theme.of(seriesStyle(answer)) })),
      ]),
    ];
  };
}

/** The series of the outputs: each in a colour, and where values were wanted the wanted one dashed in the same colour. */
function outputsOf(answer, at, wanted) {
  const n = answer.outputs[0]?.[at].length ?? 0,
    names = Array.from({ length: n }, (_, i) => `output ${i}`),
    series = names.map((name, i) => ({ name, style: seriesStyle(i) })),
    both = wanted && !wanted.classes && n <= LINES_MAX;
  if (both) series.push(...names.map((name, i) => ({ name: `target ${i}`, style: { ...seriesStyle(i), dash: 1 } })));
  return { title: "Outputs", y: "readout", series, rows: answer.outputs.map((step, t) => [...step[at], ...(both ? wanted.values[t] : [])]), map: n > LINES_MAX };
}

/** Whether all that the units of a trial do is spike. */
export const spikesOnly = (rates, at) => rates.every((step) => step[at].every((v) => v === 0 || v === 1)) && rates.some((step) => step[at].includes(1));

/** What is shown of trial `at` of an answer: {title, y, series, rows, map (whether as a map)}. */
function picturesOf(answer, at) {
  const plain = (title, y, word, values, numbers, map) => ({
    title,
    y,
    series: numbers.map((n, i) => ({ name: `${word} ${n}`, style: seriesStyle(i) })),
    rows: values.map((step) => step[at]),
    map,
  });
  const inputs = answer.inputs[0]?.[at].map((_, i) => i) ?? [],
    wanted = targetsOf(answer, at),
    spikes = spikesOnly(answer.rates, at);
  return [
    plain("Inputs", "input", "input", answer.inputs, inputs, inputs.length > LINES_MAX),
    spikes ? plain("Spikes", "unit", "unit", answer.rates, answer.units, true) : plain("Firing rates", "rate", "unit", answer.rates, answer.units, false), // units are as many as were asked for
    { ...outputsOf(answer, at, wanted), wanted },
  ].filter(({ rows, series }) => rows.length && series.length);
}

/** A sentence on what is seen: which trial, what it wanted, what counts. */
function aboutText(answer, at, seed) {
  const label = answer.labels?.[at],
    index = answer.dataset_sha256 ? answer.trial_indices?.[at] : null,
    wanted = targetsOf(answer, at),
    drawn = index === null || index === undefined ? "" : `, number ${index} of the data`,
    from = `Trial ${at + 1} of seed ${seed}${drawn}`;
  return [
    `${from}${label === undefined || label === null ? "" : `, class ${JSON.stringify(label)}`}; weights of iteration ${answer.iteration}.`,
    countedSpans(answer, at).length ? "Shaded: the steps that count." : wanted ? "Every step counts." : "",
    wanted && (wanted.classes ? "The strip above the outputs has the colour of the target class." : "Dashed: the target."),
  ]
    .filter(Boolean)
    .join(" ");
}

class Activity {
  constructor(body, job, signal) {
    Object.assign(this, { job, control: null, link: chartsLink() });
    this.said = h("p", { class: "hint", id: "activity-said", role: "status" });
    this.place = h("div", { class: "stack" });
    body.replaceChildren(this.formMake(), this.said, this.place);
    this.run();
    signal.addEventListener("abort", () => {
      if (this.control) this.control.abort();
      this.link.destroy();
    });
  }
  formMake() {
    const field = (id, label, input) => h("span", { class: "pair" }, h("label", { for: id }, label), input),
      about = { placeholder: "of every type", size: 14, "aria-describedby": "activity-said" };
    this.units = h("input", { id: "units", ...about });
    this.seed = h("input", { id: "trial-seed", type: "number", min: 0, value: 1 });
    this.trial = h("input", { id: "trial", type: "number", min: 1, max: TRIALS_MAX, value: 1 });
    const next = () => {
      this.seed.value = Number(this.seed.value) + 1;
      this.run();
    };
    const submit = (event) => {
      event.preventDefault();
      this.run();
    };
    return h(
      "form",
      { class: "controls", onsubmit: submit },
      field("units", "Units", this.units),
      field("trial-seed", "Seed", this.seed),
      field("trial", "Trial", this.trial),
      h("button", { class: "primary" }, "Run"),
      h("button", { type: "button", class: "quiet", onclick: next }, "Next seed"),
    );
  }
  show(answer, at) {
    const spans = countedSpans(answer, at),
      x = "time, ms";
    this.link.destroy();
    this.place.replaceChildren();
    for (const { title, y, series, rows, map, wanted } of picturesOf(answer, at)) {
      const under = underlay(spans, wanted, answer.every),
        make = (zoomed) => (map ? raster(title, y === "readout" ? "output" : y, series.length, { x, names: title === "Spikes" ? answer.units : null }) : chart(title, { x, y, zoomed, under })),
        made = this.link.add(make),
        times = rows.map((_, t) => t * answer.every);
      if (!map) made.python = this.python(answer, at);
      this.place.append(made.element);
      if (map) made.set(rows.map((row, t) => [times[t], ...row]));
      else made.set(series.map((one, i) => ({ ...one, x: times, y: rows.map((row) => row[i]), gaps: true })));
    }
    this.said.textContent = aboutText(answer, at, this.seed.value);
  }
  python({ units, every }, at) {
    return pythonCall(this.job.id, "simulate", null, { trials: at + 1, seed: Number(this.seed.value), units, every }, location.origin);
  }
  async answer(ask) {
    const simulate = (body) => post(`/v1/jobs/${this.job.id}/simulate`, body, this.control.signal),
      answer = await simulate(ask);
    return answer.steps > STEPS_SHOWN ? simulate({ ...ask, every: Math.ceil(answer.steps / STEPS_SHOWN) }) : answer;
  }
  async run() {
    if (this.control) this.control.abort();
    this.control = new AbortController();
    try {
      const text = this.units.value.trim(),
        units = text ? unitsParse(text, this.job.network.units) : null, // null: some of every cell type, as the daemon chooses
        at = Number(this.trial.value) - 1;
      if (!(at >= 0 && at < TRIALS_MAX)) throw new Error(`Trial: a number from 1 to ${TRIALS_MAX}`);
      this.said.textContent = "Running the trials.";
      this.units.removeAttribute("aria-invalid");
      this.show(await this.answer({ trials: at + 1, seed: Number(this.seed.value), units }), at);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.said.textContent = error.status === 409 ? "No checkpoint yet: weights come with the first one." : error.sentence?.() || error.message;
      if (!error.sentence) this.units.setAttribute("aria-invalid", "true");
    }
  }
}

/** Shows in `body` until `signal`. */
export function activityShow(body, job, signal) {
  new Activity(body, job, signal);
}
