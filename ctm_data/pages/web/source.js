// Where lists and entries come from: the page itself, or the server that it came from.
async function inflate(packed) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

const KEEPS = {
  is: (found, value) => found === value,
  has: (found, value) => found.includes(value),
  least: (found, value) => found !== null && found >= Number(value),
  above: (found, value) => found !== null && found > Number(value),
};

const brought = {
  parsed: new Promise((done) => document.readyState === "loading" ? addEventListener("DOMContentLoaded", done, { once: true }) : done()),
  lists: null,
  async part(name) {
    if (!$(name)) await this.parsed;
    return inflate($(name).textContent);
  },
  async list(of, asked, page) {
    this.lists ??= await this.part("lists");
    const words = (asked.search ?? "").toLowerCase(), order = of.orders.find((one) => one.name === asked.order) ?? of.orders[0];
    const filters = of.filters.filter((one) => asked[one.name]);
    const entries = this.lists[of.name].filter((entry) =>
      (!words || of.search.map((column) => entry[column] ?? "").join(" ").toLowerCase().includes(words)) &&
      filters.every((one) => entry[one.column] !== undefined && KEEPS[one.how](entry[one.column], asked[one.name])));
    const way = order.down ? -1 : 1, column = order.column;
    entries.sort((a, b) => {
      const [one, two] = [a[column], b[column]];
      if (one !== two) return one === null ? 1 : two === null ? -1 : one < two ? -way : way;
      return a.id < b.id ? -1 : 1;
    });
    const place = page.around === undefined ? -1 : entries.findIndex((entry) => entry.id === page.around);
    const from = place < 0 ? page.from ?? 0 : place - place % page.count;
    return { total: entries.length, from, entries: entries.slice(from, from + page.count) };
  },
  async entry(of, id) {
    this.lists ??= await this.part("lists");
    const found = this.lists[of.name].find((entry) => entry.id === id);
    return found ? this.part("row" + found.row) : null;
  },
};

const served = {
  async get(address, values = {}) {
    const answer = await fetch(address + "?" + new URLSearchParams(values));
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  },
  part(name) { return this.get(name); },
  list(of, asked, page) { return this.get("list", { ...asked, ...page, of: of.name }); },
  entry(of, id) { return this.get("entry", { of: of.name, id }); },
};

const source = data.remote ? served : brought;
