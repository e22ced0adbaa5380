"use strict";
// The page of a run. All text goes through textContent; what an entry holds is inflated when it is opened.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const LONGEST = 400; // characters of a token that are shown

const make = (tag, text = null, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  if (text !== null) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const draw = (tag, attributes, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
};
const table = (caption, head, rows) => {
  const body = rows.map((cells) => make("tr", null, {}, ...cells.map((cell, column) =>
    cell instanceof Node ? make("td", null, {}, cell) : column ? make("td", cell) : make("th", cell, { scope: "row" }))));
  const top = head ? [make("thead", null, {}, make("tr", null, {}, ...head.map((name) => make("th", name, { scope: "col" }))))] : [];
  return make("table", null, {}, make("caption", caption), ...top, make("tbody", null, {}, ...body));
};
const count = (number) => number.toLocaleString("en");
const plural = (number, what) => `${count(number)} ${what}${number === 1 ? "" : "s"}`;
const cut = (text, longest = LONGEST) => text.length > longest ? text.slice(0, longest) + "…" : text;
const visible = (text) => JSON.stringify(cut(text)).replace(/[\p{Cf}\p{Zl}\p{Zp}]/gu, escaped);
const escaped = (mark) => "\\u{" + mark.codePointAt(0).toString(16) + "}";
const share = (value) => value === null ? "unknown" : (100 * value).toFixed(1) + "%";
const milli = (value) => value === null ? "unknown" : (value / 10).toFixed(1) + "%"; // of thousandths
const colour = (value) => value === null ? data.unseen : data.colours[Math.round(value / 1000 * (data.colours.length - 1))];
