/*
 * A job or an experiment as a person would write it elsewhere: a curl line, Python, JSON. `made` is {job} or {experiment}.
 */
import { tokenKnown } from "./api.js";

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A job streams its progress and ends with its weights; an experiment is answered at once. */
export function curlOf({ job, experiment }, origin) {
  const token = tokenKnown() ? ' -H "Authorization: Bearer $MODPROP_TOKEN"' : "",
    head = `-H 'Content-Type: application/json'${token}`;
  if (experiment) return `curl ${head} \\\n  -d ${shell(JSON.stringify(experiment))} \\\n  ${origin}/v1/experiments\n`;
  return `curl -N ${head} -H 'Accept: application/x-ndjson' \\\n  -d ${shell(JSON.stringify(job))} \\\n  ${origin}/v1/jobs\n`;
}

function python(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([k, v]) => `${JSON.stringify(k)}: ${python(v)}`)
    .join(", ")}}`;
}

export function pythonOf({ job, experiment }, origin) {
  const known = tokenKnown();
  if (experiment) {
    const token = known ? ', "Authorization": f"Bearer {os.environ[\'MODPROP_TOKEN\']}"' : "";
    return (
      `import json\n${known ? "import os\n" : ""}import urllib.request\n\nexperiment = ${python(experiment)}\nrequest = urllib.request.Request(\n` +
      `    "${origin}/v1/experiments",\n    data=json.dumps(experiment).encode(),\n    headers={"Content-Type": "application/json"${token}},\n)\n` +
      'print(json.load(urllib.request.urlopen(request))["id"])\n'
    );
  }
  const values = Object.entries(job)
    .map(([key, value]) => `    ${key}=${python(value)},\n`)
    .join("");
  return (
    `from modprop import Client\n\nclient = Client(${JSON.stringify(origin)})${known ? "  # the token is $MODPROP_TOKEN" : ""}\n` +
    `job = client.train(\n${values})\nfor progress in job:\n    print(progress.iteration, progress.loss, progress.accuracy)\nweights = job.weights\n`
  );
}

export const jsonOf = ({ job, experiment }) => `${JSON.stringify(experiment ?? job, null, 2)}\n`;

const keyword = (name) => (/^[A-Za-z_]\w*$/.test(name) ? name : null);

/** A call on a job, in Python: what gives the numbers of a figure. `values` are its arguments by name. */
export function pythonCall(job, call, first, values, origin) {
  const named = Object.entries(values)
      .filter(([name]) => keyword(name))
      .map(([name, value]) => `${name}=${python(value)}`),
    written = [...(first === null ? [] : [JSON.stringify(first)]), ...named].join(", ");
  return `from modprop import Client\n\nclient = Client(${JSON.stringify(origin)})${tokenKnown() ? "  # the token is $MODPROP_TOKEN" : ""}\nfound = client.job(${JSON.stringify(job)}).${call}(${written})\nprint(found)\n`;
}
