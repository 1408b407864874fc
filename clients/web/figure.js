/*
 * A figure: a title, a drawing that fills its place, a legend beside the data, and what saves it. Each kind of chart (charts.js, plots.js) says what is
 * drawn, in a given size and theme, as marks (scene.js), and which numbers these are.
 *
 * The drawing is made anew when its size, the colour scheme or its data change, at most once a frame. What is pointed at lies over it. A saved file
 * holds what is seen (what is hidden or outside the window is left out), with the title and a legend below, in the colours of paper.
 */
import { dashOf, pageTheme, paperTheme, markersNeeded, onScheme, swatch } from "./colours.js";
import { attempt, copied, oncePerFrame, h, number } from "./dom.js";
import { csvText, line, marker, moved, saveAs, sceneElements, scenePicture, sceneText, svg, textFit, textWidth, words } from "./scene.js";

const SAVED_WIDTH = 760,
  ENTRY_LEAST = 150, // px, of a legend's entry
  ENTRY_VALUE = 210, // px, of its swatch and of a value with its spread
  ENTRY_WIDEST = 460;
const fileName = (title) => title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "figure";

/** The menu that saves a figure, and copies the Python that gives its numbers where its maker has set `figure.python`. */
function saveMenu(figure) {
  const save = (kind) => () => {
    menu.open = false;
    attempt(() => figure.save(kind));
  };
  const code = h("pre", { hidden: true }),
    copy = () => {
      code.textContent = figure.python;
      code.hidden = Boolean(navigator.clipboard);
      return copied(figure.python, code);
    },
    python = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => attempt(copy) }, "Copy as Python"),
    enlarge = h("button", { type: "button", class: "quiet", onclick: () => large(!figure.element.classList.contains("large")) }, "Enlarge");
  const escape = (event) => event.key === "Escape" && !menu.open && large(false);
  const large = (on) => {
    menu.open = false;
    document[on ? "addEventListener" : "removeEventListener"]("keydown", escape);
    figure.element.classList.toggle("large", on);
    enlarge.textContent = on ? "Shrink" : "Enlarge";
    figure.place.focus();
  };
  const menu = h(
    "details",
    {
      class: "save",
      onfocusout: (event) => menu.contains(event.relatedTarget) || (menu.open = false),
      ontoggle: () => (python.hidden = !figure.python),
    },
    h("summary", { "aria-label": `Save the figure ${figure.title}` }, "Save"),
    h("div", { class: "save-menu" }, ["SVG", "PNG", "CSV"].map((kind) => h("button", { type: "button", class: "quiet", onclick: save(kind) }, kind)), python, enlarge, code),
  );
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.firstElementChild.focus();
  });
  return menu;
}

/**
 * A legend outside the data: each entry {key, name, style} hides and shows its series, or shows it alone (button "only", or a double click). While one
 * points at a chart it has the values there. One legend may serve several charts: `changed(hidden)` hears of the set of hidden keys, `lit(key)` of the
 * one that is pointed at, null for none.
 */
export class Legend {
  constructor(entries, { hidden = new Set(), changed = () => {}, lit = () => {} } = {}) {
    Object.assign(this, { hidden, changed, lit });
    this.at = h("span", { class: "legend-at num" });
    this.list = h("div", { class: "legend-list" });
    this.element = h("div", { class: "legend" }, this.list, this.at);
    this.set(entries);
  }
  set(entries) {
    const now = JSON.stringify(entries.map(({ key, name, style }) => [key, name, style]));
    if (now === this.shown) return;
    this.shown = now;
    const marked = markersNeeded(entries.map(({ style }) => style));
    this.entries = entries.map((entry, i) => this.entryMake(entry, marked[i]));
    const widest = Math.max(0, ...entries.map(({ name }) => textWidth(name, 12)));
    this.list.style.setProperty("--entry", `${Math.min(ENTRY_WIDEST, Math.max(ENTRY_LEAST, widest + ENTRY_VALUE))}px`);
    this.list.replaceChildren(...this.entries.map(({ element }) => element));
    this.draw();
  }
  entryMake({ key, name, style }, marked) {
    const value = h("span", { class: "entry-value num" }),
      toggle = h(
        "button",
        { type: "button", class: "entry-toggle", title: `${name}: press to hide or show, double click to show alone`, onclick: () => this.toggle(key), ondblclick: () => this.solo(key) },
        swatch(style, marked),
        h("span", { class: "entry-name" }, name),
      ),
      only = h("button", { type: "button", class: "entry-only", onclick: () => this.solo(key), "aria-label": `Only ${name}` }, "only"),
      lit = (on) => () => this.lit(on ? key : null),
      element = h("div", { class: "entry", onpointerenter: lit(true), onpointerleave: lit(false), onfocusin: lit(true), onfocusout: lit(false) }, toggle, value, only);
    return { key, name, style, marked, value, toggle, element };
  }
  toggle(key) {
    if (!this.hidden.delete(key)) this.hidden.add(key);
    this.tell();
  }
  /** Alone; all of them again where it is alone already. */
  solo(key) {
    const others = this.entries.map((entry) => entry.key).filter((other) => other !== key),
      alone = !this.hidden.has(key) && others.every((other) => this.hidden.has(other));
    this.hidden.clear();
    if (!alone) others.forEach((other) => this.hidden.add(other));
    this.tell();
  }
  tell() {
    this.draw();
    this.changed(this.hidden);
  }
  draw() {
    for (const { key, toggle, element } of this.entries) {
      toggle.setAttribute("aria-pressed", String(!this.hidden.has(key)));
      element.classList.toggle("off", this.hidden.has(key));
    }
    this.list.classList.toggle("single", this.entries.length < 2);
  }
  /** Values {key: text} where one points, and a text of where that is; null: nowhere. */
  show(at, values) {
    this.at.textContent = at ?? "";
    for (const { key, value } of this.entries) value.textContent = (values && values.get(key)) ?? "";
  }
  /** What can be seen, as marks of a saved figure `width` wide: [marks, height]. */
  marks(theme, width) {
    const shown = this.entries.filter(({ key }) => !this.hidden.has(key)),
      widest = Math.min(width - 50, Math.max(0, ...shown.map(({ name }) => textWidth(name)))),
      columns = Math.max(1, Math.floor(width / (widest + 60))),
      marks = shown.flatMap(({ name, style, marked }, i) => {
        const x = (i % columns) * (widest + 60) + 10,
          y = 12 + Math.floor(i / columns) * 18;
        return [
          line(x, y, x + 26, y, { stroke: theme.of(style), width: 2, dash: dashOf(style) }),
          ...(marked ? [marker(x + 13, y, style.marker ?? 0, 3.5, { fill: theme.of(style) })] : []),
          words(x + 33, y, textFit(name, widest), { fill: theme.text }),
        ];
      });
    return [marks, Math.ceil(shown.length / columns) * 18 + 10];
  }
}

