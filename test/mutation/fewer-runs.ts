import fc from 'fast-check';

// Each mutant is tried on each property: a few values kill what many would, and those that need many are found by `npm test`.
fc.configureGlobal({ seed: 1, numRuns: 25 });
