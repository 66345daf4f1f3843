import { map, type OperatorFunction } from 'rxjs';

/**
 * What conclave's values say, in a few characters: for marbles and for reading.
 *
 *     Set{a, b} → '{a,b}'     Map{a → member} → '{a:{"zone":"x"}}'     none → 'none'     a grant or contender → '#7'
 *
 * `some(x)` says what `x` says. An object with a token says the token. What is not known to conclave says its JSON.
 */
export function readable(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Set) return `{${[...value].map(readable).sort().join(',')}}`;
  if (value instanceof Map)
    return `{${[...value]
      .map(([key, of]) => `${readable(key)}:${readable(isMember(of) ? of.capabilities : of)}`)
      .sort()
      .join(',')}}`;
  if (value instanceof Error) return value.name;
  if (isTagged(value)) {
    if (value._tag === 'None') return 'none';
    if (value._tag === 'Some') return readable(value['value']);
    if (value._tag === 'Right') return readable(value['right']);
    if (value._tag === 'Left') return readable(value['left']);
  }
  if (hasToken(value)) return `#${value.token}`;
  return JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? String(inner) : inner)) ?? String(value);
}

/**
 * Turns each value into what `readable` says of it.
 *
 * @example
 * members(backend, 'workers').pipe(asReadable()).subscribe((ids) => console.log(ids)); // {w1,w2}
 */
export function asReadable(): OperatorFunction<unknown, string> {
  return map(readable);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isTagged(value: unknown): value is { readonly [field: string]: unknown; readonly _tag: string } {
  return isObject(value) && '_tag' in value && typeof value['_tag'] === 'string';
}

function isMember(value: unknown): value is { readonly capabilities: unknown } {
  return isObject(value) && 'capabilities' in value;
}

function hasToken(value: unknown): value is { readonly token: bigint } {
  return isObject(value) && typeof value['token'] === 'bigint';
}
