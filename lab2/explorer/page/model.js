// The Cannon in JavaScript: flux = 1 + theta . v(x) + U z, for scaled labels x and scores z of the hidden factors
// (lab2.cannon.Cannon.predict), and the distance from the training set (lab2.cannon.training_distance).

class Model {
  static async load(described) {
    const model = new Model();
    model.labels = described.labels;
    model.pairs = described.pairs;
    model.wavelength = Float64Array.from((await unpacked(described.wavelength)).values);
    model.variance = Float64Array.from((await unpacked(described.scatter)).values, (s) => s * s);
    model.theta = { rows: rowsOf(await unpacked(described.theta.whole)), steps: described.theta.steps };
    model.loadings = { rows: rowsOf(await unpacked(described.loadings.whole)), steps: described.loadings.steps };
    model.form = described.distance;
    return model;
  }

  get factors() {
    return this.loadings.steps.length;
  }

  scaled(labels) {
    return this.labels.map((label, k) => (labels[k] - label.mean) / label.scale);
  }

  // Normalized flux in the trained pixels.
  predict(labels, factors = []) {
    const y = [1, ...this.scaled(labels)];
    const flux = new Float64Array(this.wavelength.length).fill(1);
    this.pairs.forEach(([i, j], term) => addRow(flux, this.theta, term, y[i] * y[j]));
    factors.forEach((score, k) => addRow(flux, this.loadings, k, score));
    return flux;
  }

  // Above 1 outside the training set.
  distance(labels) {
    const x = this.scaled(labels);
    let squared = 0;
    x.forEach((a, i) => x.forEach((b, j) => { squared += a * this.form[i][j] * b; }));
    return Math.sqrt(Math.max(squared, 0));
  }
}

function addRow(flux, { rows, steps }, row, factor) {
  const whole = rows[row], amount = factor * steps[row];
  if (amount !== 0) for (let n = 0; n < flux.length; n += 1) flux[n] += amount * whole[n];
}

// How far apart two spectra are: rms and mean of the difference, and chi^2 between them at a signal-to-noise ratio.
function difference(model, one, other, snr) {
  let squares = 0, sum = 0, chi2 = 0;
  for (let n = 0; n < one.length; n += 1) {
    const d = one[n] - other[n];
    squares += d * d;
    sum += d;
    chi2 += (d * d) / (snr ** -2 + model.variance[n]);
  }
  return { rms: Math.sqrt(squares / one.length), mean: sum / one.length, chi2 };
}
