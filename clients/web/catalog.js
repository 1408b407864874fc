/*
 * What can be trained and how, as the daemon says it: /v1/tasks, /v1/rules and /v1/neurons, read once. They change with the daemon alone, so they are
 * forgotten when the stream opens anew.
 */
import { get } from "./api.js";
import { ruleColoursSet } from "./colours.js";
import { jobsTouched, onOpened } from "./jobs.js";

let reading = null;
onOpened(() => {
  reading = null;
});

/** {tasks, rules, rule (the default's type), neurons, neuron (likewise)}. */
export function catalog() {
  reading ??= Promise.all([get("/v1/tasks"), get("/v1/rules"), get("/v1/neurons")]).then(
    ([tasks, rules, neurons]) => {
      if (ruleColoursSet(rules.rules)) jobsTouched();
      return { tasks: tasks.tasks, rules: rules.rules, rule: rules.default, neurons: neurons.neurons, neuron: neurons.default };
    },
    (error) => {
      reading = null;
      throw error;
    },
  );
  return reading;
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const named = (list, type) => list.find((entry) => entry.type === type);

/**
 * `parameters` with the defaults that hold: a neuron model's own come before the task's, and those before the table's, `plain`. A task lists whole
 * sections; its own are those that differ from the table's.
 */
function defaulted(parameters, plain, model, section, task) {
  const ofModel = section === "network" ? model?.parameters : model?.defaults.rule;
  const value = (name, parameter) => {
    if (model?.own_defaults[section].includes(name)) return ofModel[name].default;
    return task?.[name] && plain?.[name] && !same(task[name].default, plain[name].default) ? task[name].default : parameter.default;
  };
  return Object.fromEntries(Object.entries(parameters ?? {}).map(([name, parameter]) => [name, { ...parameter, default: value(name, parameter) }]));
}

/** The parameters of a job's sections, as its task, rule and neuron model define them: {task, network, rule, optimizer, training}. */
export function parametersOf(all, task, rule, neuron = all.neuron) {
  const found = named(all.tasks, task),
    model = named(all.neurons, neuron),
    plain = { network: named(all.neurons, all.neuron)?.parameters, rule: named(all.rules, all.rule)?.parameters },
    of = (section, parameters) => defaulted(parameters, plain[section], model, section, found?.defaults[section]);
  return {
    ...found?.defaults,
    task: found?.parameters ?? {},
    network: of("network", model?.parameters ?? found?.defaults.network),
    rule: of("rule", named(all.rules, rule)?.parameters),
  };
}
