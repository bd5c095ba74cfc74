// Charts by BokehJS (Bokeh.Plotting), in one style.

const COLORS = { blue: "#0072B2", vermilion: "#D55E00", green: "#009E73", black: "#000000", grey: "#8a8a8a" };
const FONT = { label: "14px", tick: "13px", name: "12px" };

// A chart in an element. `onTap` gets the data coordinates of a click.
function chart(element, { height, xLabel, yLabel, x, y, onTap = null }) {
  const figure = Bokeh.Plotting.figure({
    height,
    sizing_mode: "stretch_width",
    toolbar_location: null,
    tools: [],
    x_range: new Bokeh.Range1d({ start: x[0], end: x[1] }),
    y_range: new Bokeh.Range1d({ start: y[0], end: y[1] }),
    x_axis_label: xLabel,
    y_axis_label: yLabel,
    min_border_right: 12,
  });
  for (const axis of figure.axes) {
    axis.axis_label_text_font_size = FONT.label;
    axis.axis_label_text_font_style = "normal";
    axis.axis_label_text_color = "#1a1a1a";
    axis.major_label_text_font_size = FONT.tick;
    axis.major_label_text_color = "#1a1a1a";
  }
  figure.xaxes[0].ticker.desired_num_ticks = element.clientWidth < 500 ? 4 : 8;
  figure.yaxes[0].ticker.desired_num_ticks = 5;
  if (onTap) figure.on_event("tap", (event) => onTap(event.x, event.y));
  element.setAttribute("role", "img");
  return figure;
}

function setRange(range, start, end) {
  range.setv({ start, end });
}

function source(columns) {
  return new Bokeh.ColumnDataSource({ data: Object.fromEntries(columns.map((name) => [name, []])) });
}

function line(figure, from, style) {
  return figure.line({ field: "x" }, { field: "y" }, { source: from, line_width: 1.5, ...style });
}

function points(figure, from, style) {
  return figure.scatter({ field: "x" }, { field: "y" }, { source: from, ...style });
}

async function shown(figure, element, description) {
  element.setAttribute("aria-label", description);
  await Bokeh.Plotting.show(figure, element);
}

// The index of the point nearest to a click, distances measured in parts of the axes.
function nearest(xs, ys, figure, x, y) {
  const width = figure.x_range.end - figure.x_range.start, height = figure.y_range.end - figure.y_range.start;
  let best = -1, least = Infinity;
  xs.forEach((value, n) => {
    const distance = ((value - x) / width) ** 2 + ((ys[n] - y) / height) ** 2;
    if (distance < least) [best, least] = [n, distance];
  });
  return best;
}

// A range that holds all finite values, with a margin; 0 to 1 where there are none.
function rangeOf(values, margin = 0.05) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (Number.isFinite(value)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return [0, 1];
  const extra = margin * (high - low || 1);
  return [low - extra, high + extra];
}

// One entry of a key: a sign in the color of what it stands for, and words.
function keyed(sign, color, text) {
  return `<span class="entry"><span style="color:${color}" aria-hidden="true">${sign}</span> ${text}</span>`;
}
