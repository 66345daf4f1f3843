import fc from 'fast-check';

// The same properties are tried in every run; another seed tries others, and a failure prints its own.
fc.configureGlobal({ seed: Number(process.env['CONCLAVE_TEST_SEED'] ?? 1) });
