import { expect, it } from 'vitest';
import { registerScheme } from '../../src/backends/shared/schemes.js';

it('a scheme or a connector that is none is refused, with what it must be', () => {
  const connector = () => {
    throw new Error('nothing connects here');
  };
  expect(() => registerScheme('1x', connector)).toThrow(
    expect.objectContaining({
      violations: ['scheme must begin with a letter from a to z, and consist of these, digits, + . and -, but is "1x"'],
    }),
  );
  expect(() => registerScheme('x', 'no function' as never)).toThrow(
    expect.objectContaining({ violations: ['connector must be a function, but is "no function"'] }),
  );
});
