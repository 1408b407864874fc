/*
 * The form of a new job or experiment, made from /v1/tasks, /v1/rules and /v1/neurons: a parameter that the daemon learns tomorrow appears by itself. Several values
 * in a field, several rules or several seeds make an experiment (several.js), and what is checked and submitted is that.
 *
 * Only what differs from its default goes into the document, so that the curl line and the Python below it (snippets.js) are as short as a
 * person would write them. While one types the daemon validates the whole document, and each fault appears beside its field, found by JSON
 * Pointer.
 */
import { addressRead } from "./address.js";
import { get, post } from "./api.js";
import { catalog, parametersOf } from "./catalog.js";
import { datasetsRead } from "./datasets.js";
import { attempt, bytes, copied, duration, integerText, h, notice, number } from "./dom.js";
import { jobPut, onOpened } from "./jobs.js";
import { loadInto } from "./load.js";
import { seedsRead, submissionMake, templateOf, valuesRead } from "./several.js";
import { curlOf, jsonOf, pythonOf } from "./snippets.js";

const DEBOUNCE_MS = 250; // ms after the last key before the daemon is asked
/* What belongs to the job itself stands in the contract, not in /v1/tasks. */
const JOB_FIELDS = {
  name: { type: "string", default: null, nullable: true, description: "what the job is called in lists" },
  seed: {
    type: "integer",
    default: 1,
    minimum: 0,
    maximum: 2 ** 53 - 1,
    description: "initial weights, trials and evaluation batches; the same whatever the rule. Several, such as 1-20, make an experiment",
  },
  priority: { type: "integer", default: 0, minimum: -1e6, maximum: 1e6, description: "higher starts first" },
  threads: {
    type: "integer",
    default: null,
    nullable: true,
    minimum: 1,
    maximum: 4096,
    description: "at most this many; empty: all available ones. Results do not depend on it",
  },
  time_limit: {
    type: "integer",
    unit: "s",
    default: null,
    nullable: true,
    minimum: 1,
    maximum: 1e9,
    description: "fail the job after this much training time; empty: never",
  },
  metadata: {
    type: "custom",
    default: {},
    schema: { type: "object" },
    description: "anything you want to keep with the job",
  },
};
const LANGUAGES = { curl: ["curl", curlOf], python: ["Python", pythonOf], json: ["JSON", jsonOf] };
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

/** A field's text as a value of its parameter: what cannot be read goes to the daemon as text, which says what is wrong with it. */
export function valueRead(parameter, text) {
  const trimmed = text.trim();
  if (trimmed === "") return parameter.nullable ? null : undefined;
  if (parameter.type === "string" || parameter.type === "choice") return trimmed;
  if (parameter.type !== "custom") return Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
  try {
    return JSON.parse(trimmed);
  } catch {
    return trimmed;
  }
}
const valueText = (value) =>
  value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);

const settingsText = (settings) =>
  Object.entries(settings)
    .flatMap(([section, values]) => Object.entries(values).map(([name, value]) => `${section}.${name} ${valueText(value)}`))
    .join(", ");

/** A range as people write it; bounds that no one meets are left out. */
function range({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }) {
  const low = minimum ?? exclusiveMinimum,
    high = maximum ?? exclusiveMaximum,
    wide = (v) => v === undefined || Math.abs(v) >= 1e9,
    written = (v) => (Number.isInteger(v) ? integerText(v) : String(v));
  if (wide(low) && wide(high)) return "";
  if (wide(high)) return `${exclusiveMinimum !== undefined ? "above" : "at least"} ${written(low)}`;
  return `${exclusiveMinimum !== undefined ? "above " : ""}${low === undefined ? "…" : written(low)} to ${written(high)}`;
}

