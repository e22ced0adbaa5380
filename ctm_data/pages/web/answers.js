// A problem: the votes and samples of a run, or of two side by side.
const tick = (yes) => yes ? "✓" : "✗";

function answers(problem) {
  const sides = problem.sides.map((side) => {
    const all = side.samples.length, column = make("section");
    if (problem.sides.length > 1) column.append(make("h3", side.run));
    column.append(make("p", `${side.samples.filter((sample) => sample.correct).length} of ${plural(all, "sample")} right`, { class: "soft" }));
    if (all > 1 && side.votes.length) column.append(votes(side.votes, all));
    column.append(...side.samples.map((sample) => one(sample, all === 1)));
    return column;
  });
  $("shown").replaceChildren(
    make("h2", problem.question ?? current.id),
    problem.tests.length ? tests(problem) : make("p", null, {}, "right answer ", make("b", problem.answer ?? "unknown")),
    make("p", current.id, { class: "soft" }),
    make("div", null, { class: "sides" }, ...sides));
}

const tests = (problem) => make("details", null, {}, make("summary", plural(problem.tests.length, "test")), make("pre", problem.tests.join("\n")));

function votes(groups, all) {
  const silent = all - groups.reduce((sum, [, votes]) => sum + votes, 0);
  const rows = groups.map(([answer, votes, right]) => {
    const bar = make("meter", null, { min: 0, max: all, value: votes, "aria-label": `${votes} of ${all} votes`, class: right ? "yes" : "no" });
    return [cut(answer, 60), bar, `${votes} of ${all}`, right === votes ? "right" : right ? `${right} right` : "wrong"];
  });
  if (silent) rows.push(["no answer", "", `${silent} of ${all}`, ""]);
  return table("Votes", null, rows);
}

function one(sample, opened) {
  const scores = Object.entries(sample.scores).map(([name, score]) => `${name} ${score.toFixed(3)}`);
  const checks = sample.programs.map((program) => `program ${program.result.replaceAll("_", " ")}`);
  const says = sample.answer === null ? sample.verdict.replaceAll("_", " ") : `says ${cut(sample.answer.split("\n")[0], 60)}`;
  const other = ["correct", "wrong"].includes(sample.verdict) || sample.answer === null ? [] : [sample.verdict.replaceAll("_", " ")];
  const line = [says, ...other, ...scores, ...checks].join(" · ");
  const mark = make("span", tick(sample.correct), { class: sample.correct ? "yes" : "no", role: "img", "aria-label": sample.correct ? "right" : "wrong" });
  const box = make("details", null, { class: "sample" }, make("summary", null, {}, mark, ` ${sample.sample_index}: ${line}`));
  const fill = () => box.childElementCount > 1 || box.append(
    make("pre", sample.text), ...(sample.because ? [make("h3", "The grader's reason"), make("pre", sample.because)] : []),
    ...sample.programs.flatMap((program) => [
      make("h3", program.description === null ? `The program of ${program.coder}` : `What ${program.coder} says the program does`),
      make("pre", program.description ?? program.program ?? "no program"),
      ...(program.description === null ? [make("p", null, {}, "printed ", make("code", program.printed ?? "nothing"), `, ${program.result.replaceAll("_", " ")}`)] : [])]),
    make("p", `${sample.solution_id} · ${sample.model} · ended by ${sample.finish_reason}`, { class: "soft" }));
  box.addEventListener("toggle", fill);
  if (opened) { box.open = true; fill(); }
  return box;
}
