// Numbers as text: rounded to their errors, with true minus signs; a dash where there is none.

function fixed(value, digits) {
  if (value === null || !Number.isFinite(value)) return "–";
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

function signed(value, digits) {
  const text = fixed(value, digits);
  return value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

// Decimal places of a value with an error, as lab2.report.measured has them: two digits of an error of 10 to 35, else
// one. Negative for tens and hundreds.
function places(error) {
  if (!(error > 0) || !Number.isFinite(error)) return 2;
  const [three, exponent] = error.toExponential(2).split("e").map(Number);
  if (three >= 9.5) return -exponent;
  return three < 3.55 ? 1 - exponent : -exponent;
}

function rounded(value, digits) {
  if (value === null || digits >= 0) return fixed(value, digits);
  return fixed(Math.round(value / 10 ** -digits) * 10 ** -digits, 0);
}

function measured(value, error) {
  if (value === null || !Number.isFinite(value)) return "–";
  if (error === null || !Number.isFinite(error)) return rounded(value, 2);
  return `${rounded(value, places(error))} ± ${rounded(error, places(error))}`;
}

// Text from the data as HTML.
function escaped(text) {
  const signs = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return String(text).replace(/[&<>"]/g, (sign) => signs[sign]);
}

function withUnit(label) {
  return label.unit ? `${label.html} [${label.unit}]` : label.html;
}

function textWithUnit(label) {
  return label.unit ? `${label.text} [${label.unit}]` : label.text;
}
