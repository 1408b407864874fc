/*
 * Saved views in the lists of jobs and of experiments: a menu, and the buttons that save and delete one. A view is a query, an order and columns
 * under a name, which the daemon keeps for all; what is chosen here stands in the address, as what is typed does.
 */
import { get, put, remove } from "./api.js";
import { attempt, h } from "./dom.js";

const pathOf = (name) => `/v1/views/${encodeURIComponent(name)}`;
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const button = (word, kind, onclick) => h("button", { type: "button", class: kind, onclick }, word);

/**
 * `of`: jobs or experiments. `now()` gives the list's {q, sort, columns}, sort null where it is the newest first, columns null where they are the list's
 * own; `take({q, sort, columns})` sets it.
 */
export class Views {
  constructor(of, now, take, signal) {
    Object.assign(this, { of, now, take, signal, list: [], shown: null });
    this.menu = h("select", { id: "view", onchange: () => this.choose(this.menu.value) });
    this.drop = button("Delete view", "danger", () => this.remove());
    const save = button("Save view", "quiet", () => this.save());
    this.element = h("span", { class: "saved" }, h("span", { class: "pair" }, h("label", { for: "view" }, "View"), this.menu), save, this.drop);
    this.load();
  }
  async load() {
    try {
      this.list = (await get("/v1/views", this.signal)).views.filter((view) => view.of === this.of);
    } catch {
      this.list = []; /* the stream says why nothing can be read */
    }
    if (!this.signal.aborted) this.show();
  }
  /** The view that the list shows now. */
  current() {
    const { q, sort, columns } = this.now();
    return this.list.find((view) => view.q === q && (view.sort ?? null) === sort && same(view.columns ?? null, columns));
  }
  show() {
    const now = this.current()?.name ?? "",
      names = this.list.map(({ name }) => name),
      key = JSON.stringify([now, names]);
    if (this.shown === key) return;
    this.shown = key;
    this.menu.replaceChildren(...["", ...names].map((name) => h("option", { value: name, selected: name === now }, name || "none")));
    this.menu.value = now;
    this.drop.hidden = !now;
  }
  choose(name) {
    const { q, sort, columns } = this.list.find((view) => view.name === name) ?? { q: "", sort: null, columns: null };
    this.take({ q, sort, columns: columns ?? null });
  }
  async save() {
    const name = window.prompt("Name of the view", this.current()?.name ?? "");
    if (!name) return;
    await attempt(() => put(pathOf(name), { of: this.of, ...this.now() }));
    await this.load();
  }
  async remove() {
    const name = this.menu.value;
    if (!name || !window.confirm(`Delete the view ${name}? Its ${this.of} stay.`)) return;
    await attempt(() => remove(pathOf(name)));
    await this.load();
  }
}
