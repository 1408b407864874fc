/*
 * Scales: from values to pixels and back, and where their ticks stand. Pure.
 *
 * A scale has {to(value), from(pixel), ticks(count), text(tick), log}. A logarithmic one begins at the least value that was measured, never below.
 */
import { integerText } from "./dom.js";

/** A tick's number: short, whatever its size. */
export function tickText(value) {
  const size = Math.abs(value);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) return value.toExponential(1).replace(".0e", "e").replace("e+", "e");
  return size >= 1000 ? integerText(Math.round(value)) : String(Number(value.toPrecision(4)));
}
export const percentText = (value) => `${Number((100 * value).toPrecision(4))} %`;

/** Round places from `low` to `high`, about `count` of them. */
export function roundTicks(low, high, count) {
  if (!(high > low)) return [low];
  const ten = 10 ** Math.floor(Math.log10((high - low) / Math.max(1, count))),
    step = [1, 2, 5, 10].map((m) => m * ten).find((s) => (high - low) / s <= count) ?? 10 * ten,
    first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.max(0, Math.floor(high / step + 1e-9) - first + 1) }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Powers of ten from `low` to `high`, with 2 and 5 between them where there is room; within less than a decade as on a linear scale. */
function decadeTicks(low, high, count) {
  const from = Math.floor(Math.log10(low)),
    to = Math.ceil(Math.log10(high)),
    within = (v) => v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9),
    make = (parts) => Array.from({ length: to - from + 1 }, (_, i) => parts.map((m) => Number((m * 10 ** (from + i)).toPrecision(6)))).flat().filter(within);
  for (const parts of [[1, 2, 3, 5, 7], [1, 2, 5], [1, 3]]) {
    const all = make(parts);
    if (all.length <= count) return all.length >= 3 ? all : roundTicks(low, high, count);
  }
  const tens = make([1]),
    every = Math.ceil(tens.length / Math.max(1, count));
  return tens.filter((_, i) => i % every === 0);
}

export function linearScale([low, high], [start, end], text = tickText) {
  const width = high - low || 1;
  return {
    log: false,
    domain: [low, high],
    text,
    to: (v) => start + ((v - low) / width) * (end - start),
    from: (pixel) => low + ((pixel - start) / (end - start)) * width,
    ticks: (count) => roundTicks(low, high, count),
  };
}

export function logScale([low, high], [start, end], text = tickText) {
  const [a, b] = [Math.log(low), Math.log(high > low ? high : low * 1.1)];
  return {
    log: true,
    domain: [low, high],
    text,
    to: (v) => (v > 0 ? start + ((Math.log(v) - a) / (b - a)) * (end - start) : NaN),
    from: (pixel) => Math.exp(a + ((pixel - start) / (end - start)) * (b - a)),
    ticks: (count) => decadeTicks(low, high, count),
  };
}

/** Places for words or numbers without an order of magnitude: one beside the other. */
export function placeScale(values, [start, end], pad = 0.5) {
  const step = (end - start) / Math.max(1, values.length - 1 + 2 * pad);
  return {
    log: false,
    values,
    step: Math.abs(step),
    text: (v) => (typeof v === "number" ? tickText(v) : String(v)),
    to: (v) => start + (values.indexOf(v) + pad) * step,
    from: (pixel) => values[Math.min(values.length - 1, Math.max(0, Math.round((pixel - start) / step - pad)))],
    ticks: () => values,
  };
}

/** Least and greatest of finite numbers (positive ones where `positive`), or null. */
export function extentOf(lists, positive = false) {
  let low = Infinity,
    high = -Infinity;
  for (const list of lists)
    for (const v of list ?? []) {
      if (typeof v !== "number" || !Number.isFinite(v) || (positive && v <= 0)) continue;
      if (v < low) low = v;
      if (v > high) high = v;
    }
  return low <= high ? [low, high] : null;
}

/** Whether numbers in order are spread as a geometric series rather than an arithmetic one. */
export function isGeometric(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length > 2 && sorted[0] > 0 && sorted.at(-1) / sorted[0] >= 10;
}