/** What may be written for a JSON schema, in a line: alternatives, numbers with their range, objects as an example of their form. */
export function schemaText(schema) {
  if (schema.oneOf) return schema.oneOf.map(schemaText).join(", or ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((v) => JSON.stringify(v)).join(" or ");
  const types = [schema.type].flat().filter((t) => t !== "null");
  if (types[0] === "object" && schema.properties)
    return `{${Object.entries(schema.properties)
      .map(([k, v]) => `"${k}"${schema.required?.includes(k) ? "" : "?"}: ${schemaText(v)}`)
      .join(", ")}}`;
  if (types[0] === "array")
    return `a list of ${schema.items?.enum ? schema.items.enum.map((v) => JSON.stringify(v)).join(", ") : `${schema.items?.type ?? "value"}s`}`;
  if (types[0] === "object") return "a JSON object";
  return [{ string: "a name", boolean: "true or false" }[types[0]] ?? types[0], range(schema)].filter(Boolean).join(" ");
}

function limits(parameter) {
  const value = valueText(parameter.default),
    allowed = parameter.schema ? schemaText(parameter.schema) : range(parameter);
  return [allowed, parameter.required ? "required" : `default ${value === "" ? "none" : value}`].filter(Boolean).join("; ");
}

const MODEL = "/network/model",
  DATASET = "/task/name",
  SEED = "/seed";

/** Boxes of which several may be chosen. */
function boxes(id, choices, chosen, changed) {
  const inputs = choices.map((choice, i) => h("input", { type: "checkbox", id: `${id}-${i}`, value: choice, checked: chosen.includes(choice), onchange: changed }));
  return {
    inputs,
    element: h("span", { class: "boxes", role: "group" }, inputs.map((input, i) => h("span", { class: "pair" }, input, h("label", { for: `${id}-${i}` }, String(choices[i]))))),
    chosen: () => choices.filter((_, i) => inputs[i].checked),
  };
}

class Field {
  /** `names`: the datasets that there are. */
  constructor(section, name, parameter, names, changed) {
    Object.assign(this, { section, name, parameter, pointer: `/${[...(section ? [section] : []), name].join("/")}` });
    const id = `f${this.pointer.replaceAll("/", "-")}`,
      about = { id, "aria-describedby": `${id}-about ${id}-fault`, oninput: changed },
      dataset = this.pointer === DATASET,
      choices = parameter.choices ?? (dataset && names.length ? ["", ...names] : null);
    if (choices)
      this.input = h(
        "select",
        about,
        choices.map((c) => h("option", { value: c }, c || "choose")),
      );
    else if (parameter.type === "boolean") this.input = h("input", { ...about, type: "checkbox" });
    else
      this.input = h("input", {
        ...about,
        type: "text",
        inputmode: ["integer", "number"].includes(parameter.type) ? "decimal" : null,
        autocomplete: "off",
        spellcheck: "false",
      });
    this.fault = h("p", { class: "fault-text", id: `${id}-fault` });
    const list = parameter.type === "boolean" ? [false, true] : (parameter.choices ?? null);
    this.many = section && list ? boxes(`${id}-many`, list, [], changed) : null;
    this.manyShow(false);
    const several =
      this.many &&
      h(
        "button",
        { type: "button", class: "several", "aria-pressed": "false", "aria-label": `several values of ${name.replaceAll("_", " ")}`, onclick: (event) => this.manyToggle(event.currentTarget, changed) },
        "several",
      );
    this.several = several;
    this.element = h(
      "div",
      { class: "field" },
      h("div", { class: "field-head" }, h("label", { for: id }, name.replaceAll("_", " "), parameter.unit ? h("span", { class: "unit" }, ` ${parameter.unit}`) : null), several),
      this.input,
      this.many?.element ?? null,
      h("p", { class: "about", id: `${id}-about` }, parameter.description, h("span", { class: "limits" }, ` ${limits(parameter)}`)),
      dataset ? h("p", { class: "about" }, h("a", { href: "#/datasets" }, "Datasets: upload, versions")) : null,
      this.fault,
    );
    this.set(parameter.default);
  }
  set(value) {
    if (this.parameter.type === "boolean") this.input.checked = Boolean(value);
    else {
      const text = valueText(value),
        missing = this.input.options && ![...this.input.options].some((o) => o.value === text);
      if (missing) this.input.append(h("option", { value: text }, text)); // of a template, gone since
      this.input.value = text;
    }
  }
  manyShow(on) {
    if (!this.many) return;
    this.many.element.hidden = !on;
    this.input.hidden = on;
    this.several?.setAttribute("aria-pressed", String(on));
  }
  manyToggle(_, changed) {
    const on = this.many.element.hidden,
      now = this.parameter.type === "boolean" ? this.input.checked : this.input.value;
    if (on) this.many.inputs.forEach((input) => (input.checked = input.value === String(now)));
    this.manyShow(on);
    changed();
  }
  /** Several values, of an axis; null where there is one. */
  values() {
    if (this.many && !this.many.element.hidden) {
      const chosen = this.many.chosen();
      return chosen.length > 1 ? chosen : null;
    }
    if (this.pointer === SEED || this.input.type !== "text") return null;
    return valuesRead(this.parameter, this.input.value, valueRead);
  }
  /** Shows several values, of an axis. */
  setSeveral(values) {
    if (!this.many) this.input.value = values.map(valueText).join(", ");
    else {
      this.many.inputs.forEach((input) => (input.checked = values.map(String).includes(input.value)));
      this.manyShow(true);
    }
  }
  value() {
    if (this.many && !this.many.element.hidden) return this.many.chosen()[0] ?? this.parameter.default;
    return this.parameter.type === "boolean" ? this.input.checked : valueRead(this.parameter, this.input.value);
  }
  say(text) {
    this.fault.textContent = text;
    if (text) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }
}

const jobFacts = (e) => [
  ["Memory", bytes(e.memory_bytes)],
  ["Checkpoint", bytes(e.checkpoint_bytes)],
  ["Multiply-adds per iteration", number(e.multiply_adds)],
  ["Method", e.method],
  ...(e.training?.seconds > 0 ? [["Training, about", duration(e.training.seconds)]] : []),
  ...(e.evaluation?.seconds > 0 ? [["Evaluation, about", duration(e.evaluation.seconds)]] : []),
];
const experimentFacts = ({ points, seeds, trials, estimate: e }) => [
  ["Points", integerText(points)],
  ["Seeds", integerText(seeds)],
  ["Trials", integerText(trials)],
  ...(e.core_hours > 0 ? [["Cost, about", `${duration(3600 * e.core_hours)} of a core`]] : []),
  ["Disk, about", bytes(Math.round(e.bytes))],
  ["Memory of a trial", bytes(Math.round(e.memory_bytes))],
];
/** A fault of an experiment's point or base belongs to the job's field. */
const pointerOf = (pointer) => pointer.replace(/^\/(?:points\/\d+|base)(?=\/)/, "").replace(/^\/seeds.*/, SEED);

class Form {
  /** `from`: {template (a job), rules, values, seeds} of an experiment, where it begins with one. */
  constructor(place, all, template, signal, from = null) {
    Object.assign(this, { place, all, signal, fields: [], timer: 0, control: null, fault: null });
    this.state = h("span", { class: "hint" });
    this.task = this.pick("task", all.tasks, template?.task?.type || all.tasks[0].type);
    this.rule = this.pick("rule", all.rules, template?.rule?.type || all.rule);
    this.sections = h("div", { class: "sections" });
    const changed = () => this.changed(),
      own = (id, more) => h("input", { id, autocomplete: "off", oninput: changed, ...more });
    this.also = boxes("f-also", all.rules.map(({ type }) => type), from?.rules ?? [], changed);
    this.about = {
      threshold: own("f-threshold", { type: "number", step: "any", value: "0.1" }),
      row: own("f-row", { type: "number", min: 1, step: 1, value: 5 }),
      tags: own("f-tags", { value: (from?.tags ?? []).join(", ") }),
      notes: own("f-notes", { value: from?.notes ?? "" }),
    };
    this.summary = h("div", { class: "summary", role: "status", "aria-live": "polite" });
    this.code = h("pre", { tabindex: "0", "aria-label": "The same job as code" });
    this.language = "curl";
    this.button = h("button", { class: "primary", type: "submit" }, "Submit");
    const words = Object.entries(LANGUAGES).map(([key, [text]]) =>
      h(
        "button",
        {
          type: "button",
          class: "quiet",
          "aria-pressed": String(key === "curl"),
          "data-language": key,
          onclick: (e) => this.speak(e.currentTarget),
        },
        text,
      ),
    );
    const copy = h(
      "button",
      {
        type: "button",
        class: "quiet",
        onclick: () => attempt(() => this.copy()),
      },
      "Copy",
    );
    place.replaceChildren(
      h("h1", {}, from ? "New experiment, from another" : template?.id ? "New job, from another" : "New job or experiment"),
      h("p", { class: "hint" }, "Several values in a field (0.1, 0.25, 0.5), several rules, or several seeds (1-20) make an experiment: every combination is trained and compared."),
      h(
        "form",
        {
          class: "job-form",
          novalidate: true,
          onsubmit: (e) => {
            e.preventDefault();
            this.submit();
          },
        },
        this.sections,
        h(
          "aside",
          { class: "side", "aria-label": "Check and submit" },
          h("h2", {}, "Check"),
          this.summary,
          h("div", { class: "actions submit" }, this.button, this.state),
          h("h2", {}, "The same as"),
          h("div", { class: "controls" }, words, copy),
          this.code,
        ),
      ),
    );
    this.words = words;
    this.build(template);
    if (from) this.severalTake(from);
  }
  severalTake({ values, seeds }) {
    for (const field of this.fields) {
      if (field.pointer === SEED) field.input.value = seeds;
      else if (values.has(field.pointer)) field.setSeveral(values.get(field.pointer));
    }
    this.changed();
  }
  pick(word, list, value) {
    return h(
      "select",
      { id: `f-${word}-type`, value, "aria-describedby": `f-${word}-type-about`, onchange: () => this.build(this.written()) },
      list.map((entry) => h("option", { value: entry.type, selected: entry.type === value }, entry.type)),
    );
  }
  speak(button) {
    this.language = button.dataset.language;
    for (const word of this.words) word.setAttribute("aria-pressed", String(word === button));
    this.show();
  }
  /** All fields anew for the chosen task and rule; values of `kept` that have a field stay. */
  build(kept) {
    const active = document.activeElement?.id;
    const of = (list, chosen) => list.find((entry) => entry.type === chosen.value),
      known = parametersOf(this.all, this.task.value, this.rule.value, kept?.network?.model);
    const several = new Map(this.fields.map((field) => [field.pointer, field.pointer === SEED ? this.seeds() && field.input.value : field.values()]));
    this.fields = [];
    const make = (section, parameters) =>
      Object.entries(parameters).map(([name, parameter]) => {
        const field = new Field(section, name, parameter, this.all.datasets, () => this.fieldChanged(field)),
          from = section ? kept?.[section] : kept;
        if (from && Object.hasOwn(from, name)) field.set(from[name]);
        this.fields.push(field);
        return field.element;
      });
    const group = (title, open, ...children) =>
      h("details", { class: "group", open }, h("summary", {}, h("h2", {}, title)), h("div", { class: "fields" }, children));
    const chooser = (word, select, { description, recommended = [] }) =>
      h(
        "div",
        { class: "field wide" },
        h("label", { for: select.id }, word),
        select,
        h("p", { class: "about", id: `${select.id}-about` }, description),
        recommended.map((one) => this.recommendation(one)),
      );
    const opened = (title) => [...this.sections.children].find((d) => d.querySelector("h2")?.textContent === title)?.open;
    this.sections.replaceChildren(
      ...[
        group("Task", true, chooser("task", this.task, of(this.all.tasks, this.task)), make("task", known.task)),
        group("Rule", true, chooser("rule", this.rule, of(this.all.rules, this.rule)), this.alsoMake(), make("rule", known.rule)),
        group("Job", true, make("", JOB_FIELDS)),
        this.experimentMake(),
        group("Training", opened("Training") ?? true, make("training", known.training)),
        group("Network", opened("Network") ?? false, make("network", known.network)),
        group("Optimizer", opened("Optimizer") ?? false, make("optimizer", known.optimizer)),
      ],
    );
    for (const field of this.fields) {
      const values = several.get(field.pointer);
      if (values && field.pointer === SEED) field.input.value = values;
      else if (values) field.setSeveral(values);
    }
    if (active) document.getElementById(active)?.focus();
    this.changed();
  }
  /** The other rules, which an experiment compares with the chosen one. */
  alsoMake() {
    this.also.inputs.forEach((input) => {
      input.closest(".pair").hidden = input.value === this.rule.value;
    });
    this.also.element.setAttribute("aria-labelledby", "f-also");
    return h(
      "div",
      { class: "field wide" },
      h("span", { class: "field-title", id: "f-also" }, "compared with"),
      this.also.element,
      h("p", { class: "about" }, "other rules, which then make an experiment: each is trained on the same seeds"),
    );
  }
  /** What belongs to an experiment alone; hidden while this is a job. */
  experimentMake() {
    const field = (id, label, input, about) => h("div", { class: "field" }, h("label", { for: id }, label), input, h("p", { class: "about" }, about));
    this.experimentGroup = h(
      "details",
      { class: "group", open: true, hidden: true },
      h("summary", {}, h("h2", {}, "Experiment")),
      h(
        "div",
        { class: "fields" },
        field("f-threshold", "learned: loss below", this.about.threshold, "the loss below which a trial counts as having learned; empty: no such metric. Others can be chosen later"),
        field("f-row", "evaluations in a row", this.about.row, "how many in a row have to be below it"),
        field("f-tags", "tags", this.about.tags, "words, separated by commas, by which lists are filtered"),
        field("f-notes", "notes", this.about.notes, "anything that you want to read there later"),
      ),
    );
    return this.experimentGroup;
  }
  /** Settings that were measured to work well, and what takes them over. */
  recommendation({ for: use, settings, evidence }) {
    const take = () => {
      const kept = this.written();
      for (const [section, values] of Object.entries(settings)) kept[section] = { ...kept[section], ...values };
      this.build(kept);
      notice(`Set for ${use}`);
    };
    return h(
      "p",
      { class: "about" },
      `Recommended for ${use}: ${settingsText(settings)}. ${evidence} `,
      h("button", { type: "button", class: "quiet", onclick: take }, "Use these settings"),
    );
  }
  /** What differs from the defaults, by section. */
  written() {
    const written = {};
    for (const field of this.fields) {
      if (field.values() || (field.pointer === SEED && this.seeds())) continue;
      const value = field.value();
      if (value === undefined || same(value, field.parameter.default ?? null)) continue;
      if (field.section) (written[field.section] ||= {})[field.name] = value;
      else written[field.name] = value;
    }
    return written;
  }
  document() {
    const { task, rule, ...rest } = this.written();
    return { task: { type: this.task.value, ...task }, rule: { type: this.rule.value, ...rule }, ...rest };
  }
  copy() {
    return copied(this.code.textContent, this.code);
  }
  /** Several seeds, as the API takes them; null where there is one, or where the text is none (the daemon says so). */
  seeds() {
    const field = this.fields.find(({ pointer }) => pointer === SEED);
    try {
      return field ? seedsRead(field.input.value || "1") : null;
    } catch {
      return null;
    }
  }
  /** What is to be submitted: {job} or {experiment}. */
  submission() {
    const { threshold, row, tags, notes } = this.about,
      rules = [this.rule.value, ...this.also.chosen().filter((type) => type !== this.rule.value)],
      words = tags.value.split(",").map((tag) => tag.trim());
    return submissionMake({
      document: this.document(),
      rules,
      several: this.fields.map((field) => ({ section: field.section, name: field.name, values: field.values() })).filter(({ values }) => values),
      seeds: this.seeds(),
      about: { threshold: threshold.value === "" ? null : Number(threshold.value), row: Math.max(1, Math.floor(Number(row.value)) || 1), tags: words.filter(Boolean), notes: notes.value.trim() },
    });
  }
  show() {
    const write = LANGUAGES[this.language][1],
      made = this.submission();
    this.code.textContent = write(made, location.origin);
    this.button.textContent = made.experiment ? "Submit the experiment" : "Submit";
    this.experimentGroup.hidden = !made.experiment;
  }
  /** Another neuron model has other parameters, and other defaults. */
  fieldChanged(field) {
    if (field.pointer === MODEL && !field.values()) this.build(this.written());
    else this.changed();
  }
  changed() {
    this.show();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.validate(), DEBOUNCE_MS);
  }
  async validate() {
    if (this.control) this.control.abort();
    this.control = new AbortController();
    const { job, experiment } = this.submission();
    try {
      const answer = await post(experiment ? "/v1/experiments:validate" : "/v1/jobs:validate", experiment ?? job, this.control.signal);
      this.faults([]);
      this.state.textContent = "Valid.";
      this.summary.replaceChildren(
        h("p", { class: "good" }, experiment ? `The experiment is valid: ${plural(answer.trials, "trial")}.` : "The job is valid."),
        h("dl", { class: "facts" }, (experiment ? experimentFacts(answer) : jobFacts(answer.estimate)).map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", { class: "num" }, v)))),
      );
    } catch (error) {
      if (error.name !== "AbortError" && !this.signal.aborted) this.refuse(error);
    }
  }
  refuse(error) {
    const rest = this.faults(error.errors || []);
    const n = (error.errors || []).length,
      said = n ? `${n} ${n === 1 ? "field needs" : "fields need"} a change.` : error.message;
    this.state.textContent = said;
    this.summary.replaceChildren(
      h("p", { class: "bad" }, said),
      h(
        "ul",
        { class: "plain" },
        (error.errors || []).map((e) =>
          h("li", {}, h("code", {}, e.pointer), ` ${e.detail}`, rest.includes(e) ? " (not in this form)" : ""),
        ),
      ),
    );
  }
  /** Tells each field its fault; returns those that have no field. A fault inside a value belongs to the value's field. */
  faults(errors) {
    const rest = [];
    for (const field of this.fields) field.say("");
    for (const error of errors) {
      const at = pointerOf(error.pointer),
        field = this.fields.find((f) => at === f.pointer || at.startsWith(`${f.pointer}/`));
      if (!field) {
        rest.push(error);
        continue;
      }
      field.say(error.detail);
      field.element.closest("details").open = true;
    }
    return rest;
  }
  async submit() {
    const { job, experiment } = this.submission();
    this.button.disabled = true;
    try {
      const made = await post(experiment ? "/v1/experiments" : "/v1/jobs", experiment ?? job);
      if (!experiment) jobPut(made);
      notice(experiment ? `${plural(made.trials, "trial")} submitted` : "1 job submitted");
      location.hash = experiment ? `#/experiments/${made.id}` : `#/jobs/${made.id}`;
    } catch (error) {
      this.refuse(error);
      this.fields.find((f) => f.input.getAttribute("aria-invalid"))?.input.focus();
    } finally {
      this.button.disabled = false;
    }
  }
  end() {
    clearTimeout(this.timer);
    if (this.control) this.control.abort();
  }
}

/** Shows the form in `place` until `signal`, filled from job `id` where given; the address may name an experiment, or a dataset to train on. */
export function formShow(place, id, signal) {
  const { settings } = addressRead(),
    name = settings.get("dataset"),
    experiment = settings.get("experiment");
  loadInto(place, "There is nothing to start from", signal, async () => {
    const [known, job, other, { datasets }] = await Promise.all([
      catalog(),
      id ? get(`/v1/jobs/${id}`, signal) : null,
      experiment ? get(`/v1/experiments/${experiment}`, signal) : null,
      datasetsRead(signal).catch(() => ({ datasets: [] })),
    ]);
    if (signal.aborted) return;
    const from = other && templateOf(other.specification),
      template = from?.template ?? job ?? (name ? { task: { type: "dataset", name } } : null),
      all = { ...known, datasets: datasets.filter((d) => d.kind !== "weights").map((d) => d.name) };
    if (other && !from) notice("This experiment has axes that the form does not have; submit it as JSON by curl, Python or the command line", true);
    const form = new Form(place, all, template, signal, from);
    const endOpened = onOpened(() => form.validate());
    signal.addEventListener("abort", () => {
      endOpened();
      form.end();
    });
  });
}
