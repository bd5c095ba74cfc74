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

// Decimal places that show two leading digits of an error.
function places(error) {
  if (!(error > 0) || !Number.isFinite(error)) return 2;
  const digits = 1 - Math.floor(Math.log10(error));
  // 0.0996 is 0.10 and not 0.100
  const carried = Math.floor(Math.log10(Number(error.toPrecision(2)))) > Math.floor(Math.log10(error));
  return Math.min(6, Math.max(0, carried ? digits - 1 : digits));
}

function measured(value, error) {
  if (value === null || !Number.isFinite(value)) return "–";
  if (error === null || !Number.isFinite(error)) return fixed(value, 2);
  return `${fixed(value, places(error))} ± ${fixed(error, places(error))}`;
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
