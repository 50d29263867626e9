/** Numbers as people read them. */

/** A duration in ns: three digits that matter, and a unit. */
export function duration(ns: number): string {
  // Rounded before the unit is chosen: there are no 1000 µs.
  const rounded = Number(ns.toPrecision(3));
  if (rounded >= 60e9) {
    const seconds = Math.round(ns / 1e9);
    return `${Math.floor(seconds / 60)} m ${seconds % 60} s`;
  }
  const units: [number, string][] = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]];
  for (const [size, unit] of units) {
    if (rounded >= size) {
      const value = rounded / size;
      return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
    }
  }
  return `${rounded} ns`;
}

/** A moment, given in ns since the epoch as text: the time of day, of another day with its date. */
export function clock(ns: string, now = new Date()): string {
  const date = new Date(Number(BigInt(ns) / 1_000_000n));
  const time = `${minutes(date)}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
  if (isSameDay(date, now)) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

/** The same in at most as much room as the time of day takes. */
export function shortClock(ns: string, now = new Date()): string {
  const date = new Date(Number(BigInt(ns) / 1_000_000n));
  if (isSameDay(date, now)) return clock(ns, now);
  return `${date.getDate()} ${MONTHS[date.getMonth()]} ${minutes(date)}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function minutes(date: Date): string {
  return `${two(date.getHours())}:${two(date.getMinutes())}`;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}

function isSameDay(one: Date, other: Date): boolean {
  return one.toDateString() === other.toDateString();
}
