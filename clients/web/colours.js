/*
 * Colours: Okabe and Ito's, which all kinds of colour vision tell apart.
 *
 * A rule has one colour wherever it is drawn. Which one the server says, in GET /v1/rules and with every point of an experiment; black is drawn white
 * on a dark page. Points of the same rule differ by their dashes, then by their markers. What is no rule (weights, inputs, units) takes the palette in
 * order; from the ninth series on the colours come again, dashed.
 *
 * A style is {hex or series (an index of the palette), dash, marker}. A theme says what a style and the parts of a chart look like on the page as it is,
 * or on paper, where everything is saved.
 */
import { h } from "./dom.js";
import { markerPath, svg } from "./scene.js";

/** Lengths of a line's dashes and gaps, in pixels; the first is solid. */
const DASHES = [null, [8, 4], [2, 3], [10, 3, 2, 3], [16, 5], [4, 2]];
const PALETTE = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a", "#a89c00"],
  dark: ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#a8a8a8", "#2f8fd0"],
};
const PAPER = { text: "#16202b", muted: "#55626f", line: "#aab4bd", grid: "#e6eaee", sheet: "#ffffff", soft: "#eaf1f7", counted: "#e3ecd9", accent: "#005a92" };
const OTHER = "#e69f00";
const rules = new Map();

const dark = matchMedia("(prefers-color-scheme: dark)");
export const isDark = () => dark.matches;
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
/** Calls `listener` when the colour scheme changes; returns what ends it. */
export function onScheme(listener) {
  dark.addEventListener("change", listener);
  return () => dark.removeEventListener("change", listener);
}

const strokeOn = (night) => (style) => {
  if (!style.hex) return PALETTE[night ? "dark" : "light"][style.series % PALETTE.light.length];
  return night && /^#0{6}$/.test(style.hex) ? "#ffffff" : style.hex;
};
/** What things look like on the page as it is: {text, muted, line, grid, sheet, ..., of(style)}. */
export function pageTheme() {
  const theme = Object.fromEntries(Object.keys(PAPER).map((name) => [name, css(`--${name}`)]));
  return { ...theme, night: isDark(), of: strokeOn(isDark()) };
}
/** The same on paper. */
export const paperTheme = () => ({ ...PAPER, night: false, of: strokeOn(false) });

/** The style of series i of the palette. */
export const seriesStyle = (i) => ({ series: i, dash: Math.floor(i / PALETTE.light.length) });
/** Takes the rules' colours from what GET /v1/rules answered; whether any of them is new. */
export function ruleColoursSet(list) {
  const fresh = list.filter(({ type, colour }) => colour && rules.get(type) !== colour);
  for (const { type, colour } of fresh) rules.set(type, colour);
  return fresh.length > 0;
}
/** The style of the nth group of a rule. */
export const ruleStyle = (rule, nth = 0) => ({ hex: rules.get(rule) ?? OTHER, dash: nth });
export const dashOf = ({ dash }) => DASHES[(dash ?? 0) % DASHES.length];

/** Which of these styles need their markers, because another has the same colour and dash. */
export function markersNeeded(styles) {
  const look = ({ hex, series, dash }) => `${hex ?? series} ${dash ?? 0}`,
    markers = new Map();
  for (const style of styles) {
    if (!markers.has(look(style))) markers.set(look(style), new Set());
    markers.get(look(style)).add(style.marker ?? 0);
  }
  return styles.map((style) => markers.get(look(style)).size > 1);
}

/** A piece of the line that is drawn in this style, with its marker where `marked`; for legends and tables. Its colour follows the scheme by the style sheet. */
export function swatch(style, marked = false) {
  const black = style.hex && /^#0{6}$/.test(style.hex),
    look = { class: style.hex ? (black ? "black" : null) : `series-${style.series % PALETTE.light.length}`, stroke: style.hex ?? null },
    pieces = [svg("line", { x1: 0, y1: 5, x2: 26, y2: 5, ...look, "stroke-dasharray": dashOf(style)?.join(" ") })];
  if (marked) pieces.push(svg("path", { d: markerPath(13, 5, style.marker ?? 0, 3.6), ...look, fill: style.hex ?? "currentColor", stroke: "none" }));
  return h("span", { class: "swatch" }, svg("svg", { width: 26, height: 10, viewBox: "0 0 26 10", "aria-hidden": "true" }, ...pieces));
}
