/*
 * What the page and the daemon understand: the filter's language, keys, the calls behind the page, and where the rest is written.
 */
import { tokenKnown } from "./api.js";
import { h } from "./dom.js";
import { EXAMPLES } from "./query.js";

const KEYS = [
  ["List", "Arrow keys, page up and down, home and end go from job to job; Enter opens one."],
  ["Curves", "Drag to zoom, with shift to move, double click for all of it. Plus and minus zoom, arrows move, 0 shows all. On a phone use two fingers."],
  ["Maps", "Arrow keys read one value after the other."],
];
const WORDS = [
  ["queued", "accepted and stored; waits for its turn"],
  ["running", "trains; its curve grows by itself"],
  ["paused", "keeps its checkpoint and continues when it is resumed, with the same results"],
  ["succeeded", "trained as long as it was to, or until its stop condition was met"],
  ["diverged", "trained to the end, but its loss ended above three times its first loss"],
  ["failed", "ended by an error, which its page names; its last checkpoint stays"],
  ["cancelled", "ended by somebody; its curve and its last checkpoint stay"],
  ["no loss", "nothing counted in that evaluation: the mask left no step of it"],
];
const LINKS = [
  ["/openapi.json", "OpenAPI document", "every call, field, range and answer; tools make clients of it"],
  ["/v1/tasks", "Tasks", "every task with its parameters, units, defaults and ranges"],
  ["/v1/rules", "Rules", "every learning rule, and which settings are recommended for what"],
  ["/v1/neurons", "Neuron models", "every neuron model, with the parameters of its network"],
  ["/version", "Version", "build, instruction set, cores and memory of this daemon"],
  ["/metrics", "Metrics", "counters for Prometheus"],
  ["/readyz", "Readiness", "whether the daemon takes jobs now, and why not"],
];

const list = (pairs, code) => h("dl", { class: "terms" }, pairs.map(([term, about]) => [h("dt", {}, code ? h("code", {}, term) : term), h("dd", {}, about)]));

function calls() {
  const token = tokenKnown() ? '-H "Authorization: Bearer $MODPROP_TOKEN" ' : "",
    curl = `curl ${token}${location.origin}`;
  return [
    "# submit a job with its defaults and follow it to its weights",
    `curl -N ${token}-H 'Content-Type: application/json' -H 'Accept: application/x-ndjson' \\`,
    `  -d '{"task":{"type":"delayed_xor"}}' ${location.origin}/v1/jobs`,
    "# the newest jobs; one job; its curve; its weights",
    `${curl}/v1/jobs`,
    `${curl}/v1/jobs/ID`,
    `${curl}/v1/jobs/ID/metrics`,
    `${curl}/v1/jobs/ID/weights?format=safetensors -o weights.safetensors`,
    "# a dataset of your own",
    `curl ${token}-T data.safetensors -H 'Content-Type: application/octet-stream' ${location.origin}/v1/datasets/NAME`,
    "",
  ].join("\n");
}

const part = (id, title, ...content) => h("section", { "aria-labelledby": id }, h("h2", { id }, title), content);

/** Shows the help in `place`, scrolled to the section `id` where given. */
export function helpShow(place, id) {
  const links = LINKS.map(([url, name, about]) => h("li", {}, h("a", { href: url }, name), h("span", { class: "hint" }, ` ${about}`)));
  const terms = ["Terms stand side by side, and a job must fit all of them. Words look in the name, terms in a field. ", "Upper and lower case are alike."];
  place.replaceChildren(
    h("h1", {}, "Help"),
    part("filter", "How to filter", h("p", {}, terms), list(EXAMPLES, true)),
    part("words", "What the words say", list(WORDS)),
    part("keys", "Keys and gestures", list(KEYS)),
    part(
      "calls",
      "The same without this page",
      h("p", {}, "The daemon has an HTTP interface, which this page, the command modprop and the Python package use."),
      h("pre", { tabindex: "0", "aria-label": "Calls with curl" }, calls()),
      h("p", {}, "The command explains itself: modprop help. A form's values are shown as curl, Python and JSON beside it."),
    ),
    part("links", "Documents that this daemon serves", h("ul", { class: "plain" }, links)),
  );
  const wanted = id && document.getElementById(id);
  if (wanted) requestAnimationFrame(() => wanted.scrollIntoView());
}
