/*
 * Who may import whom. Each place lists everything that its files may import; whatever is not listed is forbidden.
 *
 *   app -> operators -> observables -> backends/backend.ts <- adapters -> the store's own client
 */

/** The adapters, each with the packages that only it may know. A new backend is a new line. */
const clients = {
  memory: [],
  redis: ['ioredis', 'redis'],
  etcd: ['etcd3'],
  zookeeper: ['node-zookeeper-client'],
};
const adapters = Object.keys(clients).join('|');

const errors = '^src/backends/errors[.]ts$';
const validity = '^src/backends/validity[.]ts$';
const teardown = '^src/backends/teardown[.]ts$';
const port = '^src/backends/backend[.]ts$';
/** Checks and encodings without any state. */
const pure = '^src/backends/(keys|codec|expectations|is-error|utf8)[.]ts$';
const helpers = '^src/backends/[^/]+[.]ts$';
const rxjs = '^node_modules/rxjs/';
const fpTs = '^node_modules/fp-ts/';

const place = (name, files, allowed, dependencyTypes = []) => ({
  name,
  comment: `${name}: may import ${[...allowed, ...dependencyTypes].join(', ') || 'nothing'}`,
  severity: 'error',
  from: { path: files },
  to: { pathNot: allowed, dependencyTypesNot: dependencyTypes },
});

const places = [
  place('errors-know-nobody', errors, []),
  place('validity-knows-nobody', validity, []),
  place('teardown-knows-only-rxjs', teardown, [rxjs]),
  place('port-knows-only-rxjs-and-errors', port, [rxjs, fpTs, errors]),
  place(
    'helpers-know-no-adapter',
    `^src/backends/(?!(backend|errors|validity)[.])[^/]+[.]ts$`,
    [helpers, rxjs, fpTs],
    ['core'],
  ),
  ...Object.entries(clients).map(([adapter, packages]) =>
    place(
      `${adapter}-knows-only-its-client`,
      `^src/backends/${adapter}/`,
      [
        `^src/backends/${adapter}/`,
        helpers,
        rxjs,
        fpTs,
        ...packages.map((client) => `^node_modules/(@types/)?${client}/`),
      ],
      ['core'],
    ),
  ),
  place('observables-know-only-the-port', '^src/observables/', [
    '^src/observables/',
    port,
    errors,
    pure,
    validity,
    teardown,
    rxjs,
    fpTs,
  ]),
  place('operators-know-only-observables', '^src/operators/', [
    '^src/(operators|observables)/',
    port,
    errors,
    pure,
    validity,
    rxjs,
    fpTs,
  ]),
  place('connect-knows-backends', '^src/connect[.]ts$', [
    helpers,
    '^src/backends/memory/index[.]ts$',
    `^src/backends/(${adapters})/(options|characteristics|[a-z]+-store)[.]ts$`,
    rxjs,
    fpTs,
  ]),
  place(
    'testing-may-use-everything',
    '^src/testing/[^/]+[.]ts$',
    ['^src/', rxjs, fpTs, '^node_modules/(fast-check|fast-equals|vitest|@vitest/[^/]+)/'],
    ['core'],
  ),
  place('testing-processes-stand-alone', '^src/testing/processes/', ['^src/testing/processes/', rxjs], ['core']),
  place(
    'testing-servers-know-only-the-port',
    '^src/testing/servers/',
    ['^src/testing/(servers|processes)/', port, errors, pure, rxjs],
    ['core'],
  ),
  place(
    'testing-conformance-knows-the-public-surface',
    '^src/testing/conformance/',
    [
      '^src/testing/(conformance|servers|processes)/',
      '^src/index[.]ts$',
      '^src/backends/index[.]ts$',
      rxjs,
      fpTs,
      '^node_modules/vitest/',
    ],
    ['core'],
  ),
  place('index-only-re-exports', '^src/index[.]ts$', [
    '^src/connect[.]ts$',
    '^src/(operators|observables)/',
    helpers,
    fpTs,
  ]),
];

module.exports = {
  forbidden: [
    ...places,
    {
      name: 'every-file-has-its-place',
      comment: 'This file is in none of the places above: add one that says what it may import.',
      severity: 'error',
      from: { path: '^src/', pathNot: places.map(({ from }) => from.path) },
      to: {},
    },
    {
      name: 'port-is-types-only',
      comment: 'The port runs nothing: import with `import type`.',
      severity: 'error',
      from: { path: port },
      to: { dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'adapters-load-when-subscribed',
      comment: 'An adapter brings a client along that may not be installed: load it with import().',
      severity: 'error',
      from: { path: '^src/connect[.]ts$' },
      to: {
        path: `^src/backends/(${adapters})/`,
        pathNot: '/memory/|/(options|characteristics)[.]ts$',
        dynamic: false,
      },
    },
    {
      name: 'nothing-needs-testing',
      comment: 'The test kit is for tests: nothing else in the library imports it.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/testing/' },
      to: { path: '^src/testing/' },
    },
    {
      name: 'test-runners-stay-out',
      comment:
        'Only the matchers and the conformance suite know vitest, and fast-check is loaded when something is explored.',
      severity: 'error',
      from: { path: '^src/testing/', pathNot: '^src/testing/(vitest[.]ts$|conformance/)' },
      to: {
        path: '^node_modules/(fast-check|vitest|@vitest/[^/]+)/',
        dynamic: false,
        dependencyTypesNot: ['type-only', 'type-import'],
      },
    },
    {
      name: 'src-stands-alone',
      comment: 'The library imports none of its tests, examples, benchmarks or scripts.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|examples|bench|scripts|dist)/' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: { path: '^src/' },
      to: { circular: true },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Imports of types count: the rules are about who knows whom.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.build.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
