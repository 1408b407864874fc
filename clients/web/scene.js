/*
 * What a picture consists of, and where it goes: elements on the page, an SVG file, a PNG file.
 *
 * A scene is a list of marks, plain objects. All three outputs are made of the same list, so a saved figure is the one that was seen. Colours are
 * written into the marks (no class, no style), so that a file stands by itself and the page's Content-Security-Policy is kept.
 */
import { h } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg",
  FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", Helvetica, Arial, sans-serif';

/** An SVG element; null and undefined attributes are left out. */
export function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/* ---- marks ---- */

const round = (v) => Math.round(v * 100) / 100;
/** A line or area: `look` is {stroke, width, dash, fill, opacity, fillOpacity}. */
export const path = (d, look) => ({ kind: "path", d, ...look });
/** A straight line. */
export const line = (x1, y1, x2, y2, look) => path(`M${round(x1)} ${round(y1)}L${round(x2)} ${round(y2)}`, look);
export const rect = (x, y, width, height, look) =>
  path(`M${round(x)} ${round(y)}h${round(width)}v${round(height)}h${round(-width)}Z`, look);
/** Words: `look` is {fill, size, anchor (start, middle, end), weight, turn (degrees about x, y)}. y is the middle of the line. */
export const words = (x, y, text, look) => ({ kind: "words", x: round(x), y: round(y), text: String(text), ...look });
/** Marks that are drawn within a rectangle only. */
export const within = ([x, y, width, height], marks) => ({ kind: "within", area: [x, y, width, height].map(round), marks });
/** Marks that are drawn within the shape `d` only. */
export const inside = (d, marks) => ({ kind: "inside", d, marks });
/** Marks further down. */
export const moved = (down, marks) => ({ kind: "moved", down, marks });

/** The path through points; null and NaN break it. */
export function pathThrough(xs, ys) {
  let d = "",
    broken = true;
  for (let i = 0; i < xs.length; i++) {
    const x = xs[i],
      y = ys[i];
    if (x === null || y === null || !Number.isFinite(x) || !Number.isFinite(y)) {
      broken = true;
      continue;
    }
    d += `${broken ? "M" : "L"}${round(x)} ${round(y)}`;
    broken = false;
  }
  return d;
}

/** The area between two lines over the same xs; where either has no value there is none. */
export function areaBetween(xs, lows, highs) {
  let d = "",
    run = [];
  const close = () => {
    if (run.length > 1) {
      const up = run.map((i) => `${round(xs[i])} ${round(highs[i])}`),
        down = run.map((i) => `${round(xs[i])} ${round(lows[i])}`).reverse();
      d += `M${[...up, ...down].join("L")}Z`;
    }
    run = [];
  };
  for (let i = 0; i < xs.length; i++) {
    if ([xs[i], lows[i], highs[i]].every(Number.isFinite)) run.push(i);
    else close();
  }
  close();
  return d;
}

const MARKERS = [
  (r) => `m${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
  (r) => `m${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}Z`,
  (r) => `m0 ${-1.25 * r}l${1.2 * r} ${2.1 * r}h${-2.4 * r}Z`,
  (r) => `m0 ${-1.3 * r}l${1.3 * r} ${1.3 * r}l${-1.3 * r} ${1.3 * r}l${-1.3 * r} ${-1.3 * r}Z`,
];
/** The outline of a point's mark: circle, square, triangle, diamond, in turn. */
export const markerPath = (x, y, kind, r) => `M${round(x)} ${round(y)}${MARKERS[kind % MARKERS.length](r)}`;
export const marker = (x, y, kind, r, look) => path(markerPath(x, y, kind, r), look);

/* ---- on the page ---- */

let shapes = 0; // ids of clipping shapes, which have to differ in a document

function elementOf(mark) {
  if (mark.kind === "inside") {
    const id = `shape-${++shapes}`;
    return svg("g", {}, svg("clipPath", { id }, svg("path", { d: mark.d })), svg("g", { "clip-path": `url(#${id})` }, ...mark.marks.map(elementOf)));
  }
  if (mark.kind === "within") {
    const [x, y, width, height] = mark.area;
    return svg("svg", { x, y, width, height, viewBox: mark.area.join(" ") }, ...mark.marks.map(elementOf));
  }
  if (mark.kind === "moved") return svg("g", { transform: `translate(0 ${mark.down})` }, ...mark.marks.map(elementOf));
  if (mark.kind === "words") {
    const look = { x: mark.x, y: mark.y, fill: mark.fill, "font-size": mark.size ?? 11, "text-anchor": mark.anchor, "font-weight": mark.weight },
      turn = mark.turn ? `rotate(${mark.turn} ${mark.x} ${mark.y})` : null;
    const element = svg("text", { ...look, transform: turn, dy: "0.35em", class: mark.name });
    element.textContent = mark.text;
    return element;
  }
  return svg("path", {
    d: mark.d,
    fill: mark.fill ?? "none",
    "fill-opacity": mark.fillOpacity,
    stroke: mark.stroke,
    "stroke-width": mark.stroke && (mark.width ?? 1),
    "stroke-dasharray": mark.dash?.join(" "),
    "stroke-linejoin": mark.stroke && "round",
    opacity: mark.opacity,
    class: mark.name,
  });
}

