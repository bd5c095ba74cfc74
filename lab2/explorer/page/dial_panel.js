// Experiment 3: the ellipse of the mystery star under changes that should matter, and under changes that should not.

const SIGMAS = [1, 2];

class DialPanel {
  constructor(labels, data) {
    Object.assign(this, { labels, data });
    this.positions = data.switches.map(() => 0);
  }

  async build() {
    byId("mystery-name").textContent = this.data.star;
    byId("switches").innerHTML = this.data.switches.map((one, n) => this.fieldset(one, n)).join("");
    byId("switches").addEventListener("change", (event) => {
      this.positions[Number(event.target.name.slice(7))] = Number(event.target.value);
      this.draw();
    });
    const options = this.labels.map((label, k) => `<option value="${k}">${escaped(label.text)}</option>`).join("");
    for (const [id, first] of [["dial-x", 0], ["dial-y", Math.min(1, this.labels.length - 1)]]) {
      byId(id).innerHTML = options;
      byId(id).value = first;
      byId(id).addEventListener("change", () => this.draw());
    }
    const height = byId("ellipses").clientWidth < 500 ? 320 : 420; // on a phone the switches stay in sight
    this.figure = chart(byId("ellipses"), { height, xLabel: "", yLabel: "", x: [0, 1], y: [0, 1] });
    this.sources = Object.fromEntries(["trail", "reference", "calibrated", "formal", "center", "truth"]
      .map((name) => [name, source(["x", "y"])]));
    this.addGlyphs();
    byId("dial-key").innerHTML = [
      keyed("━", COLORS.blue, "formal errors, 1 and 2σ (39 and 86 %)"),
      keyed("╍", COLORS.vermilion, "calibrated errors"),
      keyed("━", COLORS.grey, "formal errors of the final model"),
      keyed("●", COLORS.grey, "all combinations"),
      this.data.truth ? keyed("✚", COLORS.black, "truth") : "",
    ].join(" ");
    await shown(this.figure, byId("ellipses"), "Error ellipses of the mystery star");
    this.draw();
  }

  fieldset({ title, texts }, n) {
    const inputs = texts.map((text, at) => `<label><input type="radio" name="switch-${n}" value="${at}"
      ${at ? "" : "checked"}> ${escaped(text)}</label>`);
    return texts.length > 1 ? `<fieldset><legend>${escaped(title)}</legend>${inputs.join("")}</fieldset>` : "";
  }

  addGlyphs() {
    const { trail, reference, calibrated, formal, center, truth } = this.sources;
    points(this.figure, trail, { size: 4, color: COLORS.grey, alpha: 0.6 });
    line(this.figure, reference, { line_color: COLORS.grey });
    line(this.figure, calibrated, { line_color: COLORS.vermilion, line_dash: [6, 3], line_width: 2 });
    line(this.figure, formal, { line_color: COLORS.blue, line_width: 2.5 });
    points(this.figure, center, { size: 7, color: COLORS.blue });
    points(this.figure, truth, { size: 18, marker: "cross", line_color: COLORS.black, line_width: 3 });
  }

  // The case at the switches' positions; cases are in the order of nested loops, the last switch the innermost.
  get current() {
    const index = this.data.switches.reduce((sum, { texts }, n) => sum * texts.length + this.positions[n], 0);
    return this.data.cases[index];
  }

  draw() {
    const [i, j] = ["dial-x", "dial-y"].map((id) => Number(byId(id).value)), one = this.current;
    const { truth, cases } = this.data, known = cases.filter((other) => other.labels[0] !== null);
    const rings = (fit) => ringsOf(fit, i, j);
    this.sources.trail.data = { x: known.map((c) => c.labels[i]), y: known.map((c) => c.labels[j]) };
    this.sources.reference.data = rings(cases[0]);
    this.sources.formal.data = rings(one);
    this.sources.calibrated.data = rings(one.calibrated);
    this.sources.center.data = { x: [one.labels[i]], y: [one.labels[j]] };
    if (truth) this.sources.truth.data = { x: [truth[i]], y: [truth[j]] };
    this.scale(i, this.figure.x_range, this.figure.xaxes[0]);
    this.scale(j, this.figure.y_range, this.figure.yaxes[0]);
    this.tell(one);
  }

  // The same axis for all positions of the switches, so that an ellipse is seen to grow and to move.
  scale(k, range, axis) {
    const ends = this.data.cases.flatMap((one) => [one, one.calibrated]).filter((fit) => fit && fit.labels[0] !== null)
      .flatMap(({ labels, covariance }) => [-2, 2].map((s) => labels[k] + s * Math.sqrt(covariance[k][k])));
    setRange(range, ...rangeOf([...ends, ...(this.data.truth ? [this.data.truth[k]] : [])]));
    axis.axis_label = textWithUnit(this.labels[k]);
  }

  tell(one) {
    const { truth, cases } = this.data, wanted = truth || cases[0].labels, calibrated = one.calibrated;
    const error = (fit, k) => Math.sqrt(fit.covariance[k][k]);
    const miss = (fit, k) => (fit.labels[k] - wanted[k]) / error(fit, k);
    const what = truth ? "truth" : "final model";
    const rows = this.labels.map((label, k) => [
      withUnit(label), measured(one.labels[k], error(one, k)),
      calibrated ? measured(calibrated.labels[k], error(calibrated, k)) : "–",
      rounded(wanted[k], places(error(one, k))), signed(miss(one, k), 1), calibrated ? signed(miss(calibrated, k), 1) : "–",
    ]);
    const head = ["", "formal", "calibrated", what, "off, in formal errors", "in calibrated errors"];
    byId("dial-table").innerHTML = table(head, rows);
    const worst = (fit) => this.labels.map((label, k) => [label, miss(fit, k)])
      .reduce((a, b) => (Math.abs(b[1]) > Math.abs(a[1]) ? b : a));
    const said = (fit, name) => {
      const [label, size] = worst(fit);
      return `farthest from the ${what} in ${name} errors: ${label.html}, by ${signed(size, 1)}`;
    };
    const texts = [said(one, "formal"), calibrated && said(calibrated, "calibrated")].filter(Boolean);
    const itself = !truth && one === cases[0];
    byId("dial-summary").innerHTML = itself ? "This is the final model. Change something." : `${texts.join("; ").replace(/^f/, "F")}. ${calibrated ? ""
      : "No calibrated errors: they were learned for the final model and for errors up to a limit."}`;
    byId("ellipses").setAttribute("aria-label", `Error ellipses of the mystery star. ${byId("dial-summary").textContent}`);
  }
}

// Points of the 1 and 2 sigma ellipses of two labels, with a break between them.
function ringsOf(fit, i, j) {
  const x = [], y = [];
  if (fit && fit.labels[0] !== null) {
    const { labels, covariance: c } = fit, a = Math.sqrt(c[i][i]), b = i === j ? 0 : c[i][j] / a;
    const d = i === j ? a : Math.sqrt(Math.max(c[j][j] - b * b, 0)); // Cholesky factor ((a, 0), (b, d))
    for (const sigma of SIGMAS) {
      for (let n = 0; n <= 90; n += 1) {
        const [cos, sin] = [Math.cos, Math.sin].map((f) => sigma * f((n / 45) * Math.PI));
        x.push(labels[i] + a * cos);
        y.push(labels[j] + (i === j ? a * cos : b * cos + d * sin));
      }
      x.push(NaN);
      y.push(NaN);
    }
  }
  return { x, y };
}
