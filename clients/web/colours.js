/*
 * Colours: Okabe and Ito's, which all kinds of colour vision tell apart, in an order for each scheme (style.css).
 *
 * A rule has one colour wherever it is drawn, and no other rule has it. Groups of the same rule differ by their dashes. What is no rule (weights,
 * inputs, units) takes the palette in order; from the ninth series on the colours come again, dashed.
 */
import { h } from "./dom.js";

const COLOURS = 8;
/** Lengths of a line's dashes and gaps, in pixels; the first is solid. */
const DASHES = [null, [8, 4], [2, 3], [10, 3, 2, 3], [16, 5], [4, 2]];
const RULES = ["modprop", "eprop", "bptt", "mdgl", "rtrl"];

const dark = matchMedia("(prefers-color-scheme: dark)");
export const isDark = () => dark.matches;
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
/** Calls `listener` when the colour scheme changes; returns what ends it. */
export function onScheme(listener) {
  dark.addEventListener("change", listener);
  return () => dark.removeEventListener("change", listener);
}

/** The style {colour, dash} of series i of the palette. */
export const seriesStyle = (i) => ({ colour: `series-${i % COLOURS}`, dash: Math.floor(i / COLOURS) });
/** The style of the nth group of a rule. A rule that this page does not know is drawn in the colour that none has. */
export const ruleStyle = (rule, nth = 0) => ({ colour: RULES.includes(rule) ? `rule-${rule}` : "rule-other", dash: nth });
/** Of groups, each with a rule: the style of each, groups of one rule dashed in their order. */
export function ruleStyles(rules) {
  const seen = new Map();
  return rules.map((rule) => {
    seen.set(rule, (seen.get(rule) ?? -1) + 1);
    return ruleStyle(rule, seen.get(rule));
  });
}
export const colourOf = ({ colour }) => css(`--${colour}`);
export const dashOf = ({ dash }) => DASHES[dash % DASHES.length];

const SVG = "http://www.w3.org/2000/svg";
function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A piece of the line that is drawn in this style, for legends and tables. */
export function swatch(style) {
  const line = svg("line", { x1: 0, y1: 4, x2: 26, y2: 4, class: style.colour, "stroke-dasharray": dashOf(style)?.join(" ") ?? null });
  return h("span", { class: "swatch" }, svg("svg", { width: 26, height: 8, viewBox: "0 0 26 8", "aria-hidden": "true" }, line));
}
