/*
 * What people call a job: a dialog for its name, notes and tags, which may be changed at any time, and tags as elements.
 */
import { patch } from "./api.js";
import { h } from "./dom.js";
import { jobPut } from "./jobs.js";

/** The query that finds the jobs with a tag. */
export const tagQuery = (tag) => `tag:${JSON.stringify(tag)}`;
/** A tag as a link to the jobs that have it. */
export const tagLink = (tag) => h("a", { class: "tag", href: `#/jobs?q=${encodeURIComponent(tagQuery(tag))}` }, tag);

/** Asks for the caption of a job, and gives it to the daemon. */
export function captionEdit(job) {
  const field = (name, text, element) => [h("label", { for: `caption-${name}` }, text), element];
  const name = h("input", { id: "caption-name", value: job.name ?? "", maxlength: 200, autocomplete: "off" }),
    tags = h("input", { id: "caption-tags", value: (job.tags ?? []).join(", "), autocomplete: "off" }),
    notes = h("textarea", { id: "caption-notes", rows: 5, maxlength: 4096 }),
    fault = h("p", { class: "fault-text", role: "alert" });
  notes.value = job.notes ?? "";
  const send = async () => {
    const list = tags.value.split(",").map((tag) => tag.trim());
    try {
      jobPut(await patch(`/v1/jobs/${job.id}`, { name: name.value || null, notes: notes.value || null, tags: list.filter(Boolean) }));
      dialog.close();
    } catch (error) {
      fault.textContent = error.sentence?.() ?? String(error);
    }
  };
  const onsubmit = (event) => {
    event.preventDefault();
    send();
  };
  const buttons = [
    h("button", { class: "primary", type: "submit" }, "Save"),
    h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel"),
  ];
  const form = h("form", { onsubmit }, h("h2", { id: "caption-title" }, "Name, notes and tags"), field("name", "Name", name), [
    ...field("tags", "Tags, separated by commas", tags),
    ...field("notes", "Notes", notes),
    fault,
    h("div", { class: "actions" }, buttons),
  ]);
  const dialog = h("dialog", { class: "caption", "aria-labelledby": "caption-title", onclose: () => dialog.remove() }, form);
  document.body.append(dialog);
  dialog.showModal();
}
