import { describe, expect, it } from "vitest";
import { clock, duration, shortClock } from "./format";

/** A moment in this machine's time zone, as the store gives it. */
function ns(...parts: [number, number, number, number, number, number, number]): string {
  return `${new Date(...parts).getTime()}000000`;
}

describe("a moment", () => {
  const now = new Date(2026, 10, 25, 12, 0);
  const [today, before] = [ns(2026, 10, 25, 3, 4, 5, 6), ns(2026, 10, 4, 23, 59, 0, 0)];

  it("of today is the time of day", () => {
    expect(clock(today, now)).toBe("03:04:05.006");
    expect(shortClock(today, now)).toBe("03:04:05.006");
  });

  it("of another day has its date", () => {
    expect(clock(before, now)).toBe("2026-11-04 23:59:00.000");
    expect(shortClock(before, now)).toBe("4 Nov 23:59");
  });
});

describe("a duration", () => {
  it.each([
    [0, "0 ns"], [999, "999 ns"], [1_000, "1.00 µs"], [45_600, "45.6 µs"], [123_456_789, "123 ms"],
    [999_600, "1.00 ms"], [9_999_000, "10.0 ms"], [99_960_000, "100 ms"], [59_999_000_000, "1 m 0 s"],
    [90_000_000_000, "1 m 30 s"], [119_700_000_000, "2 m 0 s"],
  ])("of %i ns is %s", (given, expected) => {
    expect(duration(given)).toBe(expected);
  });
});