/** "0.12 (0.1 to 0.14), n 5": a value with its spread. */
export function valueText({ y, low, high, n }, write = (v) => number(v)) {
  const spread = Number.isFinite(low) && Number.isFinite(high) ? ` (${write(low)} to ${write(high)})` : "";
  return `${write(y)}${spread}${n === undefined || n === null ? "" : `, n ${n}`}`;
}

/**
 * What all figures share. A subclass has `marks(width, height, theme)`, `table()` ({columns, rows} of what is seen), and may have `over(theme)` (marks of
 * what is pointed at), `point(x, y, event)`, `leave()` and `key(event)`.
 */
export class Figure {
  constructor(title, { kind = "chart", legend = null, own = true, height = null, file = title } = {}) {
    Object.assign(this, { title, legend, file, width: 0, height: 0, ready: false });
    this.drawing = svg("g", {});
    this.above = svg("g", {});
    this.root = svg("svg", { class: "drawing", "aria-hidden": "true", focusable: "false" }, this.drawing, this.above);
    this.place = h("div", { class: "plot", role: "group", "aria-roledescription": kind, tabindex: "0", onkeydown: (event) => this.key?.(event) }, this.root);
    if (height) this.place.style.height = `${height}px`;
    this.reading = h("p", { class: "reading num", "aria-live": "polite" });
    this.caption = h("span", { class: "figure-title" }, title);
    this.element = h("figure", { class: "chart" }, h("figcaption", {}, this.caption, saveMenu(this)), this.place, own && legend ? legend.element : null, this.reading);
    this.place.addEventListener("pointermove", (event) => event.buttons || event.pointerType === "touch" || this.pointed(event));
    this.place.addEventListener("pointerdown", (event) => event.pointerType === "touch" && this.pointed(event));
    this.place.addEventListener("pointerleave", (event) => event.pointerType === "touch" || this.leave?.());
    this.draw = oncePerFrame(() => this.drawNow());
    this.watcher = new ResizeObserver(() => {
      if (this.place.clientWidth !== this.width || this.place.clientHeight !== this.height) this.drawNow();
    });
    this.watcher.observe(this.place);
    this.endScheme = onScheme(() => this.draw());
  }
  pointed(event) {
    const box = this.place.getBoundingClientRect();
    this.point?.(event.clientX - box.left, event.clientY - box.top, event);
  }
  drawNow() {
    this.width = this.place.clientWidth;
    this.height = this.place.clientHeight;
    if (!this.ready || !this.width || !this.height) return;
    this.root.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.drawing.replaceChildren(...sceneElements(this.marks(this.width, this.height, pageTheme())));
    this.overDraw();
  }
  overDraw() {
    this.above.replaceChildren(...sceneElements(this.over?.(pageTheme()) ?? []));
  }
  /** Sets the text for those who do not see the drawing. */
  say(text) {
    this.place.setAttribute("aria-label", text);
  }
  async save(kind) {
    const name = `${fileName(this.file)}.${kind.toLowerCase()}`;
    if (kind === "CSV") {
      const { columns, rows } = this.table();
      saveAs(name, csvText(columns, rows), "text/csv");
      return;
    }
    const theme = paperTheme(),
      [marks, width, height] = this.whole(theme);
    if (kind === "SVG") saveAs(name, sceneText(marks, width, height, theme.sheet), "image/svg+xml");
    else saveAs(name, await scenePicture(marks, width, height, theme.sheet));
  }
  /** The figure with its title and legend, as marks: [marks, width, height]. */
  whole(theme) {
    const width = Math.max(SAVED_WIDTH, this.width),
      height = Math.max(220, this.height),
      head = 26,
      [legend, below] = this.legend ? this.legend.marks(theme, width) : [[], 0];
    const title = words(10, 14, textFit(this.caption.textContent, width - 20, 13), { fill: theme.text, size: 13, weight: 600 });
    const drawn = this.marks(width, height, theme);
    this.drawNow(); // what was laid out for the file is laid out for the page again
    return [[title, moved(head, drawn), moved(head + height, legend)], width, head + height + below];
  }
  destroy() {
    this.watcher.disconnect();
    this.endScheme();
  }
}
