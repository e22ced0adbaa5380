// What is open: an entry of a list, by the address of the page: #ID/TOKEN, or #/LIST/ID of another list.
let current = null, asking = 0;
const SHOWS = { trajectories: trajectory, answers, pairs: answers };
const address = (id, of = kind) => (of === data.lists[0] ? "#" : `#/${of.name}/`) + encodeURIComponent(id);
const say = (text) => $("shown").replaceChildren(make("p", text));

async function open(id, token) {
  const mine = ++asking, own = kind, entry = id === undefined ? undefined : await source.entry(own, id);
  if (mine !== asking || own !== kind) return; // another one was asked for meanwhile
  if (!entry) { current = null; mark(); say(id === undefined ? "Nothing is left by these filters." : `There is no ${id} on this page.`); return; }
  const same = current?.id === id && current.of === own.name;
  current = { ...entry, id, of: own.name };
  at = Math.max(0, Math.min((entry.pieces?.length ?? 1) - 1, token ?? entry.critical ?? 0));
  if (!same) { SHOWS[own.name](current); $("shown").scrollTop = 0; }
  if (entry.pieces) select(at, false);
  await reveal(id);
}

function tabs(here) {
  const all = [...data.lists.map((of, place) => [of.title, place ? "#/" + of.name : "#", of.name]), [data.whole, "#/run", "run"]];
  $("tabs").replaceChildren(...all.map(([title, href, name]) => {
    const tab = make("a", title, { href });
    if (name === here) tab.setAttribute("aria-current", "page");
    return tab;
  }));
}

async function follow() {
  const parts = location.hash.slice(1).split("/").map((part) => { try { return decodeURIComponent(part); } catch { return ""; } });
  const run = !parts[0] && parts[1] === "run";
  const of = parts[0] ? data.lists[0] : data.lists.find((one) => one.name === parts[1]) ?? data.lists[0];
  const [id, token] = parts[0] ? parts : parts.slice(2);
  if (of !== kind || !round) {
    kind = of;
    asked = {};
    tools();
    await fill(id ? { around: id } : { from: 0 });
  }
  tabs(run ? "run" : kind.name);
  if (run) {
    asking++;
    current = null;
    mark();
    await overview().catch((error) => say(`It cannot be shown: ${error.message}`));
    return;
  }
  const places = token ? Number.parseInt(token, 10) || 0 : undefined;
  await open(id || entries[0]?.id, places).catch((error) => say(`It cannot be shown: ${error.message}`));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox") { if (event.key === "Escape") event.target.blur(); return; }
  const keys = { j: () => step(1), k: () => step(-1), "/": () => $("search").focus(), "?": () => $("help").showModal() };
  if (current?.pieces) Object.assign(keys, { n: () => select(at + 1, true), p: () => select(at - 1, true), b: () => $("mark-blanks").click(),
    c: () => current.critical !== null && select(current.critical, true) });
  if (Object.hasOwn(keys, event.key)) { event.preventDefault(); keys[event.key](); }
});
addEventListener("hashchange", follow);

$("name").textContent = data.name;
document.title = data.name + " · critical tokens";
$("facts").textContent = data.facts;
if (typeof DecompressionStream === "undefined" && !data.remote)
  say("This browser cannot inflate the page's data (it lacks DecompressionStream). Any browser of 2023 or later can.");
else follow();
