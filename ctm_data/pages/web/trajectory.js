// A rolled-out solution: its text, its tracks, and what is known of the token that is picked.
let marks = { pivotal: false, cliff: false, blanks: false }, at = 0, spans = [], cursor = () => {};

const BLANKS = { " ": "·", "\n": "⏎\n", "\t": "⇥\t", "\r": "␍" };
const shape = (piece) => marks.blanks
  ? cut(piece).replace(/[ \n\t\r]/g, (blank) => BLANKS[blank]).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Zs}]/gu, (mark) => mark === "\n" || mark === "\t" ? mark : escaped(mark))
  : cut(piece);
const interval = (low, high) => low === null || high === null ? "nobody looked" : low === high ? "exact" : `95% interval ${milli(low)} to ${milli(high)}`;

function trajectory(t) {
  const boxes = [["pivotal", "pivotal tokens", "the value moves by 20 points or more"], ["cliff", "cliffs", "the value falls by more than chance and 10 points"], ["blanks", "blanks", "spaces, line ends and invisible characters"]];
  const toggles = boxes.map(([name, label, title]) => {
    const box = make("input", null, { type: "checkbox", id: "mark-" + name });
    box.checked = marks[name];
    box.addEventListener("input", () => { marks[name] = box.checked; tokens(t); });
    return make("label", null, { title }, box, " " + label);
  });
  const scale = make("span", null, { class: "steps", "aria-hidden": "true" }, ...data.colours.map((_, step) => swatch(1000 * step / (data.colours.length - 1))));
  const text = make("div", null, { id: "tokens", role: "group", "aria-label": "The solution, a token each" });
  const picked = (event, does) => event.target.place !== undefined && does(event.target.place);
  text.addEventListener("click", (event) => picked(event, (place) => select(place, true)));
  text.addEventListener("pointerover", (event) => picked(event, hover));
  text.addEventListener("pointerleave", () => hover(at));
  $("shown").replaceChildren(
    make("h2", t.question),
    make("p", null, {}, "right answer ", make("b", t.answer), " · this solution says ", make("b", t.said ?? "nothing"), t.verdict ? ` · ${t.verdict.replaceAll("_", " ")}` : ""),
    make("p", `${current.id} · ${t.model} · ${t.estimator}, ${plural(t.n, "rollout")} behind a value`, { class: "soft" }),
    text,
    make("div", null, { class: "scale" }, "ends right: 0%", scale, "100%", make("span", "boxed: critical token · dashed: holds it with 90%")),
    make("div", null, { class: "scale marks" }, "also mark:", ...toggles),
    make("div", null, { id: "tracks" }), make("div", null, { id: "token", role: "status" }));
  tokens(t);
  tracks(t, $("tracks"));
}

function tokens(t) {
  spans = t.pieces.map((piece, place) => {
    const span = make("span", shape(piece));
    span.place = place;
    span.style.backgroundColor = colour(t.value[place]);
    if (t.run && place >= t.run[0] && place <= t.run[1]) span.classList.add("run");
    if (place === t.critical) span.classList.add("critical");
    return span;
  });
  for (const name of ["pivotal", "cliff"]) if (marks[name]) for (const place of t[name]) spans[place].classList.add(name);
  $("tokens").replaceChildren(...spans);
  spans[at]?.classList.add("at");
}

function hover(place) {
  $("tokens").querySelector(".at")?.classList.remove("at");
  spans[place]?.classList.add("at");
  cursor(place);
}

function select(place, keep) {
  const t = current;
  at = Math.max(0, Math.min(t.pieces.length - 1, place));
  hover(at);
  const before = at ? t.value[at - 1] : t.start;
  $("token").replaceChildren(
    make("h3", null, {}, make("code", visible(t.pieces[at])), `, position ${at} of 0 to ${t.pieces.length - 1}${at === t.critical ? ", the critical one" : ""}`),
    make("p", `A right answer has a chance of ${milli(before)} before it and ${milli(t.value[at])} after it (${interval(t.low[at], t.high[at])}).${t.chance ? ` It is the critical token with probability ${milli(t.chance[at])}.` : ""}`),
    make("p", drawn(t)), ...alternatives(t));
  spans[at].scrollIntoView({ block: "nearest" });
  if (keep) history.replaceState(null, "", address(current.id) + "/" + at);
}

function drawn(t) {
  const own = t.surprisal[at] === null ? "cannot draw this token here" : `draws exactly this token with probability ${share(Math.exp(-t.surprisal[at] / 1000))}`;
  const likelier = at in t.likeliest ? `; its likeliest one is ${t.likeliest[at] === null ? "another, whose text is not stored" : visible(t.likeliest[at])}` : "";
  const does = t.estimator.startsWith("branch") ? "drew another token here" : "went on after it", rollouts = t.rollouts[at] ?? 0;
  return `The policy ${own}${likelier}. ${rollouts ? `${plural(rollouts, "rollout")} ${does}, and ${t.right[at]} of them ended right` : `No rollout ${does}`}.`;
}

function alternatives(t) {
  const shown = [], others = t.others[at];
  if (at === t.critical && t.replacements.length) {
    const all = t.replacements.reduce((sum, [, drawn]) => sum + drawn, 0);
    shown.push(table(`Rollouts with another token in its place${t.passes?.length ? `: ${milli(t.passes[0])} end right` : ""}`,
      ["instead", "drawn", "ended right", "95% interval"],
      t.replacements.map(([piece, drawn, right, low, high]) => [visible(piece), `${drawn} of ${all}`, `${right} of ${drawn}`, `${milli(low)} to ${milli(high)}`])));
  }
  if (others) {
    const rows = others.tokens.map(([piece, drawn, right]) => [piece === null ? "(its text is not stored)" : visible(piece), plural(drawn, "sample"), `${right} right`]);
    if (others.more) rows.push([plural(others.more[0], "other token"), plural(others.more[1], "sample"), `${others.more[2]} right`]);
    shown.push(table("Samples of this problem that agree up to here, then write", ["instead", "drawn", "ended right"], rows));
    for (const way of ["right", "wrong"])
      if (others[way]) shown.push(make("figure", null, {}, make("figcaption", `One that went on otherwise and ended ${way}:`), make("pre", cut(others[way], 1000))));
  }
  const lacks = [at === t.critical ? null : "which other tokens the rollouts drew (kept for the critical token only)", "the texts of rollouts", others ? null : "no sample of this problem leaves the solution here"];
  shown.push(make("p", `Not stored: ${lacks.slice(0, 2).filter(Boolean).join("; ")}.${lacks[2] ? ` And ${lacks[2]}.` : " The examples are samples."}`, { class: "soft" }));
  return shown;
}
