// Experiment 2: a Kiel diagram, residuals and a spectrum that show the same chosen star.

const MASKED = -128; // lab2.explorer.packing.MISSING
const CHOICES = [
  ["all stars", () => true],
  ["odd stars", (star) => star.kind !== ""],
  ["ordinary stars", (star) => star.kind === ""],
  ["stars with a flag", (star) => star.flags.length > 0],
];

class StarsPanel {
  static async load(model, lines, data) {
    const panel = new StarsPanel();
    Object.assign(panel, { model, sample: data.sample, chosen: 0, which: 0 });
    panel.fitted = rowsOf(await unpacked(data.fitted));
    panel.catalog = rowsOf(await unpacked(data.catalog));
    panel.residuals = rowsOf(await unpacked(data.residuals));
    panel.view = new SpectrumView(byId("star-view"), model, lines, { id: "stars", names: ["data", "fit"], dots: true });
    return panel;
  }

  async build() {
    this.fillControls();
    const { labels } = this.model, x = columnOf(this.fitted, 0), y = columnOf(this.fitted, 1);
    // both axes of a Kiel diagram run backwards
    this.kiel = chart(byId("kiel"), {
      height: 320, xLabel: textWithUnit(labels[0]), yLabel: textWithUnit(labels[1]),
      x: rangeOf(x).reverse(), y: rangeOf(y).reverse(), onTap: (a, b) => this.tapped(this.kiel, "kiel", a, b),
    });
    this.residual = chart(byId("residual"), {
      height: 320, xLabel: "", yLabel: "", x: [0, 1], y: [0, 1],
      onTap: (a, b) => this.tapped(this.residual, "residual", a, b),
    });
    this.points = { kiel: this.addPoints(this.kiel), residual: this.addPoints(this.residual) };
    await shown(this.kiel, byId("kiel"), "Kiel diagram: log g against Teff of all stars");
    await shown(this.residual, byId("residual"), "Fit minus catalog");
    await this.view.build();
    this.drawDiagrams();
    this.choose(Math.max(0, this.sample.findIndex((star) => star.kind !== "")));
  }

  fillControls() {
    const which = byId("which"), list = byId("star"), label = byId("residual-label");
    which.innerHTML = CHOICES.map(([name, test], n) => {
      const count = this.sample.filter(test).length;
      return `<option value="${n}"${count ? "" : " disabled"}>${name} (${count})</option>`;
    }).join("");
    label.innerHTML = this.model.labels.map((one, k) => `<option value="${k}">${escaped(one.text)}</option>`).join("");
    byId("star-key").innerHTML = [
      keyed("●", COLORS.blue, "ordinary star with a spectrum on this page"),
      keyed("▲", COLORS.vermilion, "odd star with a spectrum"),
      keyed("●", COLORS.grey, "any other star"),
      keyed("◯", COLORS.black, "the chosen star"),
    ].join(" ");
    this.fillList();
    which.addEventListener("change", () => { this.which = Number(which.value); this.fillList(); this.step(0); });
    list.addEventListener("change", () => this.choose(Number(list.value)));
    label.addEventListener("change", () => this.drawDiagrams());
    byId("previous").addEventListener("click", () => this.step(-1));
    byId("next").addEventListener("click", () => this.step(1));
    for (const box of ["reveal-catalog", "reveal-truth"]) byId(box).addEventListener("change", () => this.tell());
    byId("reveal-truth-box").hidden = !this.sample.some((star) => star.truth);
  }

  fillList() {
    this.listed = [...this.sample.keys()].filter((n) => CHOICES[this.which][1](this.sample[n]));
    byId("star").innerHTML = this.listed.map((n) => `<option value="${n}">${escaped(this.sample[n].id)}</option>`).join("");
  }

  addPoints(figure) {
    const made = { others: source(["x", "y"]), ordinary: source(["x", "y"]), odd: source(["x", "y"]), one: source(["x", "y"]) };
    points(figure, made.others, { size: 3, color: COLORS.grey, alpha: 0.5 });
    points(figure, made.ordinary, { size: 6, color: COLORS.blue, alpha: 0.8 });
    points(figure, made.odd, { size: 8, color: COLORS.vermilion, marker: "triangle" });
    points(figure, made.one, { size: 16, fill_color: null, line_color: COLORS.black, line_width: 3 });
    return made;
  }

  // Coordinates of every star in both diagrams.
  coordinates() {
    const k = Number(byId("residual-label").value), known = columnOf(this.catalog, k);
    return {
      kiel: [columnOf(this.fitted, 0), columnOf(this.fitted, 1)],
      residual: [known, columnOf(this.fitted, k).map((value, n) => value - known[n])],
    };
  }

