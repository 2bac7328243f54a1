// Small charts of numbers over time, as SVG. A chart is data in, an element out; it asks nothing.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function shape(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// 1234 -> "1.2k", 0.0123 -> "0.012"; three digits that mean something, then the unit.
export function figure(value, unit = "") {
  if (value == null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const [scaled, letter] = size >= 1e9 ? [value / 1e9, "G"] : size >= 1e6 ? [value / 1e6, "M"] : size >= 1e3 ? [value / 1e3, "k"] : [value, ""];
  const digits = Math.abs(scaled) >= 100 || scaled === 0 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
  return `${Number(scaled.toFixed(digits))}${letter}${unit && !unit.startsWith("%") ? " " : ""}${unit}`;
}

export const last = (points) => (points?.length ? points[points.length - 1][1] : null);

// `points`: [seconds since 1970, number], in order. Gaps longer than three steps break the line.
export function sparkline(points, { label, unit = "", tone = "", width = 220, height = 44 } = {}) {
  const known = (points ?? []).filter(([, value]) => Number.isFinite(value));
  const frame = shape("svg", { class: `spark ${tone}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `${label}: ${figure(last(known), unit)}` });
  if (known.length < 2) return frame;
  const [from, until] = [known[0][0], known[known.length - 1][0]];
  const most = Math.max(...known.map(([, value]) => value), 0) || 1;
  const x = (time) => ((time - from) / (until - from)) * (width - 4) + 2;
  const y = (value) => height - 3 - (Math.max(value, 0) / most) * (height - 8);
  const step = Math.min(...known.slice(1).map(([time], index) => time - known[index][0]));
  const parts = [];
  known.forEach(([time, value], index) => {
    const gap = index && time - known[index - 1][0] > step * 3;
    parts.push(`${index && !gap ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`);
  });
  const whole = !parts.slice(1).some((part) => part.startsWith("M"));
  if (whole) frame.append(shape("path", { class: "area", d: `${parts.join("")}L${x(until).toFixed(1)} ${height}L${x(from).toFixed(1)} ${height}Z` }));
  frame.append(shape("path", { class: "line", d: parts.join("") }));
  const mark = shape("circle", { class: "mark", r: 2.5, cx: -9, cy: -9 });
  const hint = shape("title", {});
  frame.append(mark, hint);
  frame.addEventListener("pointermove", (event) => {
    const box = frame.getBoundingClientRect();
    const wanted = from + ((event.clientX - box.left) / box.width) * (until - from);
    const [time, value] = known.reduce((best, one) => (Math.abs(one[0] - wanted) < Math.abs(best[0] - wanted) ? one : best));
    mark.setAttribute("cx", x(time));
    mark.setAttribute("cy", y(value));
    hint.textContent = `${new Date(time * 1000).toLocaleTimeString()}: ${figure(value, unit)}`;
  });
  frame.addEventListener("pointerleave", () => mark.setAttribute("cx", -9));
  return frame;
}
