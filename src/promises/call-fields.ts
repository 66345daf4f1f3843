import { InvalidTemplate } from '../backends/errors.js';
import type { Template } from '../observables/locks/lock-name.js';
import type { Work } from './in-place-of.js';
import { parametersOf } from './parameters.js';

/** What the fields of the template are read from, at each call. Throws `InvalidTemplate` for a field that is none of it. */
export function fieldsFor(
  { text, parts }: Template,
  fn: Work,
  method: string,
): (self: unknown, args: readonly unknown[]) => Readonly<Record<string, unknown>> {
  const parameters = parametersOf(fn);
  const known = new Set(parameters?.map(({ name }) => name));
  const called = method === '' ? 'the function' : method;
  const signature = `${called}(${parameters?.map(({ name = '{…}', isRest }) => (isRest ? `...${name}` : name)).join(', ')})`;
  for (const field of parts) {
    if (typeof field === 'string') continue;
    const [first] = field.path;
    const cannot = (reason: string): never => {
      throw new InvalidTemplate(text, reason, field.text);
    };
    if (first === 'method') {
      if (method === '') cannot('the function has no name');
      if (known.has('method')) cannot('a parameter has this name, too: say its index, as {0}');
    } else if (!/^(?:\d+|this)$/.test(first) && !known.has(first))
      cannot(
        parameters === undefined
          ? `the parameters of ${called} cannot be told from its source: say the index, as {0}`
          : `${first} is no parameter of ${signature}: say the index, as {0}, for one that is taken apart, or renamed by a compiler or minifier`,
      );
  }
  return (self, args) => {
    // Without a prototype, so that a parameter may have any name.
    const fields: Record<string, unknown> = Object.assign(Object.create(null), args, { method, this: self });
    for (const [index, { name, isRest }] of (parameters ?? []).entries())
      if (name !== undefined && name !== 'method') fields[name] = isRest ? args.slice(index) : args[index];
    return fields;
  };
}
