// Arrays that lab2.explorer.packing has packed: base64, zlib, bytes with the least significant first.

const ARRAYS = { int8: Int8Array, int16: Int16Array, float32: Float32Array };

async function unpacked({ dtype, shape, data }) {
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const values = new ARRAYS[dtype](await new Response(stream).arrayBuffer());
  return { values, shape };
}

// The rows of an unpacked array of two axes, without a copy.
function rowsOf({ values, shape }) {
  const [count, length] = shape;
  return Array.from({ length: count }, (_, n) => values.subarray(n * length, (n + 1) * length));
}
