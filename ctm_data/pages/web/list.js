// The list: a window of pages over what the filters leave, which grows as one scrolls.
const PAGE = 100;
const watch = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && grow(false), { root: document.querySelector("nav"), rootMargin: "600px" });
let kind = data.lists[0], asked = {}, total = 0, from = 0, entries = [], round = 0;

function tools() {
  $("search").value = asked.search ?? "";
  $("search").placeholder = `Search ${kind.title.toLowerCase()} ( / )`;
  $("filters").replaceChildren(...kind.filters.map((one) => {
    if (one.how === "above") {
      const box = make("input", null, { type: "checkbox", id: "f-" + one.name });
      box.checked = Boolean(asked[one.name]);
      box.addEventListener("input", () => filter(one.name, box.checked ? one.choices[0][0] : ""));
      return make("label", null, {}, box, " " + one.choices[0][1]);
    }
    return chooser(one.name, `any ${one.label}`, one.label, one.choices);
  }), chooser("order", null, "order", kind.orders.map((order) => [order.name, order.label])));
}

function chooser(name, all, label, choices) {
  const select = make("select", null, { id: "f-" + name, "aria-label": label });
  if (all) select.append(make("option", all, { value: "" }));
  select.append(...choices.map(([value, words]) => make("option", cut(words, 60), { value })));
  select.value = asked[name] ?? (all ? "" : choices[0][0]);
  select.addEventListener("input", () => filter(name, select.value));
  return select;
}

function filter(name, value) {
  asked = { ...asked, [name]: value };
  if (!value) delete asked[name];
  fill({ from: 0 });
}

async function fill(page) {
  const own = ++round, found = await source.list(kind, asked, { count: PAGE, ...page });
  if (own !== round) return; // the filters have changed meanwhile
  ({ total, from, entries } = found);
  $("list").replaceChildren(...entries.map(item));
  $("list").parentElement.scrollTop = 0;
  told();
}

async function grow(earlier) {
  if (earlier ? !from : from + entries.length >= total) return;
  const own = ++round, start = earlier ? Math.max(0, from - PAGE) : from + entries.length;
  const found = await source.list(kind, asked, { count: earlier ? from - start : PAGE, from: start });
  if (own !== round) return;
  if (earlier) {
    const nav = $("list").parentElement, before = nav.scrollHeight;
    $("list").prepend(...found.entries.map(item));
    nav.scrollTop += nav.scrollHeight - before;
    entries = [...found.entries, ...entries];
    from = start;
  } else {
    $("list").append(...found.entries.map(item));
    entries = [...entries, ...found.entries];
  }
  told();
}

function told() {
  $("count").textContent = `${count(total)} ${total === 1 ? "entry" : "entries"}${total > entries.length ? `, here ${count(from + 1)} to ${count(from + entries.length)}` : ""}`;
  $("earlier").hidden = !from;
  $("more").hidden = from + entries.length >= total;
  watch.unobserve($("more")); // so that it is looked at again, even if it has not left the view
  watch.observe($("more"));
  mark();
}

function item(entry) {
  const link = make("a", null, { href: address(entry.id) });
  link.append(make("span", entry.question ?? entry.id), ...SAYS[kind.name](entry));
  return make("li", null, {}, link);
}

const swatch = (value) => { // thousandths
  const box = make("i");
  box.style.backgroundColor = colour(value);
  return box;
};
const SAYS = {
  answers: (entry) => entry.n_right === null ? [make("span", "not graded")] : [make("span", null, {}, swatch(1000 * entry.share), ` ${entry.n_right} of ${plural(entry.samples, "sample")} right`)],
  pairs: (entry) => [make("span", null, {}, swatch(1000 * entry.n_right / entry.samples), swatch(1000 * entry.n_right_then / entry.samples_then),
    ` ${entry.outcome} · ${entry.n_right} of ${entry.samples} → ${entry.n_right_then} of ${entry.samples_then}`)],
  trajectories: (entry) => {
    if (entry.position === null) return [make("span", "no critical token")];
    const before = entry.before === null ? null : 1000 * entry.before, after = entry.after === null ? null : 1000 * entry.after;
    return [make("span", null, {}, swatch(before), swatch(after),
      ` ${visible(entry.piece)} ${share(entry.before)} → ${share(entry.after)} · ${entry.position} of ${entry.tokens}`)];
  },
};

function mark() {
  for (const link of $("list").querySelectorAll("a")) {
    if (current && link.getAttribute("href") === address(current.id)) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

async function reveal(id) {
  if (!entries.some((entry) => entry.id === id)) await fill({ around: id });
  mark();
  $("list").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

async function step(by) {
  let place = entries.findIndex((entry) => current && entry.id === current.id) + by;
  if (place >= entries.length) await grow(false);
  if (place < 0) { const had = entries.length; await grow(true); place += entries.length - had; }
  if (entries[place]) location.hash = address(entries[place].id);
}

$("search").addEventListener("input", () => filter("search", $("search").value));
$("more").addEventListener("click", () => grow(false));
$("earlier").addEventListener("click", () => grow(true));
