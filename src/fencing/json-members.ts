/**
 * The text of a JSON object, with other `values` of these members, in JSON. All else stays as it is written: to parse it and write
 * it anew would take digits from numbers that have more than a double holds.
 */
export function withMembers(object: string, values: ReadonlyMap<string, string>): string {
  const rest = new Map(values);
  const kept = membersOf(object).flatMap(([name, value]) => {
    if (!values.has(name)) return [[name, value]];
    const other = rest.get(name);
    rest.delete(name);
    // A name that comes twice is written once.
    return other === undefined ? [] : [[name, other]];
  });
  return `{${[...kept, ...rest].map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`;
}

/** The members of an object, with their values as they are written. `object` is JSON: that is not asked again. */
function membersOf(object: string): [name: string, value: string][] {
  const members: [string, string][] = [];
  let name: string | undefined;
  let depth = 0;
  let from = 0;
  const end = (at: number): void => {
    if (name !== undefined) members.push([name, object.slice(from, at).trim()]);
    name = undefined;
    from = at + 1;
  };
  for (let at = 0; at < object.length; at += 1) {
    const sign = object[at];
    if (sign === '"') at = endOfString(object, at);
    else if (sign === '{' || sign === '[') {
      depth += 1;
      if (depth === 1) from = at + 1;
    } else if (sign === '}' || sign === ']') {
      depth -= 1;
      if (depth === 0) end(at);
    } else if (depth === 1 && sign === ':') {
      name = JSON.parse(object.slice(from, at)) as string;
      from = at + 1;
    } else if (depth === 1 && sign === ',') end(at);
  }
  return members;
}

/** Where a string ends that begins at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}