  drawDiagrams() {
    const all = this.coordinates(), label = this.model.labels[Number(byId("residual-label").value)];
    const withSpectra = new Set(this.sample.map((star) => star.star));
    const groups = {
      others: [...this.fitted.keys()].filter((n) => !withSpectra.has(n)),
      ordinary: this.sample.filter((star) => star.kind === "").map((star) => star.star),
      odd: this.sample.filter((star) => star.kind !== "").map((star) => star.star),
    };
    for (const [name, sources] of Object.entries(this.points)) {
      const [x, y] = all[name];
      for (const [group, stars] of Object.entries(groups)) {
        sources[group].data = { x: stars.map((n) => x[n]), y: stars.map((n) => y[n]) };
      }
    }
    setRange(this.residual.x_range, ...rangeOf(all.residual[0]));
    setRange(this.residual.y_range, ...rangeOf(all.residual[1]));
    this.residual.xaxes[0].axis_label = `Catalog ${textWithUnit(label)}`;
    this.residual.yaxes[0].axis_label = `Fit − catalog, ${textWithUnit(label)}`;
    this.mark();
  }

  tapped(figure, name, a, b) {
    const [x, y] = this.coordinates()[name], stars = this.sample.map((star) => star.star);
    const found = nearest(stars.map((n) => x[n]), stars.map((n) => y[n]), figure, a, b);
    if (found < 0) return;
    if (!this.listed.includes(found)) {
      byId("which").value = this.which = 0;
      this.fillList();
    }
    this.choose(found);
  }

  step(by) {
    const at = Math.max(0, this.listed.indexOf(this.chosen)) + by;
    if (this.listed.length) this.choose(this.listed[Math.min(Math.max(at, 0), this.listed.length - 1)]);
  }

  choose(n) {
    this.chosen = n;
    byId("star").value = n;
    const star = this.sample[n], fit = this.model.predict(star.curve, star.factors);
    const data = fit.map((value, pixel) => {
      const whole = this.residuals[n][pixel];
      return whole === MASKED ? NaN : value + star.step * whole;
    });
    const fitted = Number.isFinite(this.fitted[star.star][0]);
    this.view.show(data, fitted ? fit : null, `Spectrum of ${star.id}${fitted ? " and its fit" : ", without a fit"}.`);
    this.mark();
    this.tell();
  }

  mark() {
    const star = this.sample[this.chosen].star;
    for (const [name, [x, y]] of Object.entries(this.coordinates())) {
      this.points[name].one.data = { x: [x[star]], y: [y[star]] };
    }
    const text = `The chosen star is ${this.sample[this.chosen].id}.`;
    byId("kiel").setAttribute("aria-label", `Kiel diagram of ${this.fitted.length} stars. ${text}`);
    byId("residual").setAttribute("aria-label", `Fit minus catalog of ${this.fitted.length} stars. ${text}`);
  }

  // What is known of the chosen star, in words and as a table.
  tell() {
    const star = this.sample[this.chosen], truth = byId("reveal-truth").checked && star.truth;
    const catalogFlags = [star.starflag, star.aspcapflag].filter(Boolean).join("; ");
    const facts = [
      ["Field", star.field], ["S/N", star.snr], ["Reduced χ²", fixed(star.chi2, 2)],
      ["Distance", `${fixed(star.distance, 2)} (the training set’s edge: 1)`],
      ["Flags of the fit", star.flags.join("; ") || "none"],
      ["Flags of the catalog", catalogFlags || "none"],
      ["Verdict", star.kind ? `${star.kind}: ${star.verdict}` : "ordinary"],
    ];
    if (truth) facts.push(["Simulated as", star.planted || "ordinary"]);
    const known = facts.filter(([, value]) => value !== undefined);
    byId("about-star").innerHTML = `<p><b>${escaped(star.id)}</b></p><dl>${known
      .map(([name, value]) => `<dt>${name}</dt><dd>${escaped(value)}</dd>`).join("")}</dl>`;
    const catalog = byId("reveal-catalog").checked;
    const head = ["", "fit", ...(catalog ? ["catalog"] : []), ...(truth ? ["truth"] : [])];
    byId("star-table").innerHTML = table(head, this.model.labels.map((label, k) => {
      const error = star.error[k], digits = places(error);
      const row = [withUnit(label), measured(this.fitted[star.star][k], error)];
      if (catalog) row.push(rounded(this.catalog[star.star][k], digits));
      if (truth) row.push(rounded(star.truth[k], digits));
      return row;
    }));
  }
}

function columnOf(rows, k) {
  return rows.map((row) => row[k]);
}
