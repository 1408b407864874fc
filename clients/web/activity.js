/*
 * What the trained network does on fresh trials: inputs, rates of chosen units, outputs, one under the other over the same time.
 */
import { post } from "./api.js";
import { chart } from "./charts.js";
import { h } from "./dom.js";

const STEPS_SHOWN = 2000,
  UNITS_MAX = 24;

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

/** Shows in `body`; returns what ends it. */
export function activityShow(body, job) {
  const n = job.network.units,
    field = (id, label, input) => [h("label", { for: id }, label), input];
  const units = h("input", { id: "units", value: `0-${Math.min(9, n - 1)}`, size: 12, "aria-describedby": "activity-said" });
  const seed = h("input", { id: "trial-seed", type: "number", min: 0, value: 1, size: 6 });
  const trial = h("input", { id: "trial", type: "number", min: 1, max: 16, value: 1, size: 4 });
  const said = h("p", { class: "hint", id: "activity-said", role: "status" });
  const place = h("div", { class: "stack" });
  let charts = [],
    control = null;
  const clear = () => {
    charts.forEach((c) => c.destroy());
    charts = [];
  };
  const add = (title, values, labels, at, every) => {
    if (!values.length || !values[0][at].length) return;
    const made = chart(title, ["ms", ...labels], { axes: { x: { axisLabelWidth: 60 }, y: { axisLabelWidth: 44, pixelsPerLabel: 22 } } });
    charts.push(made);
    place.append(made.element);
    made.set(values.map((step, t) => [t * every, ...step[at]]));
  };
  const named = (word, count) => Array.from({ length: count }, (_, i) => `${word} ${i}`);
  const run = async () => {
    if (control) control.abort();
    control = new AbortController();
    try {
      const chosen = unitsParse(units.value, n),
        at = Number(trial.value) - 1;
      if (!(at >= 0 && at < 16)) throw new Error("Trial: a number from 1 to 16");
      said.textContent = "Running the trials.";
      units.removeAttribute("aria-invalid");
      const ask = { trials: at + 1, seed: Number(seed.value), units: chosen };
      let answer = await post(`/v1/jobs/${job.id}/simulate`, ask, control.signal);
      if (answer.steps > STEPS_SHOWN)
        answer = await post(`/v1/jobs/${job.id}/simulate`, { ...ask, every: Math.ceil(answer.steps / STEPS_SHOWN) }, control.signal);
      clear();
      place.replaceChildren();
      add("Inputs", answer.inputs, named("input", answer.inputs[0][at].length), at, answer.every);
      add(
        "Rates",
        answer.rates,
        answer.units.map((u) => `unit ${u}`),
        at,
        answer.every,
      );
      add("Outputs", answer.outputs, named("output", answer.outputs[0][at].length), at, answer.every);
      const label =
        answer.labels && answer.labels[at] !== undefined && answer.labels[at] !== null
          ? `, class ${JSON.stringify(answer.labels[at])}`
          : "";
      said.textContent = `Trial ${at + 1} of seed ${seed.value}${label}; weights of iteration ${answer.iteration}.`;
    } catch (error) {
      if (error.name === "AbortError") return;
      said.textContent = error.sentence ? error.sentence() : error.message;
      if (!error.sentence) units.setAttribute("aria-invalid", "true");
    }
  };
  body.replaceChildren(
    h(
      "form",
      {
        class: "controls",
        onsubmit: (e) => {
          e.preventDefault();
          run();
        },
      },
      field("units", "Units", units),
      field("trial-seed", "Seed", seed),
      field("trial", "Trial", trial),
      h("button", { class: "primary" }, "Run"),
      h(
        "button",
        {
          type: "button",
          class: "quiet",
          onclick: () => {
            seed.value = Number(seed.value) + 1;
            run();
          },
        },
        "Next trial",
      ),
    ),
    said,
    place,
  );
  run();
  return () => {
    if (control) control.abort();
    clear();
  };
}
