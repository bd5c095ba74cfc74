// Experiment 1: sliders for labels and hidden factors, a frozen star beside them, and how far apart the two are.

const SNR = 100; // of the spectra for which chi^2 between two stars is quoted

class LabelsPanel {
  constructor(model, lines, pair) {
    Object.assign(this, { model, pair, frozen: null });
    this.labels = model.labels.map((label) => label.mean);
    this.factors = new Array(model.factors).fill(0);
    this.view = new SpectrumView(byId("label-view"), model, lines,
      { id: "labels", names: ["this star", "frozen star"], dots: false });
  }

  async build() {
    this.sliders = this.model.labels.map((label, k) => slider(byId("label-sliders"), {
      id: `label-${label.name}`, html: withUnit(label), low: label.low, high: label.high, step: label.step,
      digits: digitsOf(label), change: (value) => { this.labels[k] = value; this.draw(); },
    }));
    this.factorSliders = this.factors.map((_, k) => slider(byId("factor-sliders"), {
      id: `factor-${k + 1}`, html: `Factor ${k + 1}`, low: -3, high: 3, step: 0.1, digits: 1,
      change: (value) => { this.factors[k] = value; this.draw(); },
    }));
    byId("factor-box").hidden = !this.model.factors;
    byId("freeze").addEventListener("click", () => this.freeze());
    byId("release").addEventListener("click", () => { this.frozen = null; this.draw(); });
    byId("mean").addEventListener("click", () => this.set(this.model.labels.map((label) => label.mean)));
    byId("pair").addEventListener("click", () => {
      this.set(this.pair.cool);
      this.freeze();
      this.set(this.pair.warm);
    });
    await this.view.build();
    this.set(this.labels);
  }

  // Move the sliders to labels and factors; a slider ends where it ends.
  set(labels, factors = new Array(this.model.factors).fill(0)) {
    this.labels = labels.map((value, k) => this.sliders[k](value));
    this.factors = factors.map((value, k) => this.factorSliders[k](value));
    this.draw();
  }

  freeze() {
    const flux = this.model.predict(this.labels, this.factors);
    this.frozen = { labels: [...this.labels], factors: [...this.factors], flux };
    this.draw();
  }

  draw() {
    const flux = this.model.predict(this.labels, this.factors), distance = this.model.distance(this.labels);
    const light = byId("light"), outside = distance > 1;
    light.classList.toggle("outside", outside);
    light.textContent = `${outside ? "Extrapolating" : "Inside the training set"}: distance ${fixed(distance, 2)}`
      + " (its edge is at 1)";
    byId("release").disabled = !this.frozen;
    const texts = this.model.labels.map((label, k) => `${label.text} ${fixed(this.labels[k], digitsOf(label))}`);
    this.view.show(flux, this.frozen && this.frozen.flux, `Model spectrum of ${texts.join(", ")}.`);
    byId("comparison").innerHTML = this.frozen ? this.compared(flux) : "";
  }

  compared(flux) {
    const { rms, mean, chi2 } = difference(this.model, flux, this.frozen.flux, SNR);
    const rows = this.model.labels.map((label, k) => {
      const digits = digitsOf(label);
      return [withUnit(label), fixed(this.labels[k], digits), fixed(this.frozen.labels[k], digits)];
    });
    return `${table(["", "this", "frozen"], rows)}
      <p>Difference of the two: rms <b id="rms">${fixed(rms, 4)}</b>, mean ${fixed(mean, 4)}, of the continuum. A
      pixel has a noise of ${fixed(1 / SNR, 3)} at S/N ${SNR}; over all ${flux.length} pixels that makes
      Δχ² = ${fixed(chi2, 0)}: ${told(chi2)}</p>`;
  }
}

function told(chi2) {
  if (chi2 < 9) return "no spectrum of this S/N tells them apart.";
  return chi2 < 100 ? "a fit can just tell them apart." : "a fit tells them apart at once.";
}

function digitsOf(label) {
  return label.unit === "K" ? 0 : 2;
}

// A slider with its name and value. Returns a function that sets it and gives the value that it took.
function slider(box, { id, html, low, high, step, digits, change }) {
  const element = document.createElement("div");
  element.className = "slider";
  element.innerHTML = `<label for="${id}">${html}</label><output for="${id}"></output>
    <input type="range" id="${id}" min="${low}" max="${high}" step="${step}">`;
  box.append(element);
  const input = element.querySelector("input"), output = element.querySelector("output");
  const tell = () => {
    output.textContent = fixed(Number(input.value), digits);
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => { tell(); change(Number(input.value)); });
  return (value) => {
    input.value = value;
    tell();
    return Number(input.value);
  };
}
