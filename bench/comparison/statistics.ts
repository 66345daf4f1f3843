/** The middle of what was measured, with the quarter below and the quarter above. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** `undefined` where nothing was measured. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  return { median: at(sorted, 0.5), low: at(sorted, 0.25), high: at(sorted, 0.75) };
}

export function medianOf(values: readonly number[]): number | undefined {
  return spreadOf(values)?.median;
}

/** Between two values, in proportion. */
function at(sorted: readonly number[], part: number): number {
  const place = part * (sorted.length - 1);
  const [below, above] = [Math.floor(place), Math.ceil(place)].map((index) => sorted[index] ?? Number.NaN) as [
    number,
    number,
  ];
  return below + (above - below) * (place - Math.floor(place));
}
