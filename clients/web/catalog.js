/*
 * What can be trained and how, as the daemon tells it: /v1/tasks and /v1/rules, read once. They change with the daemon alone, so they are
 * forgotten when the stream opens anew.
 */
import { get } from "./api.js";
import { coloursTake } from "./colours.js";
import { jobsTouched, onOpened } from "./jobs.js";

let reading = null;
onOpened(() => {
  reading = null;
});

/** {tasks, rules, rule (the default's type)}. */
export function catalog() {
  reading ??= Promise.all([get("/v1/tasks"), get("/v1/rules")]).then(
    ([tasks, rules]) => {
      if (coloursTake(rules.rules)) jobsTouched();
      return { tasks: tasks.tasks, rules: rules.rules, rule: rules.default };
    },
    (error) => {
      reading = null;
      throw error;
    },
  );
  return reading;
}

/** The parameters of a job's sections, as its task and rule define them: {task, network, rule, optimizer, training}. */
export function parametersOf({ tasks, rules }, task, rule) {
  const found = tasks.find((t) => t.type === task),
    by = rules.find((r) => r.type === rule);
  return { ...found?.defaults, task: found?.parameters ?? {}, rule: by?.parameters ?? {} };
}
