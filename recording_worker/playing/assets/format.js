"use strict";
// Makes text and elements from recorded data: always as text, never as markup.
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
// An element that the keyboard can scroll.
function scrollable(tag, title, text) {
  const node = make(tag, "", text);
  node.tabIndex = 0;
  node.setAttribute("role", "region");
  node.setAttribute("aria-label", title);
  return node;
}
const format = {
  clock(ms) {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
    return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
  },
  date(at) {
    const day = new Date(at);
    return Number.isNaN(day.getTime()) ? "unknown" : `${day.toISOString().replace("T", " ").slice(0, 19)} UTC`;
  },
  size(bytes) {
    const units = ["bytes", "kB", "MB", "GB"];
    let unit = 0;
    for (; bytes >= 1000 && unit < 3; unit += 1) bytes /= 1000;
    return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
  },
  duration(ms) {
    if (ms === null || !Number.isFinite(ms)) return "";
    return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  },
  number(count) {
    return (count || 0).toLocaleString("en");
  },
  several(count, noun) {
    return `${format.number(count)} ${noun}${count === 1 ? "" : "s"}`;
  },
};
