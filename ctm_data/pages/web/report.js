"use strict";
// The page of a run. All text goes through textContent; a trajectory is inflated when it is opened.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const STEPS = ["#e8702a", "#f08f50", "#f5ab78", "#f8c6a2", "#fae0cb", "#f0eeea", "#dae8f2", "#c0d9ec", "#a5c9e6", "#88b8df", "#6ba6d8"];
const UNSEEN = "#c9c9c9";
const LONGEST = 400; // characters of a token that are shown
const PAGE = 300; // trajectories that the list shows at once
let shown = [], listed = PAGE, current = null, wanted = null, at = 0;

const make = (tag, text, attributes = {}) => {
  const element = document.createElement(tag);
  if (text !== null) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};
const draw = (tag, attributes, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
};
const percent = (value) => value === null ? "unknown" : (100 * value).toFixed(1) + "%";
const interval = (low, high) => low === null || high === null ? "nobody looked" : low === high ? "exact" : `95% interval ${percent(low)} to ${percent(high)}`;
const colour = (value) => value === null ? UNSEEN : STEPS[Math.round(value * (STEPS.length - 1))];
const visible = (text) => JSON.stringify(text.length > LONGEST ? text.slice(0, LONGEST) + "…" : text);

async function inflate(packed) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

function list() {
  const words = $("search").value.toLowerCase(), kind = $("class").value, order = $("order").value;
  shown = data.index.filter((row) =>
    (!words || (row.id + " " + row.question + " " + (row.piece ?? "")).toLowerCase().includes(words)) &&
    (!kind || row.class === kind) && (!$("solvable").checked || row.start > 0));
  const by = { drop: (a, b) => b.drop - a.drop, at: (a, b) => (a.at ?? 1e9) - (b.at ?? 1e9), id: (a, b) => a.id < b.id ? -1 : 1 };
  shown.sort(by[order]);
  listed = PAGE;
  drawList();
}

function drawList() {
  $("count").textContent = `${shown.length.toLocaleString("en")} of ${data.index.length.toLocaleString("en")} trajectories`;
  $("more").hidden = shown.length <= listed;
  $("list").replaceChildren(...shown.slice(0, listed).map((row) => {
    const item = make("li", null), link = make("a", null, { href: "#" + encodeURIComponent(row.id) });
    link.append(make("span", row.question), make("span", row.piece === null ? "no critical token" :
      `${visible(row.piece)} · ${percent(row.before)} → ${percent(row.after)} · position ${row.at} of ${row.length}`));
    if (current && row.id === current.id) link.setAttribute("aria-current", "true");
    item.append(link);
    return item;
  }));
}

function more(place) {
  listed = PAGE * (Math.floor(place / PAGE) + 1);
  drawList();
}

async function open(id, token) {
  const row = data.index.find((row) => row.id === id) ?? shown[0] ?? data.index[0];
  if (!row) { $("trajectory").replaceChildren(make("p", "This run has no rolled-out solutions yet.")); return; }
  if (typeof DecompressionStream === "undefined") {
    $("trajectory").replaceChildren(make("p", "This browser cannot inflate the page's data (it lacks DecompressionStream). Any browser of 2023 or later can."));
    return;
  }
  wanted = row.id;
  if (!current || current.id !== row.id) {
    const inflated = await inflate(data.rows[row.row]);
    if (wanted !== row.id) return; // another one was asked for meanwhile
    current = { id: row.id, ...inflated };
  }
  const place = shown.findIndex((other) => other.id === row.id);
  if (place >= listed) more(place);
  for (const link of $("list").querySelectorAll("a")) {
    const same = link.getAttribute("href") === "#" + encodeURIComponent(row.id);
    if (same) { link.setAttribute("aria-current", "true"); link.scrollIntoView({ block: "nearest" }); }
    else link.removeAttribute("aria-current");
  }
  page();
  select(token ?? current.critical ?? 0, false);
}

function page() {
  const tokens = make("div", null, { id: "tokens", role: "group", "aria-label": "The solution, a token each" });
  current.pieces.forEach((piece, index) => {
    const value = current.value[index];
    const token = make("span", piece.length > LONGEST ? piece.slice(0, LONGEST) + "…" : piece, { title: `position ${index}: ${percent(value)} after it` });
    token.style.backgroundColor = colour(value);
    if (current.low_index !== null && index >= current.low_index && index <= current.high_index) token.classList.add("run");
    if (index === current.critical) token.classList.add("critical");
    token.addEventListener("click", () => select(index, true));
    tokens.append(token);
  });
  const scale = make("div", null, { class: "scale" }), steps = make("span", null);
  for (const step of STEPS) { const box = make("i", null); box.style.backgroundColor = step; steps.append(box); }
  scale.append("chance that it still ends right: 0%", steps, "100% · boxed: the critical token · dashed: holds it with 90%");
  $("trajectory").replaceChildren(
    make("h2", current.question),
    make("p", `right answer ${current.answer} · this solution says ${current.said ?? "nothing"}`),
    make("p", `${current.id} · ${current.model} · ${current.estimator}`, { class: "soft" }),
    tokens, scale, curve(), make("div", null, { id: "token", role: "status" }));
}

const WIDE = 900, HIGH = 150, LOW = 205, LEFT = 40;
const x = (index) => LEFT + (WIDE - LEFT - 5) * (index + 1) / current.pieces.length;
const y = (value) => 10 + (HIGH - 20) * (1 - value);

