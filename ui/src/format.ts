/** Numbers as people read them. */

/** A duration in ns: three digits that matter, and a unit. */
export function duration(ns: number): string {
  if (ns >= 60e9) return `${Math.floor(ns / 60e9)} m ${Math.round((ns % 60e9) / 1e9)} s`;
  const units: [number, string][] = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]];
  for (const [size, unit] of units) {
    if (ns >= size) {
      const value = ns / size;
      return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
    }
  }
  return `${ns} ns`;
}

/** The time of day of a moment, given in ns since the epoch as text. */
export function clock(ns: string): string {
  const date = new Date(Number(BigInt(ns) / 1_000_000n));
  const two = (n: number) => String(n).padStart(2, "0");
  return (
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}` +
    `.${String(date.getMilliseconds()).padStart(3, "0")}`
  );
}
