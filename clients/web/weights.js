/*
 * The recurrent weights as a heat map, units ordered by cell type, number or strength, all or those of one type, and their eigenvalues, which the
 * server computes. W[q][p] is the weight from q to p: a row is what a unit sends. Blue is negative, orange positive, on a scale that ends at the
 * 99th percentile so that a few large weights do not hide the others. The map is read by pointing, or by the arrow keys.
 */
import { get } from "./api.js";
import { canvasContext } from "./charts.js";
import { css, pageTheme, isDark, onScheme, seriesStyle } from "./colours.js";
import { attempt, h, number } from "./dom.js";

const UNITS_SHOWN = 2048,
  SMALLEST = 60; // CSS pixels; a canvas that is hidden or about to be laid out is not drawn
const NEGATIVE = [0, 114, 178],
  POSITIVE = [213, 94, 0];
const MAP_MARGIN = 30; // room for what is written beside the map

/* The sum of the absolute weights that each unit sends, or receives. */
const sent = ({ W }) => W.map((row) => row.reduce((sum, w) => sum + Math.abs(w), 0));
const received = ({ W }) => W.map((_, p) => W.reduce((sum, row) => sum + Math.abs(row[p]), 0));
/* Orders of units: what is sorted by, the least first; types are kept together by all but "number". */
const ORDERS = {
  type: ["by type", () => null],
  number: ["by number", () => null],
  sent: ["by type, strongest sender first", sent],
  received: ["by type, strongest receiver first", received],
};

/** Units in the order `by`, of one type or of all (null), and each run of one type: {units, runs: [{type, from, to, sign}]}. */
export function order(weights, by = "type", only = null) {
  const { types, sign } = weights,
    strength = ORDERS[by][1](weights),
    units = Array.from({ length: weights.units }, (_, i) => i).filter((u) => only === null || !types || types[u] === only),
    grouped = types && by !== "number",
    runs = [];
  units.sort((a, b) => (grouped ? types[a] - types[b] : 0) || (strength ? strength[b] - strength[a] : 0) || a - b);
  units.forEach((u, i) => {
    const type = grouped ? types[u] : null;
    if (!runs.length || runs.at(-1).type !== type) runs.push({ type, from: i, sign: sign && grouped ? sign[u] : 0 });
    runs.at(-1).to = i + 1;
  });
  return { units, runs };
}
const signText = (sign) => (sign < 0 ? "−" : sign > 0 ? "+" : "");

function scaleOf(W) {
  const sizes = W.flat()
    .map(Math.abs)
    .filter((v) => v > 1e-9)
    .sort((a, b) => a - b);
  return sizes.length ? sizes[Math.floor(0.99 * (sizes.length - 1))] : 1;
}

/* From white (or the dark ground) to the theme of the value's sign. */
export function mapColour(share) {
  const ground = isDark() ? [22, 27, 34] : [255, 255, 255],
    theme = share < 0 ? NEGATIVE : POSITIVE,
    strength = Math.min(1, Math.abs(share));
  return ground.map((g, c) => g + strength * (theme[c] - g));
}

/** One pixel a weight. */
function pixels({ W }, units, scale) {
  const n = units.length,
    plain = h("canvas", { width: n, height: n }),
    context = plain.getContext("2d"),
    image = context.createImageData(n, n);
  for (let y = 0; y < n; y++) {
    const row = W[units[y]];
    for (let x = 0; x < n; x++) image.data.set([...mapColour(row[units[x]] / scale), 255], 4 * (y * n + x));
  }
  context.putImageData(image, 0, 0);
  return plain;
}

/** The edges of the types and their names, beside the map: "0 −" is type 0, inhibitory. */
function typesPaint(context, runs, n, size) {
  const side = size - MAP_MARGIN;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const { type, from, to, sign } of runs) {
    if (type === null) continue; // by number, types alternate
    const middle = MAP_MARGIN + (((from + to) / 2) * side) / n,
      room = ((to - from) * side) / n,
      text = `${type} ${signText(sign)}`;
    context.fillStyle = css("--muted");
    if (room > 11) context.fillText(text, MAP_MARGIN / 2, middle);
    if (room > 20) context.fillText(text, middle, MAP_MARGIN / 2);
    context.fillStyle = css("--text");
    context.globalAlpha = 0.55;
    const at = Math.round(MAP_MARGIN + (from * side) / n);
    if (from > 0) {
      context.fillRect(at, MAP_MARGIN, 1, side);
      context.fillRect(MAP_MARGIN, at, side, 1);
    }
    context.globalAlpha = 1;
  }
}

