/*
 * What the trained network does on fresh trials: inputs, rates of chosen units, outputs, one under the other over the same time.
 */
import { post } from "./api.js";
import { chart, linked } from "./charts.js";
import { h } from "./dom.js";
import { raster } from "./raster.js";

const STEPS_SHOWN = 2000,
  UNITS_MAX = 24,
  UNITS_FIRST = 8,
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

/** What the trial wanted: a class where the task has classes. */
function labelText(labels, at) {
  const label = labels?.[at];
  return label === undefined || label === null ? "" : `, class ${JSON.stringify(label)}`;
}

/** What is shown of trial `at` of an answer: title, y, values by step, names. */
function chartsOf(answer, at) {
  const numbered = (word, list) => list.map((i) => `${word} ${i}`),
    count = (values) => values[0]?.[at].map((_, i) => i) ?? [];
  return [
    ["Inputs", "input", answer.inputs, numbered("input", count(answer.inputs))],
    ["Firing rates", "rate", answer.rates, numbered("unit", answer.units)],
    ["Outputs", "readout", answer.outputs, numbered("output", count(answer.outputs))],
  ].filter(([, , values, names]) => values.length && names.length);
}

/** Shows in `body` until `signal`. */
export function activityShow(body, job, signal) {
  const n = job.network.units,
    field = (id, label, input) => h("span", { class: "pair" }, h("label", { for: id }, label), input);
  const units = h("input", { id: "units", value: `0-${Math.min(UNITS_FIRST, n) - 1}`, size: 12, "aria-describedby": "activity-said" });
  const seed = h("input", { id: "trial-seed", type: "number", min: 0, value: 1 });
  const trial = h("input", { id: "trial", type: "number", min: 1, max: TRIALS_MAX, value: 1 });
  const said = h("p", { class: "hint", id: "activity-said", role: "status" });
  const place = h("div", { class: "stack" }),
    link = linked();
  let control = null;
  const show = (answer, at) => {
    link.destroy();
    place.replaceChildren();
    for (const [title, y, values, names] of chartsOf(answer, at)) {
      const series = names.map((name) => ({ name }));
      const x = "time, ms",
        map = names.length > LINES_MAX && values !== answer.rates; // units are as many as were asked for
      const made = link.add((zoomed) => (map ? raster(title, y, names.length, { x }) : chart(title, series, { x, y, zoomed })));
      place.append(made.element);
      made.set(values.map((step, t) => [t * answer.every, ...step[at]]));
    }
    said.textContent = `Trial ${at + 1} of seed ${seed.value}${labelText(answer.labels, at)}; weights of iteration ${answer.iteration}.`;
  };
  const simulate = (ask) => post(`/v1/jobs/${job.id}/simulate`, ask, control.signal);
  const run = async () => {
    if (control) control.abort();
    control = new AbortController();
    try {
      const chosen = unitsParse(units.value, n),
        at = Number(trial.value) - 1;
      if (!(at >= 0 && at < TRIALS_MAX)) throw new Error(`Trial: a number from 1 to ${TRIALS_MAX}`);
      said.textContent = "Running the trials.";
      units.removeAttribute("aria-invalid");
      const ask = { trials: at + 1, seed: Number(seed.value), units: chosen };
      let answer = await simulate(ask);
      if (answer.steps > STEPS_SHOWN) answer = await simulate({ ...ask, every: Math.ceil(answer.steps / STEPS_SHOWN) });
      show(answer, at);
    } catch (error) {
      if (error.name === "AbortError") return;
      said.textContent = error.status === 409 ? "No checkpoint yet: weights come with the first one." : error.sentence?.() || error.message;
      if (!error.sentence) units.setAttribute("aria-invalid", "true");
    }
  };
  const next = () => {
    seed.value = Number(seed.value) + 1;
    run();
  };
  const submit = (event) => {
    event.preventDefault();
    run();
  };
  body.replaceChildren(
    h(
      "form",
      { class: "controls", onsubmit: submit },
      field("units", "Units", units),
      field("trial-seed", "Seed", seed),
      field("trial", "Trial", trial),
      h("button", { class: "primary" }, "Run"),
      h("button", { type: "button", class: "quiet", onclick: next }, "Next seed"),
    ),
    said,
    place,
  );
  run();
  signal.addEventListener("abort", () => {
    if (control) control.abort();
    link.destroy();
  });
}
