// The whole run: its facts, and its figures drawn from their numbers, which stand below each.
const SHAPES = ["M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "M-3.6-3.6h7.2v7.2h-7.2z", "M0-4.6l4.4 8h-8.8z", "M0-5l5 5-5 5-5-5z", "M-4.5-1.5h3v-3h3v3h3v3h-3v3h-3v-3h-3z", "M0 4.6l4.4-8h-8.8z"];
const DASHES = ["", "6 3", "2 3", "8 3 2 3", "12 4", "4 6"];

async function overview() {
  if (data.remote) say("Counting …");
  const run = await source.part("overview");
  const facts = make("dl");
  for (const [name, words] of run.facts) facts.append(make("dt", name), make("dd", words));
  $("shown").replaceChildren(make("h2", data.whole), facts);
  for (const figure of run.figures) $("shown").append(pictured(figure));
}

function pictured(figure) {
  const series = [...new Set(figure.points.map((point) => point.series))];
  const says = (value) => value === null ? "" : figure.unit === "share" ? share(value) : count(Math.round(value));
  const picture = (figure.kind === "curve" ? curves : dots)(figure, series, says);
  const legend = make("p", null, { class: "legend" }, ...(series.length > 1 ? series : []).map((name) => {
    const key = draw("svg", { width: 30, height: 12, viewBox: "-15 -6 30 12", "aria-hidden": "true" });
    key.append(...symbol(series.indexOf(name), 0, 0, figure.kind === "curve" ? [[-15, 0], [15, 0]] : []));
    return make("span", null, {}, key, " " + name);
  }));
  const numbers = make("details", null, {}, make("summary", "The numbers"), table(figure.title, [figure.x, "", figure.y, "95% interval", "n"],
    figure.points.map((point) => [String(point.x), point.series, says(point.value), point.low === null ? "" : `${says(point.low)} to ${says(point.high)}`, point.n === null ? "" : count(point.n)])));
  return make("figure", null, { class: "picture" }, make("h3", figure.title), picture, legend, make("figcaption", figure.note), numbers);
}

function symbol(index, x, y, line) {
  const ink = data.series[index % data.series.length], parts = [];
  if (line.length) parts.push(draw("polyline", { points: line.map((point) => point.join()).join(" "), fill: "none", stroke: ink, "stroke-width": 2, "stroke-dasharray": DASHES[index % DASHES.length] }));
  parts.push(draw("path", { d: SHAPES[index % SHAPES.length], fill: ink, transform: `translate(${x} ${y})` }));
  return parts;
}

function canvas(figure, wide, high, title) {
  return draw("svg", { width: wide, height: high, viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": title });
}
const room = () => Math.max(280, Math.min(640, $("shown").clientWidth - 64));
const ceiling = (figure) => {
  const most = Math.max(...figure.points.map((point) => point.high ?? point.value));
  if (figure.unit === "share") return [0.1, 0.25, 0.5, 1].find((top) => most <= top) ?? most;
  const digit = 10 ** Math.floor(Math.log10(most || 1));
  return [1, 2, 5, 10].map((one) => one * digit).find((top) => most <= top);
};

function dots(figure, series, says) {
  const places = [...new Set(figure.points.map((point) => point.x))], wide = room(), left = Math.min(190, wide * 0.36), right = 52;
  const tall = Math.max(24, 16 * series.length + 8), high = tall * places.length + 24, top = ceiling(figure);
  const x = (value) => left + (wide - left - right) * value / top;
  const picture = canvas(figure, wide, high, `${figure.title}: ${figure.y} by ${figure.x}`);
  for (const part of [0, 0.5, 1]) {
    picture.append(draw("line", { class: "axis", x1: x(part * top), x2: x(part * top), y1: 0, y2: high - 18 }), draw("text", { x: x(part * top), y: high - 4, "text-anchor": part ? "middle" : "start" }, says(part * top)));
  }
  places.forEach((place, row) => {
    const middle = tall * (row + 0.5);
    picture.append(draw("text", { x: left - 8, y: middle + 4, "text-anchor": "end" }, cut(String(place), Math.floor(left / 7))));
    for (const point of figure.points.filter((point) => point.x === place)) {
      const index = series.indexOf(point.series), y = middle + 16 * (index - (series.length - 1) / 2);
      if (point.low !== null) picture.append(draw("line", { x1: x(point.low), x2: x(point.high), y1: y, y2: y, stroke: data.series[index % data.series.length], "stroke-width": 2 }));
      picture.append(...symbol(index, x(point.value), y, []), draw("text", { x: x(point.high ?? point.value) + 8, y: y + 4, class: "most" }, says(point.value)));
    }
  });
  return picture;
}

function curves(figure, series, says) {
  const wide = room(), high = 270, left = 48, right = 14, bottom = 34;
  const most = Math.max(...figure.points.map((point) => point.x)), steps = Math.max(1, Math.log2(most));
  const x = (k) => left + (wide - left - right) * Math.log2(k) / steps, y = (value) => 10 + (high - bottom - 10) * (1 - value);
  const picture = canvas(figure, wide, high, `${figure.title}: ${figure.y} for ${figure.x} from 1 to ${most}`);
  for (const value of [0, 0.25, 0.5, 0.75, 1])
    picture.append(draw("line", { class: "axis", x1: left, x2: wide - right, y1: y(value), y2: y(value) }), draw("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, says(value).replace(".0%", "%")));
  for (let k = 1; k <= most; k *= 2) picture.append(draw("text", { x: x(k), y: high - bottom + 18, "text-anchor": "middle" }, String(k)));
  picture.append(draw("text", { x: (left + wide - right) / 2, y: high - 2, "text-anchor": "middle" }, figure.x));
  series.forEach((name, index) => {
    const own = figure.points.filter((point) => point.series === name).sort((a, b) => a.x - b.x);
    const band = own.filter((point) => point.low !== null);
    picture.append(draw("polygon", { fill: data.series[index % data.series.length], opacity: 0.12, points: [...band.map((p) => `${x(p.x)},${y(p.high)}`), ...band.reverse().map((p) => `${x(p.x)},${y(p.low)}`)].join(" ") }));
    picture.append(...symbol(index, x(own[0].x), y(own[0].value), own.map((point) => [x(point.x), y(point.value)])));
    for (const point of own.slice(1)) if (Number.isInteger(Math.log2(point.x)) || point.x === most) picture.append(...symbol(index, x(point.x), y(point.value), []));
  });
  return picture;
}