function mapPaint(canvas, plain, runs, at) {
  const size = canvas.clientWidth,
    n = plain.width,
    context = canvasContext(canvas, size, size),
    cell = (size - MAP_MARGIN) / n;
  context.imageSmoothingEnabled = false;
  context.drawImage(plain, MAP_MARGIN, MAP_MARGIN, size - MAP_MARGIN, size - MAP_MARGIN);
  typesPaint(context, runs, n, size);
  if (!at) return;
  context.strokeStyle = css("--text");
  context.lineWidth = 2;
  context.strokeRect(MAP_MARGIN + at[1] * cell - 1, MAP_MARGIN + at[0] * cell - 1, Math.max(4, cell + 2), Math.max(4, cell + 2));
}

/** The colours' scale, from its least to its greatest. */
function scalePaint(canvas) {
  const width = canvas.clientWidth,
    context = canvasContext(canvas, width, 10);
  for (let x = 0; x < width; x++) {
    context.fillStyle = `rgb(${mapColour((2 * x) / width - 1).join(" ")})`;
    context.fillRect(x, 0, 1, 10);
  }
}

/* Where ticks stand: about four steps to the edge. */
function stepOf(radius) {
  const ten = 10 ** Math.floor(Math.log10(radius / 3));
  return [1, 2, 5, 10].map((m) => m * ten).find((step) => radius / step <= 4);
}

function spectrumPaint(canvas, { real, imaginary }) {
  const size = canvas.clientWidth,
    context = canvasContext(canvas, size, size),
    radius = Math.max(1.05, ...real.map((r, i) => Math.hypot(r, imaginary[i])));
  const at = (v) => size / 2 + (v / radius) * (size / 2 - 18);
  context.strokeStyle = css("--line");
  context.fillStyle = css("--muted");
  context.font = "11px system-ui, sans-serif";
  context.strokeRect(0, size / 2, size, 0);
  context.strokeRect(size / 2, 0, 0, size);
  const step = stepOf(radius);
  for (let k = -4; k <= 4; k++) {
    if (k === 0 || Math.abs(k * step) > radius) continue;
    const v = k * step,
      text = number(v).replace("-", "−");
    context.fillRect(at(v), size / 2 - 3, 1, 6);
    context.fillRect(size / 2 - 3, at(v), 6, 1);
    context.textAlign = "center";
    context.fillText(text, at(v), size / 2 + 15);
    context.textAlign = "left";
    context.fillText(`${number(-v).replace("-", "−")}i`, size / 2 + 8, at(v) + 4);
  }
  context.textAlign = "right";
  context.fillText("real", size - 4, size / 2 - 6);
  context.fillText("imaginary", size / 2 - 6, 12);
  context.setLineDash([4, 3]);
  context.strokeStyle = css("--muted");
  context.beginPath();
  context.arc(size / 2, size / 2, at(1) - size / 2, 0, 2 * Math.PI);
  context.stroke();
  context.setLineDash([]);
  context.fillStyle = pageTheme().of(seriesStyle(2));
  context.globalAlpha = 0.8;
  real.forEach((r, i) => {
    context.beginPath();
    context.arc(at(r), size - at(imaginary[i]), 2.6, 0, 2 * Math.PI);
    context.fill();
  });
}

/** Lets the map be read: `read(row, column)` hears where one points, or where the arrow keys went. */
function mapRead(map, count, read) {
  let at = [0, 0];
  const go = (row, column) => {
    const n = count(),
      inside = (v) => Math.min(n - 1, Math.max(0, v));
    if (!n) return;
    at = [inside(row), inside(column)];
    read(...at);
  };
  map.addEventListener("pointermove", (event) => {
    const place = (v) => Math.floor(((v - MAP_MARGIN) / (map.clientWidth - MAP_MARGIN)) * count());
    go(place(event.offsetY), place(event.offsetX));
  });
  map.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    go(at[0] + step[0], at[1] + step[1]);
  });
}