function curve() {
  const known = [[-1, current.start], ...current.value.map((value, index) => [index, value])].filter(([, value]) => value !== null);
  const picture = draw("svg", { viewBox: `0 0 ${WIDE} ${LOW + 15}`, role: "img", "aria-label": "Chance of a right answer after each token, with its 95% interval, and rollouts for each token" });
  for (const value of [0, 0.5, 1]) {
    picture.append(draw("line", { class: "axis", x1: LEFT, x2: WIDE, y1: y(value), y2: y(value) }), draw("text", { x: 0, y: y(value) + 4 }, 100 * value + "%"));
  }
  const band = current.value.map((_, index) => index).filter((index) => current.low[index] !== null && current.high[index] !== null);
  const edge = [...band.map((i) => `${x(i)},${y(current.high[i])}`), ...band.reverse().map((i) => `${x(i)},${y(current.low[i])}`)];
  picture.append(draw("polygon", { class: "band", points: edge.join(" ") }), draw("polyline", { class: "curve", points: known.map(([i, value]) => `${x(i)},${y(value)}`).join(" ") }));
  const most = Math.max(1, ...current.rollouts.map((count) => count ?? 0)), thick = Math.max(1, (WIDE - LEFT) / current.pieces.length - 1);
  current.rollouts.forEach((count, index) => {
    const tall = 40 * (count ?? 0) / most;
    picture.append(draw("rect", { class: "bars", x: x(index) - thick / 2, y: LOW - tall, width: thick, height: tall }));
  });
  picture.append(draw("text", { x: 0, y: LOW }, "rollouts"));
  if (current.critical !== null && current.value[current.critical] !== null)
    picture.append(draw("circle", { class: "spot", cx: x(current.critical), cy: y(current.value[current.critical]), r: 5 }));
  picture.append(draw("line", { class: "cursor", id: "cursor", y1: 5, y2: LOW, x1: LEFT, x2: LEFT }));
  const pick = (event) => {
    const box = picture.getBoundingClientRect(), place = (event.clientX - box.left) / box.width * WIDE;
    const index = Math.round((place - LEFT) / (WIDE - LEFT - 5) * current.pieces.length - 1);
    select(Math.max(0, Math.min(current.pieces.length - 1, index)), false);
  };
  picture.addEventListener("pointermove", pick);
  picture.addEventListener("click", pick);
  return picture;
}

function select(index, keep) {
  at = Math.max(0, Math.min(current.pieces.length - 1, index));
  const tokens = $("tokens").children;
  for (const token of $("tokens").querySelectorAll(".at")) token.classList.remove("at");
  if (tokens[at]) tokens[at].classList.add("at");
  $("cursor").setAttribute("x1", x(at));
  $("cursor").setAttribute("x2", x(at));
  const before = at ? current.value[at - 1] : current.start;
  const lines = [
    `Position ${at} of 0 to ${current.pieces.length - 1}: ${visible(current.pieces[at])}`,
    `Chance of a right answer: ${percent(before)} before it, ${percent(current.value[at])} after it (${interval(current.low[at], current.high[at])}).`,
    `The policy draws exactly this token with probability ${percent(current.keep[at])}. ${current.rollouts[at] ?? 0} rollouts ${current.estimator === "branch" ? "drew another token here" : "went on after it"}; ${current.right[at] ?? 0} of them ended right.`,
  ];
  if (current.chance) lines.push(`It is the critical token with probability ${percent(current.chance[at])}.`);
  $("token").replaceChildren(...lines.map((line, number) => make("p", line, number ? {} : { class: "soft" })));
  if (at === current.critical && current.others.length) {
    const table = make("table", null);
    table.append(make("caption", "With another token in its place" + (current.passes.length ? ` (pass@1 ${percent(current.passes[0])})` : "")));
    for (const [piece, count, right] of current.others) {
      const line = make("tr", null);
      line.append(make("th", visible(piece), { scope: "row" }), make("td", `right in ${right} of ${count}`));
      table.append(line);
    }
    $("token").append(table);
  }
  if (keep) history.replaceState(null, "", "#" + encodeURIComponent(current.id) + "/" + at);
}

function follow() {
  const [id, token] = location.hash.slice(1).split("/");
  let name = "";
  try { name = decodeURIComponent(id); } catch { name = ""; }
  open(name, token ? Number.parseInt(token, 10) || 0 : undefined);
}

function step(by) {
  const place = shown.findIndex((row) => current && row.id === current.id) + by;
  if (shown[place]) location.hash = encodeURIComponent(shown[place].id);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !current) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) { if (event.key === "Escape") event.target.blur(); return; }
  const keys = { j: () => step(1), k: () => step(-1), n: () => select(at + 1, true), p: () => select(at - 1, true),
    c: () => current.critical !== null && select(current.critical, true), "/": () => $("search").focus(), "?": () => $("help").showModal() };
  if (Object.hasOwn(keys, event.key)) { event.preventDefault(); keys[event.key](); }
});
for (const id of ["search", "class", "order", "solvable"]) $(id).addEventListener("input", list);
$("more").addEventListener("click", () => more(listed));
addEventListener("hashchange", follow);

$("name").textContent = data.name;
document.title = data.name + " · critical tokens";
$("facts").textContent = data.facts;
for (const [name, value] of data.figures) $("figures").append(make("dt", name), make("dd", value));
const classes = make("table", null);
classes.append(make("caption", "Critical tokens by kind of word, and how far into the solution they stand (median)"));
for (const [name, count, place] of data.classes) {
  const line = make("tr", null);
  line.append(make("th", name, { scope: "row" }), make("td", count.toLocaleString("en")), make("td", percent(place)));
  classes.append(line);
}
$("tables").append(classes);
$("class").append(make("option", "any kind of token", { value: "" }), ...data.classes.map(([name]) => make("option", name, { value: name })));
list();
follow();
