import { expect, it } from 'vitest';
import { oddNames } from '../../src/testing/conformance/odd-names.js';
import { legible } from '../../src/testing/conformance/stage.js';

it('a name in a failure does nothing to the terminal that shows it', () => {
  for (const name of [...oddNames, '\u001b[2J', '\ud800']) expect(legible(name)).not.toMatch(/(?! )[\p{C}\p{Z}]/u);
  expect(legible('a\u0000b\u202e\u007f')).toBe('"a\\u0000b\\u{202e}\\u{7f}"');
  expect(legible('漢字 é')).toBe('"漢字 é"');
});

it('names of which a failure speaks are told from each other, unless they are long', () => {
  const short = oddNames.filter(({ length }) => length < 60);
  expect(new Set(short.map(legible)).size).toBe(short.length);
  expect(legible('n'.repeat(512)).length).toBeLessThan(70);
});
