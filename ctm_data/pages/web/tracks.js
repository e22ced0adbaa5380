// The tracks: one token axis, the value above, and below it what else is known of every token.
const LEFT = 84, RIGHT = 8, TALL = 150, LOW = 36, GAP = 16;

function tracks(t, place) {
  const kinds = [
    ["rollouts", t.rollouts, (value) => count(value)],
    ["CE score", t.ce, (value) => (value / 1000).toFixed(2)],
    ["entropy", t.entropy, (value) => (value / 1000).toFixed(2) + " nats"],
    ["surprisal", t.surprisal, (value) => (value / 1000).toFixed(2) + " nats"],
  ];
  const there = kinds.filter(([, values]) => values?.some((value) => value !== null));
  const missing = kinds.filter((one) => !there.includes(one)).map(([name]) => name);
  const told = make("p", "", { class: "readout", "aria-hidden": "true" }), canvas = make("div");
  place.replaceChildren(told, canvas);
  if (missing.length) place.append(make("p", `This run does not have: ${missing.join(", ")}.`, { class: "soft" }));
  let x = () => 0, line = null;

  const redraw = () => {
    const wide = Math.max(240, canvas.clientWidth), length = t.pieces.length;
    const high = TALL + there.length * (LOW + GAP) + 4, room = wide - LEFT - RIGHT;
    x = (index) => LEFT + room * (index + 1) / length;
    const y = (value) => 8 + (TALL - 20) * (1 - value / 1000);
    const picture = draw("svg", { width: wide, height: high, viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": "For every token: the chance of a right answer after it with its 95% interval, " + there.map(([name]) => name).join(", ") });
    for (const value of [0, 500, 1000])
      picture.append(draw("line", { class: "axis", x1: LEFT, x2: wide - RIGHT, y1: y(value), y2: y(value) }), draw("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, value / 10 + "%"));
    const band = t.value.map((_, index) => index).filter((index) => t.low[index] !== null && t.high[index] !== null);
    const edge = [...band.map((i) => `${x(i)},${y(t.high[i])}`), ...band.reverse().map((i) => `${x(i)},${y(t.low[i])}`)];
    const known = [[-1, t.start], ...t.value.map((value, index) => [index, value])].filter(([, value]) => value !== null);
    picture.append(draw("polygon", { class: "band", points: edge.join(" ") }), draw("polyline", { class: "curve", points: known.map(([i, value]) => `${x(i)},${y(value)}`).join(" ") }));
    if (t.critical !== null && t.value[t.critical] !== null)
      picture.append(draw("circle", { class: "spot", cx: x(t.critical), cy: y(t.value[t.critical]), r: 5 }));
    const thick = Math.max(1, Math.min(12, room / length - 1));
    there.forEach(([name, values], row) => {
      const base = TALL + (row + 1) * (LOW + GAP), most = name === "CE score" ? 1000 : Math.max(1, ...values.filter((value) => value !== null));
      const bars = values.map((value, index) => value ? `M${x(index).toFixed(1)} ${base}v${(-LOW * value / most).toFixed(1)}` : "").join("");
      picture.append(draw("line", { class: "axis", x1: LEFT, x2: wide - RIGHT, y1: base, y2: base }), draw("path", { class: "bars", d: bars, "stroke-width": thick }),
        draw("text", { x: LEFT - 6, y: base - LOW / 2, "text-anchor": "end" }, name), draw("text", { x: LEFT - 6, y: base - LOW / 2 + 13, "text-anchor": "end", class: "most" }, name === "CE score" ? "low: suspect" : "to " + kinds.find(([one]) => one === name)[2](most)));
    });
    line = draw("line", { class: "cursor", y1: 4, y2: high - 4 });
    picture.append(line);
    const index = (event) => {
      const box = picture.getBoundingClientRect(), there = (event.clientX - box.left) / box.width * wide;
      return Math.max(0, Math.min(length - 1, Math.round((there - LEFT) / room * length - 1)));
    };
    picture.addEventListener("pointermove", (event) => hover(index(event)));
    picture.addEventListener("pointerleave", () => hover(at));
    picture.addEventListener("click", (event) => select(index(event), true));
    canvas.replaceChildren(picture);
    cursor(at);
  };

  cursor = (index) => {
    line?.setAttribute("x1", x(index));
    line?.setAttribute("x2", x(index));
    const more = there.map(([name, values, says]) => `${name} ${values[index] === null ? "unknown" : says(values[index])}`);
    told.textContent = [`${index}: ${visible(cut(t.pieces[index], 24))}`, `${milli(t.value[index])} (${milli(t.low[index])} to ${milli(t.high[index])})`, ...more].join(" · ");
  };
  let wide = 0;
  new ResizeObserver(() => { if (canvas.clientWidth !== wide) { wide = canvas.clientWidth; redraw(); } }).observe(canvas);
  redraw();
}
