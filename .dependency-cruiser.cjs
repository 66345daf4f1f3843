/*
 * Who may import whom. Each place lists everything that its files may import; whatever is not listed is forbidden.
 *
 *   app -> operators -> observables -> backends/backend.ts <- kernel, shared <- adapters -> the store's own client
 */

/** The adapters, each with the packages that only it may know. A new backend is a new line. */
const clients = {
  memory: [],
  redis: ['ioredis', 'redis'],
  etcd: ['etcd3'],
  zookeeper: ['node-zookeeper-client'],
};
const adapters = Object.keys(clients).join('|');

/** The door of `src/backends`: the two ports, the errors, and what asks for due losses. */
const errors = '^src/backends/errors[.]ts$';
const fencingErrors = '^src/backends/fencing-errors[.]ts$';
const validity = '^src/backends/validity[.]ts$';
const port = '^src/backends/backend[.]ts$';
const store = '^src/backends/store[.]ts$';
/** What adapters and kernel share. */
const shared = '^src/backends/shared/';
const kernel = '^src/backends/kernel/';
/** Where the stores are: on the event loop, or in a thread, of which nothing else is loaded before it is asked for. */
const renewal = '^src/backends/thread/renewal[.]ts$';
/** Of what is shared: checks and encodings without any state, which recipes need, too. */
const pure = '^src/backends/shared/(keys|codec|either|expectations|is-error|option|teardown|told-end|utf8)[.]ts$';
/** The rooms of the recipes. Those later in the list may import the earlier ones. */
const recipes = ['holding', 'session', 'groups', 'elections', 'locks', 'sharing', 'scheduling'];
/** What only one room may know besides. */
const own = { scheduling: ['^node_modules/croner/'] };
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
  place('fencing-errors-know-only-errors', fencingErrors, [errors]),
  place('validity-knows-nobody', validity, []),
  place('port-knows-only-rxjs-and-errors', port, [rxjs, errors]),
  place('store-knows-only-the-port-and-options', store, [rxjs, port, errors, '^src/backends/shared/options[.]ts$']),
  place('shared-knows-neither-kernel-nor-adapter', shared, [shared, port, errors, rxjs, fpTs], ['core']),
  place('kernel-knows-no-adapter', kernel, [kernel, shared, store, port, errors, validity, rxjs, fpTs], ['core']),
  place('index-of-backends-only-re-exports', '^src/backends/index[.]ts$', [kernel, shared, store, port]),
  ...Object.entries(clients).map(([adapter, packages]) =>
    place(
      `${adapter}-knows-only-its-client`,
      `^src/backends/${adapter}/`,
      [
        `^src/backends/${adapter}/`,
        kernel,
        shared,
        renewal,
        store,
        port,
        errors,
        rxjs,
        fpTs,
        ...packages.map((client) => `^node_modules/(@types/)?${client}/`),
      ],
      ['core'],
    ),
  ),
  ...recipes.map((room, i) =>
    place(`${room}-knows-only-the-port`, `^src/observables/${room}/`, [
      `^src/observables/(${recipes.slice(0, i + 1).join('|')})/`,
      port,
      errors,
      pure,
      rxjs,
      fpTs,
      ...(own[room] ?? []),
    ]),
  ),
  place('operators-know-only-observables', '^src/operators/', [
    '^src/(operators|observables)/',
    port,
    errors,
    pure,
    validity,
    rxjs,
    fpTs,
  ]),
  place('promises-know-only-observables', '^src/promises/', [
    '^src/(promises|observables)/',
    port,
    errors,
    pure,
    rxjs,
    fpTs,
  ]),
  // Clients of databases are handed in: none is imported, and none is bundled.
  place('fencing-knows-no-client', '^src/fencing/', ['^src/fencing/', errors, fencingErrors, pure, rxjs]),
  place(
    'thread-runs-adapters',
    '^src/backends/thread/',
    [
      '^src/backends/thread/',
      kernel,
      shared,
      store,
      port,
      errors,
      rxjs,
      `^src/backends/(${adapters})/(options|[a-z]+-store)[.]ts$`,
    ],
    ['core'],
  ),
  place('connect-knows-backends', '^src/connect[.]ts$', [
    kernel,
    '^src/backends/thread/(renewal|messages)[.]ts$',
    shared,
    store,
    port,
    errors,
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
    '^src/(operators|observables|promises|fencing)/',
    fencingErrors,
    shared,
    port,
    errors,
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
      name: 'threads-load-when-subscribed',
      comment: 'Nothing of a thread is loaded for those who do not ask for one: load it with import().',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/backends/thread/(?!renewal[.])' },
      to: {
        path: '^src/backends/thread/(?!renewal[.])',
        dynamic: false,
        dependencyTypesNot: ['type-only', 'type-import'],
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
