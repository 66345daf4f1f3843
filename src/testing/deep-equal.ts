import { createCustomEqual } from 'fast-equals';

/** As Node's `isDeepStrictEqual`, which browsers do not have; but 0 is -0. */
export const deepEqual: (a: unknown, b: unknown) => boolean = createCustomEqual({
  strict: true,
  circular: true,
  createCustomConfig: ({ areObjectsEqual }) => ({
    // Where an error was made, its stack, is no part of what it says.
    areErrorsEqual: (a: Error, b: Error, state) =>
      a.name === b.name && a.message === b.message && areObjectsEqual({ ...a }, { ...b }, state),
  }),
});
