// Two spectra, one over the other: a window of them with line names, their difference, and the whole range.

const WIDTHS = [50, 100, 200, 400];
const JUMP = 1.5; // pixels; a wider step in wavelength is a gap, over which no line is drawn

class SpectrumView {
  // `names` are those of the two spectra; with `dots` the first is data, drawn as points.
  constructor(element, model, lines, { id, names, dots }) {
    Object.assign(this, { element, model, lines, names, dots });
    const wavelength = model.wavelength;
    this.low = wavelength[0];
    this.high = wavelength[wavelength.length - 1];
    this.gaps = gapsOf(wavelength);
    this.center = 15750;
    this.width = 100;
    this.element.innerHTML = this.markup(id);
    this.slider = element.querySelector("input");
    this.output = element.querySelector("output");
    this.chooser = element.querySelector("select");
    this.slider.addEventListener("input", () => this.moveTo(Number(this.slider.value)));
    this.chooser.addEventListener("change", () => {
      this.width = Number(this.chooser.value);
      this.draw();
    });
  }

  markup(id) {
    const low = Math.ceil(this.low / 10) * 10, high = Math.floor(this.high / 10) * 10;
    const widths = WIDTHS.map((w) => `<option value="${w}"${w === this.width ? " selected" : ""}>${w} Å</option>`);
    return `
      <div class="row">
        <div class="slider" style="flex: 1 1 14rem">
          <label for="${id}-center">Center of the window</label><output for="${id}-center"></output>
          <input type="range" id="${id}-center" min="${low}" max="${high}" step="5" value="${this.center}">
        </div>
        <div><label for="${id}-width">Width</label> <select id="${id}-width">${widths.join("")}</select></div>
      </div>
      <p class="key">
        ${keyed(this.dots ? "●" : "━", this.dots ? COLORS.black : COLORS.blue, this.names[0])}
        ${keyed("━", this.dots ? COLORS.blue : COLORS.vermilion, this.names[1])}
      </p>
      <div class="chart" data-chart="window"></div>
      <div class="chart" data-chart="difference"></div>
      <div class="chart" data-chart="overview"></div>`;
  }

  async build() {
    const place = (name) => this.element.querySelector(`[data-chart=${name}]`);
    this.places = { window: place("window"), difference: place("difference"), overview: place("overview") };
    const x = [this.center - this.width / 2, this.center + this.width / 2];
    const common = { xLabel: "", x, yLabel: "Flux" };
    this.window = chart(this.places.window, { ...common, height: 290, y: [0.5, 1.3] });
    this.difference = chart(this.places.difference, {
      ...common, height: 150, y: [-0.1, 0.1], yLabel: "Difference", xLabel: "Vacuum wavelength [Å]",
    });
    this.overview = chart(this.places.overview, {
      height: 170, xLabel: "Vacuum wavelength [Å] (click to move)", yLabel: "Flux",
      x: [this.low, this.high], y: [0.4, 1.1], onTap: (wavelength) => this.moveTo(wavelength),
    });
    for (const figure of [this.window, this.difference, this.overview]) figure.min_border_left = 70;
    for (const figure of [this.difference, this.overview]) figure.yaxes[0].ticker.desired_num_ticks = 3;
    this.sources = Object.fromEntries(["first", "second", "change", "all", "other"].map((k) => [k, source(["x", "y"])]));
    this.lineNames = source(["x", "y0", "y1", "text"]);
    this.addGlyphs();
    await shown(this.window, this.places.window, "A window of the spectrum");
    await shown(this.difference, this.places.difference, "The difference of the two spectra");
    await shown(this.overview, this.places.overview, "The whole spectrum");
  }

  addGlyphs() {
    const { first, second, change, all, other } = this.sources;
    const over = this.dots ? { line_color: COLORS.blue } : { line_color: COLORS.vermilion, line_dash: [6, 3] };
    if (this.dots) points(this.window, first, { size: 3, color: COLORS.black });
    else line(this.window, first, { line_color: COLORS.blue });
    line(this.window, second, over);
    this.window.segment({ field: "x" }, { field: "y0" }, { field: "x" }, { field: "y1" },
      { source: this.lineNames, line_color: COLORS.grey });
    this.window.text({ field: "x" }, { field: "y1" }, { field: "text" }, {
      source: this.lineNames, angle: Math.PI / 2, text_baseline: "middle", x_offset: 0, y_offset: -4,
      text_font_size: FONT.name, text_color: "#1a1a1a",
    });
    const zero = new Bokeh.ColumnDataSource({ data: { x: [this.low, this.high], y: [0, 0] } });
    line(this.difference, zero, { line_color: COLORS.grey, line_width: 1 });
    line(this.difference, change, { line_color: COLORS.black, line_width: 1 });
    line(this.overview, all, { line_color: this.dots ? COLORS.black : COLORS.blue, line_width: 0.7 });
    line(this.overview, other, { ...over, line_dash: [], line_width: 0.7, line_alpha: 0.8 });
    this.box = new Bokeh.BoxAnnotation({ left: this.low, right: this.high, fill_color: COLORS.blue, fill_alpha: 0.18 });
    this.overview.add_layout(this.box);
  }