/** Elements for the marks, to go into an <svg>. */
export const sceneElements = (marks) => marks.map(elementOf);

/* ---- files ---- */

/** The scene as an SVG document of this size, on `ground`. */
export function sceneText(marks, width, height, ground) {
  const root = svg(
    "svg",
    { xmlns: SVG, width, height, viewBox: `0 0 ${width} ${height}`, "font-family": FONT },
    ...sceneElements([rect(0, 0, width, height, { fill: ground }), ...marks]),
  );
  for (const element of root.querySelectorAll("[class]")) element.removeAttribute("class");
  return `${new XMLSerializer().serializeToString(root)}\n`;
}

function paint(context, mark) {
  if (mark.marks) {
    context.save();
    if (mark.kind === "moved") context.translate(0, mark.down);
    else if (mark.kind === "inside") context.clip(new Path2D(mark.d));
    else {
      context.beginPath();
      context.rect(...mark.area);
      context.clip();
    }
    for (const one of mark.marks) paint(context, one);
    context.restore();
    return;
  }
  context.globalAlpha = mark.opacity ?? 1;
  if (mark.kind === "words") {
    context.save();
    context.translate(mark.x, mark.y);
    context.rotate(((mark.turn ?? 0) * Math.PI) / 180);
    context.font = `${mark.weight ?? 400} ${mark.size ?? 11}px ${FONT}`;
    context.textAlign = { middle: "center", end: "right" }[mark.anchor] ?? "left";
    context.textBaseline = "middle";
    context.fillStyle = mark.fill;
    context.fillText(mark.text, 0, 0);
    context.restore();
    return;
  }
  const shape = new Path2D(mark.d);
  if (mark.fill && mark.fill !== "none") {
    context.globalAlpha = (mark.opacity ?? 1) * (mark.fillOpacity ?? 1);
    context.fillStyle = mark.fill;
    context.fill(shape);
  }
  if (mark.stroke) {
    context.globalAlpha = mark.opacity ?? 1;
    context.strokeStyle = mark.stroke;
    context.lineWidth = mark.width ?? 1;
    context.lineJoin = "round";
    context.setLineDash(mark.dash ?? []);
    context.stroke(shape);
  }
}

/** The scene as a PNG, `ratio` pixels a unit. */
export function scenePicture(marks, width, height, ground, ratio = 3) {
  const canvas = h("canvas", {}),
    context = canvas.getContext("2d");
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.scale(ratio, ratio);
  for (const mark of [rect(0, 0, width, height, { fill: ground }), ...marks]) paint(context, mark);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** Rows as CSV (RFC 4180). */
export function csvText(columns, rows) {
  const cell = (value) => {
    const text = value === null || value === undefined || Number.isNaN(value) ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** Saves text or a blob as a file. */
export function saveAs(name, content, type) {
  const blob = content instanceof Blob ? content : new Blob([content], { type }),
    link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

let measuring = null;
/** How wide a text is, in pixels. */
export function textWidth(text, size = 11) {
  measuring ??= h("canvas", {}).getContext("2d");
  measuring.font = `${size}px ${FONT}`;
  return measuring.measureText(text).width;
}

/** A text that fits into `room` pixels, its end replaced by dots. */
export function textFit(text, room, size = 11) {
  if (textWidth(text, size) <= room) return text;
  let fits = text;
  while (fits.length > 1 && textWidth(`${fits}…`, size) > room) fits = fits.slice(0, -1);
  return `${fits}…`;
}