const MAP = "Heat map of the recurrent weights; arrow keys read single weights";

class Weights {
  constructor(body, job, signal) {
    Object.assign(this, { job, signal, weights: null, ordered: null, plain: null, values: null, point: null, kept: [], known: new Map() });
    this.make();
    mapRead(
      this.map,
      () => (this.ordered ? this.ordered.units.length : 0),
      (row, column) => this.read(row, column),
    );
    const again = h("button", { type: "button", class: "quiet", onclick: () => this.load() }, "Reload");
    body.replaceChildren(h("div", { class: "controls" }, again, this.menus, this.series, this.about), this.figures);
    const watcher = new ResizeObserver(() => this.draw()),
      endScheme = onScheme(() => this.colour());
    watcher.observe(this.figures);
    signal.addEventListener("abort", () => {
      watcher.disconnect();
      endScheme();
    });
    this.load();
  }
  make() {
    const picture = (kind, label) => h("canvas", { class: kind, role: "img", "aria-label": label }),
      caption = (...text) => h("figcaption", {}, text);
    this.map = h("canvas", { class: "square", role: "application", tabindex: "0", "aria-label": MAP });
    this.scale = picture("scale", "Scale of the colours, from negative to positive");
    this.slider = h("input", { type: "range", min: 0, step: 1, id: "checkpoint", oninput: () => this.choose() });
    this.less = h("input", { type: "checkbox", id: "less-first", onchange: () => this.choose() });
    const menu = (id, ...options) => h("select", { id, onchange: () => this.sort() }, options);
    this.by = menu("weights-order", ...Object.entries(ORDERS).map(([value, [text]]) => h("option", { value }, text)));
    this.only = menu("weights-type", h("option", { value: "" }, "all"));
    const pair = (select, label) => h("span", { class: "pair" }, h("label", { for: select.id }, label), select);
    this.menus = h("span", { class: "controls", hidden: true }, pair(this.by, "Order"), pair(this.only, "Type"));
    this.series = h(
      "span",
      { class: "controls", hidden: true },
      h("span", { class: "pair" }, h("label", { for: "checkpoint" }, "Checkpoint"), this.slider),
      h("span", { class: "pair" }, this.less, h("label", { for: "less-first" }, "less the first that is kept")),
    );
    this.least = h("span", { class: "num" });
    this.most = h("span", { class: "num" });
    this.plane = picture("square", "Eigenvalues of the recurrent weights in the complex plane");
    this.reading = h("p", { class: "hint num", "aria-live": "polite" }, "Point at a weight to read it.");
    this.said = h("p", { class: "hint num", role: "status" });
    this.about = h("p", { class: "hint num" });
    const legend = h("span", { class: "legend" }, this.least, this.scale, this.most);
    this.figures = h(
      "div",
      { class: "two", hidden: true },
      h("figure", {}, caption("From (rows) to (columns)", legend), this.map, this.reading),
      h("figure", {}, caption("Eigenvalues of W"), this.plane, this.said),
    );
  }
  draw() {
    if (!this.weights || this.signal.aborted || this.map.clientWidth < SMALLEST) return;
    mapPaint(this.map, this.plain, this.ordered.runs, this.point);
    scalePaint(this.scale);
    if (this.values && this.plane.clientWidth >= SMALLEST) spectrumPaint(this.plane, this.values);
  }
  /** The menu of types, made anew where they are others. */
  typesOffer({ types, sign }) {
    const all = types ? [...new Set(types)].sort((a, b) => a - b) : [],
      texts = all.map((type) => `${type} ${sign ? signText(sign[types.indexOf(type)]) : ""}`),
      now = texts.join();
    this.menus.hidden = false;
    this.only.parentElement.hidden = all.length < 2;
    if (now === this.typesNow) return;
    this.typesNow = now;
    this.only.replaceChildren(h("option", { value: "" }, "all"), ...all.map((type, i) => h("option", { value: type }, texts[i])));
  }
  /** Orders the units as the menus say. */
  sort() {
    this.ordered = order(this.weights, this.by.value, this.only.value === "" ? null : Number(this.only.value));
    this.point = null;
    this.reading.textContent = "Point at a weight to read it.";
    this.colour();
  }
  colour() {
    if (this.weights) this.plain = pixels(this.weights, this.ordered.units, scaleOf(this.weights.W));
    this.draw();
  }
  /** Of the checkpoint whose weights are shown: a running job may have written another one meanwhile. */
  async spectrum() {
    const { iteration } = this.weights;
    this.values = null;
    this.said.textContent = "The server computes the eigenvalues.";
    try {
      const values = await get(`/v1/jobs/${this.job.id}/spectrum?iteration=${iteration}`, this.signal);
      if (this.weights.iteration !== iteration) return;
      this.values = values;
      this.said.textContent = `Spectral radius ${number(values.spectral_radius, 4)}; the dashed circle has radius 1.`;
      this.draw();
    } catch (error) {
      if (error.name !== "AbortError") this.said.textContent = error.message;
    }
  }
  /** The weights of a checkpoint, each read once. */
  async of(iteration) {
    if (!this.known.has(iteration)) this.known.set(iteration, await get(`/v1/jobs/${this.job.id}/weights?iteration=${iteration}`, this.signal));
    return this.known.get(iteration);
  }
  /** The checkpoint of the slider, or what it differs by from the first; the last press counts. */
  choose() {
    return attempt(async () => {
      const iteration = this.kept[Number(this.slider.value)],
        [weights, first] = await Promise.all([this.of(iteration), this.less.checked ? this.of(this.kept[0]) : null]);
      if (this.kept[Number(this.slider.value)] !== iteration || Boolean(first) !== this.less.checked) return;
      this.show(first ? { ...weights, W: weights.W.map((row, q) => row.map((w, p) => w - first.W[q][p])), less: first.iteration } : weights);
    });
  }
  /** The checkpoints that there are, the oldest first; one alone needs no slider. */
  async list() {
    const { checkpoints } = await get(`/v1/jobs/${this.job.id}/checkpoints`, this.signal);
    this.kept = checkpoints.map(({ iteration }) => iteration).sort((a, b) => a - b);
    this.slider.max = this.kept.length - 1;
    this.slider.value = this.slider.max;
    this.less.checked = false;
    this.series.hidden = this.kept.length < 2;
  }
  show(weights) {
    const top = scaleOf(weights.W),
      density = Number.isFinite(weights.density) ? [`density ${number(weights.density)}`] : [],
      less = weights.less === undefined ? [] : [`less iteration ${number(weights.less, 9)}`],
      parts = [`Iteration ${number(weights.iteration, 9)}`, ...less, `${weights.units} units`, ...density, `sha256 ${weights.sha256.slice(0, 16)}`];
    this.weights = weights;
    this.typesOffer(weights);
    this.figures.hidden = false;
    this.slider.setAttribute("aria-valuetext", `iteration ${weights.iteration}`);
    this.least.textContent = `−${number(top)}`;
    this.most.textContent = number(top);
    this.about.textContent = parts.join(" · ");
    this.sort();
    this.spectrum();
  }
  load() {
    return attempt(async () => {
      this.about.textContent = "Loading the weights.";
      try {
        this.show(await get(`/v1/jobs/${this.job.id}/weights`, this.signal));
        await this.list();
      } catch (error) {
        if (error.name === "AbortError") return;
        this.about.textContent = error.status === 409 ? "No checkpoint yet: weights come with the first one." : error.message;
      }
    });
  }
  read(row, column) {
    const { weights, ordered } = this,
      q = ordered.units[row],
      p = ordered.units[column],
      name = (u) =>
        `${u} (${weights.types ? `type ${weights.types[u]}` : "no type"}${weights.sign ? `, ${signText(weights.sign[u])}` : ""})`;
    this.point = [row, column];
    this.reading.textContent = `from ${name(q)} to ${name(p)}: ${number(weights.W[q][p], 4)}`;
    this.draw();
  }
}

/** Shows in `body` until `signal`. */
export function weightsShow(body, job, signal) {
  if (job.network.units <= UNITS_SHOWN) {
    new Weights(body, job, signal);
    return;
  }
  const many = number(job.network.units),
    text = `${many} units: the map is drawn up to ${number(UNITS_SHOWN)}. Download the weights instead.`;
  body.replaceChildren(h("p", { class: "empty" }, text));
}