  // Show two spectra, in the trained pixels; the second may be null. NaN in a pixel leaves it out.
  show(first, second, description) {
    this.spectra = [first, second];
    this.description = description;
    this.draw();
  }

  moveTo(wavelength) {
    this.center = Math.round(Math.min(Math.max(wavelength, this.low), this.high));
    this.slider.value = this.center;
    this.draw();
  }

  draw() {
    const [first, second] = this.spectra, { wavelength } = this.model;
    const start = this.center - this.width / 2, end = this.center + this.width / 2;
    const inside = this.cut(start, end);
    const change = second && first.map((value, n) => value - second[n]);
    this.output.textContent = `${this.center} Å`;
    this.places.difference.hidden = !second;
    this.sources.first.data = this.columns(first, inside);
    this.sources.second.data = this.columns(second, inside);
    this.sources.change.data = this.columns(change, inside);
    this.sources.all.data = this.columns(first, [0, wavelength.length]);
    this.sources.other.data = this.columns(second, [0, wavelength.length]);
    setRange(this.window.x_range, start, end);
    setRange(this.difference.x_range, start, end);
    this.box.setv({ left: start, right: end });
    const values = [first, second].filter(Boolean).flatMap((one) => Array.from(one.subarray(...inside)));
    this.nameLines(start, end, rangeOf(values, 0));
    const [low, high] = rangeOf(change ? change.subarray(...inside) : [0]);
    const largest = Math.max(0.02, -low, high);
    setRange(this.difference.y_range, -largest, largest);
    const [bottom] = rangeOf(first, 0);
    setRange(this.overview.y_range, Math.min(0.5, Math.floor(bottom * 10) / 10), 1.15);
    for (const [name, place] of Object.entries(this.places)) {
      place.setAttribute("aria-label", `${this.description} ${this.caption(name, start, end)}`);
    }
  }

  caption(name, start, end) {
    if (name === "overview") return "The whole range of wavelengths.";
    const lines = [...new Set(this.lineNames.data.text)].join(", ");
    const range = `${start} to ${end} Å.`;
    return name === "window" ? `${range} Lines named: ${lines || "none"}.` : `Difference, ${range}`;
  }

  // First and last pixel of a range of wavelengths.
  cut(start, end) {
    const { wavelength } = this.model;
    const from = wavelength.findIndex((value) => value >= start);
    const to = wavelength.findLastIndex((value) => value <= end) + 1;
    return from < 0 ? [wavelength.length, wavelength.length] : [from, Math.max(from, to)];
  }

  // Columns of a line, which breaks over gaps.
  columns(values, [from, to]) {
    const x = [], y = [];
    for (let n = from; values && n < to; n += 1) {
      if (this.gaps.has(n) && n > from) {
        x.push(NaN);
        y.push(NaN);
      }
      x.push(this.model.wavelength[n]);
      y.push(values[n]);
    }
    return { x: Float64Array.from(x), y: Float64Array.from(y) };
  }

  // The strongest lines of the window, as far apart as their names need, above the spectrum.
  nameLines(start, end, [lowest, highest]) {
    const bottom = Math.min(0.8, Math.floor(lowest * 10) / 10);
    const top = Math.max(1.05, highest + 0.02);
    const apart = (end - start) * 18 / Math.max(this.places.window.clientWidth - 100, 200);
    const chosen = [];
    for (const [species, wavelength] of this.lines) {
      const inside = wavelength > start + apart / 2 && wavelength < end - apart / 2;
      if (inside && chosen.every((other) => Math.abs(other.wavelength - wavelength) > apart)) {
        chosen.push({ species, wavelength });
      }
    }
    const height = top - bottom;
    this.lineNames.data = {
      x: chosen.map((one) => one.wavelength),
      y0: chosen.map(() => top + 0.02 * height),
      y1: chosen.map(() => top + 0.07 * height),
      text: chosen.map((one) => one.species),
    };
    setRange(this.window.y_range, bottom, top + 0.32 * height);
  }
}

// Pixels before which the wavelength jumps.
function gapsOf(wavelength) {
  const step = Math.log(wavelength[1] / wavelength[0]), found = new Set();
  for (let n = 1; n < wavelength.length; n += 1) {
    if (Math.log(wavelength[n] / wavelength[n - 1]) > JUMP * step) found.add(n);
  }
  return found;
}
