/*
 * Tries the package as its users get it: packed, installed into empty folders, type-checked by TypeScript 5 to 7 in each
 * way of resolving modules, run by bare Node, Jest, vitest and NestJS, bundled, and opened in Chromium. What is done there
 * stands in scripts/package. publint and attw look at the tarball. An argument is a part of the names of the steps to do.
 */
import { execFile, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const fixtures = join(root, 'scripts', 'package');
const work = mkdtempSync(join(tmpdir(), 'conclave-package-'));
const timeout = 240_000;

/** Everything that is installed besides the package and what it brings, and nothing else. */
const versions = {
  typescript: { '5.0': '5.0.4', 5.9: '5.9.3', '6.0': '6.0.3', '7.0': '7.0.2' },
  jest: { 29: '29.7.0', 30: '30.5.2' },
  'ts-jest': { 'ts-jest': '29.4.15', 'jest-environment-jsdom': '30.5.2' },
  bundlers: { esbuild: '0.28.2', vite: '8.3.8', webpack: '5.113.0' },
  redis: { 'ioredis 5': 'ioredis@5.11.1', 'redis 5': 'redis@5.12.1', 'redis 6': 'redis@6.3.1' },
  nest: { 10: '10.4.22', 11: '11.2.10' },
  beside: {
    rxjs: '7.8.2',
    ioredis: '6.0.0',
    etcd3: '1.1.2',
    'node-zookeeper-client': '1.1.3',
    '@types/node': '20.19.43',
    'reflect-metadata': '0.2.2',
  },
};

/**
 * Resolves with what it has printed; rejects with that where it fails.
 *
 * @param {string} cwd
 * @param {string} command
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<string>}
 */
const run = async (cwd, command, args, env = {}) => {
  const options = { cwd, timeout, maxBuffer: 2 ** 26, env: { ...process.env, ...env } };
  const { stdout, stderr } = await promisify(execFile)(command, args, options).catch((error) => {
    throw new Error(`${command} ${args.join(' ')}, in ${cwd}:\n${error.message}\n${error.stdout}${error.stderr}`);
  });
  return `${stdout}${stderr}`;
};

/** @type {typeof run} */
const node = (cwd, ...[script, args, env]) => run(cwd, process.execPath, [script, ...args], env);

/**
 * @param {string} what
 * @param {() => Promise<string | void>} does
 */
const step = async (what, does) => {
  const startMs = performance.now();
  const said = await does();
  console.log(`${((performance.now() - startMs) / 1_000).toFixed(1).padStart(6)} s  ${what}${said ? `: ${said}` : ''}`);
};

/**
 * Two at a time, as many as a small machine has cores. The first that fails is what it rejects with, when both have ended.
 *
 * @template T
 * @param {readonly T[]} items
 * @param {(item: T) => Promise<unknown>} does
 */
const each = async (items, does) => {
  const left = [...items];
  const worker = async () => {
    try {
      for (let item = left.shift(); item !== undefined; item = left.shift()) await does(item);
    } catch (error) {
      left.length = 0;
      throw error;
    }
  };
  const [one, other] = await Promise.allSettled([worker(), worker()]);
  for (const ended of [one, other]) if (ended.status === 'rejected') throw ended.reason;
};

/**
 * An empty project: its folder.
 *
 * @param {string} name
 * @param {object} contents
 */
const project = (name, contents = {}) => {
  const folder = join(work, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, ...contents }));
  return folder;
};

/**
 * @param {string} folder
 * @param {readonly string[]} packages
 */
const install = (folder, packages) =>
  run(folder, 'npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline', ...packages]);

/** @param {keyof typeof versions.beside} name */
const beside = (name) => `${name}@${versions.beside[name]}`;

const tools = project('tools');
/** @param {string} version */
const tsc = (version) => join(tools, 'node_modules', `typescript-${version}`, 'bin', 'tsc');
/** @param {string} name */
const bin = (name) => join(root, 'node_modules', '.bin', name);

/**
 * Compiles; rejects with what is wrong.
 *
 * @param {string} folder
 * @param {string} version
 * @param {string} name
 * @param {object} compilerOptions
 * @param {readonly string[]} files
 */
const compile = (folder, version, name, compilerOptions, files) => {
  const config = join(folder, `tsconfig.${name}.json`);
  const options = { target: 'ES2022', lib: ['ES2023'], types: ['node'], strict: true, ...compilerOptions };
  writeFileSync(config, JSON.stringify({ compilerOptions: options, files }));
  return node(folder, tsc(version), ['-p', config]);
};

/** @param {string} tarball */
const linksWithin = async (tarball) => {
  const folder = join(work, 'unpacked');
  mkdirSync(folder);
  await run(folder, 'tar', ['-xzf', tarball, '--strip-components=1']);
  const documents = (await run(folder, 'find', ['.', '-name', '*.md', '-not', '-path', './dist/*'])).trim().split('\n');
  const missing = documents.flatMap((document) => {
    const text = readFileSync(join(folder, document), 'utf8');
    return [...text.matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)]
      .map(([, link = '']) => posix.join(posix.dirname(document), link))
      .filter((path) => !existsSync(join(folder, path)))
      .map((path) => `${document} links to ${path}`);
  });
  if (missing.length > 0) throw new Error(`not in the tarball:\n${missing.join('\n')}`);
  return `${documents.length} documents`;
};

/**
 * What each version of TypeScript makes of one way of resolving modules.
 *
 * @param {string} folder
 * @param {string} version
 * @param {string} resolution
 * @returns {Promise<string | void>}
 */
const typeCheck = async (folder, version, resolution) => {
  const [module, files] =
    resolution === 'node10'
      ? ['CommonJS', ['consumer.ts']]
      : resolution === 'bundler'
        ? ['ESNext', ['consumer.ts']]
        : [resolution, ['consumer.cts', 'consumer.mts']];
  const name = `${version}-${resolution}`;
  const outDir = join('out', name);
  const options = {
    module,
    moduleResolution: resolution,
    outDir,
    esModuleInterop: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    // The types of both forms themselves by the oldest and by the newest: it takes long.
    skipLibCheck: !(['5.0', '7.0'].includes(version) && ['nodenext', 'bundler'].includes(resolution)),
    ...(version === '6.0' && resolution === 'node10' && { ignoreDeprecations: '6.0' }),
  };
  const compiled = compile(folder, version, name, options, files);
  if (version === '7.0' && resolution === 'node10') {
    return await compiled.then(
      () => Promise.reject(new Error('TypeScript 7 has node10 again')),
      (error) => {
        if (!/Option '[^']+' has been removed/.test(error.message)) throw error;
        return 'it has none, and says so';
      },
    );
  }
  await compiled;
  if (version !== '5.9') return;
  // And what came out runs, where it is for Node.
  for (const form of ['cjs', 'mjs', 'js'].map((extension) => join(outDir, `consumer.${extension}`))) {
    if (resolution === 'bundler' || !existsSync(join(folder, form))) continue;
    const url = JSON.stringify(pathToFileURL(join(folder, form)));
    const said = await node(folder, '--input-type=module', ['-e', `await (await import(${url})).main()`]);
    if (!said.includes('the lock had token')) throw new Error(`${form} said ${said}`);
  }
};

/**
 * Answers the pages of a folder, and resolves with what each has told.
 *
 * @param {string} folder
 * @param {readonly string[]} pages
 */
const inChromium = async (folder, pages) => {
  /** @type {(outcome: string) => void} */
  let told = () => {};
  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        response.end();
        told(body);
      });
      return;
    }
    const file = join(folder, posix.normalize(request.url ?? '/'));
    if (request.url?.endsWith('.html'))
      response
        .setHeader('content-type', 'text/html')
        .end(`<script src="${request.url.replace('.html', '')}"></script>`);
    else if (existsSync(file)) response.setHeader('content-type', 'text/javascript').end(readFileSync(file));
    else response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  try {
    for (const page of pages) {
      // Also by a name that is no secure origin, as in somebody's own network: such a page has less of `crypto`.
      for (const host of page === pages[0] ? ['127.0.0.1', 'conclave.test'] : ['127.0.0.1']) {
        const browser = spawn(
          'chromium',
          [
            '--headless',
            '--no-sandbox',
            '--disable-gpu',
            '--no-first-run',
            `--user-data-dir=${join(work, 'chromium')}`,
            '--host-resolver-rules=MAP conclave.test 127.0.0.1',
            `http://${host}:${port}/${page}.html`,
          ],
          { stdio: 'ignore' },
        );
        const outcome = await new Promise((resolve, reject) => {
          told = resolve;
          browser.once('error', reject);
          browser.once('exit', (code) => reject(new Error(`chromium ended with ${code} before ${page} told anything`)));
          setTimeout(() => reject(new Error(`${page} told nothing`)), 60_000).unref();
        }).finally(async () => {
          browser.removeAllListeners('exit');
          if (browser.exitCode !== null || !browser.kill()) return;
          await once(browser, 'exit');
        });
        if (outcome !== (host === '127.0.0.1' ? 'ok' : 'ok, from an insecure origin'))
          throw new Error(`${page} at ${host}: ${outcome}`);
      }
    }
  } finally {
    server.close();
    server.closeAllConnections();
  }
};

/** The form that Jest gets, and the `type` of its project. */
const forms = { CommonJS: 'commonjs', 'ES modules': 'module' };

/**
 * @param {string} consumer
 * @param {string} jest
 * @param {string} form
 * @param {NodeJS.ProcessEnv} env
 * @returns {readonly [what: string, does: () => Promise<void>]}
 */
const jestStep = (consumer, jest, form, env) => [
  `Jest ${jest}, ${form}`,
  async () => {
    const type = forms[/** @type {keyof typeof forms} */ (form)];
    const folder = join(consumer, `jest-${jest}-${type}`);
    mkdirSync(folder);
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type }));
    cpSync(join(fixtures, 'jest.test.ts'), join(folder, 'coordination.test.ts'));
    const ways = type === 'module' ? ['NodeNext', 'NodeNext'] : ['CommonJS', 'node10'];
    const options = { module: ways[0], moduleResolution: ways[1], outDir: '.' };
    await compile(folder, '5.9', 'jest', options, ['coordination.test.ts']);
    rmSync(join(folder, 'coordination.test.ts'));
    const script = join(tools, 'node_modules', `jest-${jest}`, 'bin', 'jest.js');
    const flags = type === 'module' ? ['--experimental-vm-modules'] : [];
    const args = [...flags, script, '--rootDir', folder, '--testEnvironment', 'node'];
    await run(folder, process.execPath, args, env);
  },
];

const tsJest = project('ts-jest', { type: 'commonjs' });

/**
 * As NestJS sets its projects up; and as those have it whose tests need a page.
 *
 * @param {string} environment
 * @param {NodeJS.ProcessEnv} env
 * @returns {readonly [what: string, does: () => Promise<void>]}
 */
const tsJestStep = (environment, env) => [
  `Jest 30 with ts-jest, in ${environment}`,
  async () => {
    const folder = join(tsJest, environment);
    mkdirSync(folder);
    cpSync(join(fixtures, 'jest.test.ts'), join(folder, 'coordination.test.ts'));
    const compilerOptions = { module: 'CommonJS', moduleResolution: 'node10', target: 'ES2022', strict: true };
    const tsconfig = { ...compilerOptions, types: ['node'], skipLibCheck: true };
    const transform = JSON.stringify({ '^.+\\.ts$': ['ts-jest', { tsconfig }] });
    const args = ['--rootDir', folder, '--testEnvironment', environment, '--transform', transform];
    await node(tsJest, join(tsJest, 'node_modules', 'jest', 'bin', 'jest.js'), args, env);
  },
];

/**
 * Runs a compiled service with NestJS; resolves when it has ended as it should, at a signal that comes while it works.
 *
 * @param {string} folder
 * @param {string} url
 */
const startNest = (folder, url) => {
  const service = fork(join(folder, 'dist', 'main.js'), { cwd: folder, env: { ...process.env, STORE_URL: url } });
  const signal = AbortSignal.timeout(60_000);
  /** @type {string[]} */
  const said = [];
  service.on('message', (message) => void said.push(String(message)));
  /** @param {RegExp} what */
  const says = async (what) => {
    for (;;) {
      const found = said.find((message) => what.test(message));
      if (found !== undefined) return found;
      await once(service, 'message', { signal }).catch((cause) => {
        service.kill('SIGKILL');
        throw new Error(`a service on ${url} did not say ${what}, but: ${said.join(', ')}`, { cause });
      });
    }
  };
  const ends = async () => {
    const exit = once(service, 'exit', { signal });
    service.kill('SIGTERM');
    const [code, by] = await exit;
    if (said.slice(-3).sort().join() !== 'closed on SIGTERM,hook SIGTERM,worked' || by !== 'SIGTERM')
      throw new Error(`a service on ${url} ended with ${code ?? by}: ${said.join(', ')}`);
  };
  return { says, ends };
};

/**
 * @param {string} major
 * @param {string} redis
 * @returns {readonly [what: string, does: () => Promise<string>]}
 */
const nestStep = (major, redis) => [
  `NestJS ${major}: deployed over memory and Redis`,
  async () => {
    const folder = join(work, `nest-${major}`);
    cpSync(join(fixtures, 'nest.ts'), join(folder, 'main.ts'));
    const ways = major === '10' ? ['CommonJS', 'node10'] : ['NodeNext', 'NodeNext'];
    const decorators = { experimentalDecorators: true, emitDecoratorMetadata: true, skipLibCheck: true };
    const options = { module: ways[0], moduleResolution: ways[1], outDir: 'dist', ...decorators };
    await compile(folder, '5.9', 'nest', options, ['main.ts']);

    const alone = startNest(folder, 'memory:');
    await alone.says(/^works/);
    const ready = await (await fetch(`${await alone.says(/^http:/)}/ready`)).text();
    if (ready !== 'live') throw new Error(`NestJS over memory is ${ready}`);
    await alone.ends();

    // One is told to end while it works; it ends its work, and the other one goes on, long before the ttl is over.
    const url = `${redis}?trustEmpty=true&namespace=nest-${major}`;
    const first = startNest(folder, url);
    await first.says(/^works/);
    const second = startNest(folder, url);
    await second.says(/^http:/);
    const ending = first.ends();
    await first.says(/^(worked|cut off)/);
    const workedMs = performance.now();
    await second.says(/^works/);
    const handedOverMs = performance.now() - workedMs;
    await ending;
    await second.ends();
    if (handedOverMs > 5_000) throw new Error(`handed over after ${handedOverMs} ms`);
    return `handed over ${handedOverMs.toFixed(0)} ms after its work`;
  },
];

/** @param {string} client */
const clientProject = (client) => project(`only-${client.replace(' ', '-')}`);

/**
 * @param {string} client
 * @param {string} url
 * @returns {readonly [what: string, does: () => Promise<void>]}
 */
const redisClientStep = (client, url) => [
  `Redis with ${client}, and no other client`,
  async () => {
    const folder = clientProject(client);
    const [name = ''] = client.split(' ');
    cpSync(join(fixtures, 'redis-client.mjs'), join(folder, 'redis-client.mjs'));
    const [imports, made] =
      name === 'ioredis' ? ['Redis', 'new Redis({ lazyConnect: true })'] : ['createClient', 'createClient()'];
    const lines = [
      "import { redis } from 'conclave/redis';",
      `import { ${imports} } from '${name}';`,
      `void redis({ client: ${made} }).close();`,
    ];
    writeFileSync(join(folder, 'given.mts'), lines.join('\n'));
    const ways = { module: 'NodeNext', moduleResolution: 'NodeNext', noEmit: true, skipLibCheck: true };
    await compile(folder, '5.9', 'given', ways, ['given.mts']);
    await node(folder, 'redis-client.mjs', [name], { REDIS_URL: url });
  },
];

const [wanted = ''] = process.argv.slice(2);
/** @param {readonly [what: string, ...unknown[]]} step */
const isWanted = ([what]) => what.includes(wanted);

const started = performance.now();
/** @type {AsyncDisposable | undefined} */
let server;
try {
  const tarball = join(work, `${manifest.name}-${manifest.version}.tgz`);
  const consumer = project('consumer');
  const page = project('page', { type: 'module' });
  const suite = project('suite');
  const bundles = project('bundles');
  const clients = project('clients');
  const besideEtcd3 = project('beside-etcd3');

  await Promise.all([
    step('npm pack, which builds', async () => void (await run(root, 'npm', ['pack', '--pack-destination', work]))),
    step('npm install of TypeScript, Jest, bundlers', async () => {
      await install(tools, [
        ...Object.entries(versions.typescript).map(([name, version]) => `typescript-${name}@npm:typescript@${version}`),
        ...Object.entries(versions.jest).map(([name, version]) => `jest-${name}@npm:jest@${version}`),
        ...Object.entries(versions.bundlers).map(([name, version]) => `${name}@${version}`),
      ]);
    }),
  ]);

  await step('npm install of the package, into a project of each kind', async () => {
    const common = [tarball, beside('rxjs'), beside('@types/node')];
    const stores = [beside('etcd3'), beside('node-zookeeper-client')];
    /** @type {readonly (readonly [folder: string, packages: readonly string[]])[]} */
    const projects = [
      [consumer, [...common, beside('ioredis')]],
      [page, [tarball, beside('rxjs')]],
      [clients, [...common, beside('ioredis'), versions.redis['redis 6'], ...stores]],
      [besideEtcd3, [beside('etcd3')]],
      [suite, common],
      [
        tsJest,
        [
          ...common,
          beside('ioredis'),
          `jest@${versions.jest[30]}`,
          `typescript@${versions.typescript[5.9]}`,
          ...Object.entries(versions['ts-jest']).map(([name, version]) => `${name}@${version}`),
        ],
      ],
      ...Object.entries(versions.redis).map(
        ([client, installed]) => /** @type {const} */ ([clientProject(client), [...common, installed]]),
      ),
      ...Object.entries(versions.nest).map(([major, version]) => {
        const nest = ['common', 'core', 'platform-express'].map((name) => `@nestjs/${name}@${version}`);
        return /** @type {const} */ ([
          project(`nest-${major}`),
          [...common, ...nest, beside('ioredis'), beside('reflect-metadata')],
        ]);
      }),
    ];
    await each(projects, ([folder, packages]) => install(folder, packages));
    for (const name of ['etcd3', 'node-zookeeper-client', 'vitest', 'fast-check'])
      if (existsSync(join(consumer, 'node_modules', name))) throw new Error(`${name} was installed, but is optional`);
  });
  cpSync(fixtures, consumer, { recursive: true });
  for (const extension of ['cts', 'mts'])
    cpSync(join(fixtures, 'consumer.ts'), join(consumer, `consumer.${extension}`));

  for (const name of ['vitest', 'tsx'])
    symlinkSync(join(root, 'node_modules', name), join(suite, 'node_modules', name), 'junction');

  // A server of the package's own, for those who need one.
  const { startRedis } = createRequire(join(consumer, 'package.json'))('conclave/testing/servers');
  const redis = await startRedis();
  server = redis;
  const env = { REDIS_URL: redis.url };

  // Bundles run elsewhere: where no package is installed.
  const bundledForNode = async () => {
    const said = await run(consumer, process.execPath, ['bundle.mjs', tools, bundles, 'bundled.mjs'], env);
    for (const bundle of ['esbuild.cjs', 'esbuild.mjs', 'vite.mjs']) await node(bundles, bundle, [], env);
    // These leave the clients to the run time.
    for (const bundle of ['webpack.cjs', 'esbuild-external.mjs']) await node(consumer, join(consumer, bundle), [], env);
    return said.trim();
  };
  // With the clients of all stores; that of etcd cannot be in a bundle.
  const bundledWithClients = async () => {
    cpSync(join(fixtures, 'bundled-clients.mjs'), join(clients, 'bundled-clients.mjs'));
    const args = [tools, besideEtcd3, 'bundled-clients.mjs', 'etcd3'];
    const said = await node(clients, join(consumer, 'bundle.mjs'), args);
    for (const bundle of ['esbuild.cjs', 'esbuild.mjs', 'vite.mjs']) await node(besideEtcd3, bundle, []);
    await node(clients, 'webpack.cjs', []);
    return said.trim();
  };
  const inBrowsers = async () => {
    // A page has no types of Node.
    const types = {
      module: 'ESNext',
      moduleResolution: 'bundler',
      lib: ['ES2022', 'DOM'],
      types: [],
      skipLibCheck: true,
    };
    cpSync(join(fixtures, 'page.ts'), join(page, 'page.ts'));
    await compile(page, '5.9', 'page', types, ['page.ts']);
    const said = await run(page, process.execPath, [join(consumer, 'bundle.mjs'), tools, bundles, 'page.js']);
    await inChromium(bundles, ['page.esbuild.js', 'page.vite.js', 'page.webpack.js']);
    return said.trim();
  };

  const esmOnly = ['testing/vitest', 'testing/conformance'];
  /** @type {readonly (readonly [what: string, does: () => Promise<string | void>])[]} */
  const steps = [
    [
      'attw',
      async () => {
        await run(root, bin('attw'), [tarball, '--exclude-entrypoints', ...esmOnly]);
        await run(root, bin('attw'), [tarball, '--profile', 'esm-only', '--entrypoints', ...esmOnly]);
        return `clean in each resolution; ${esmOnly.join(' and ')} for import only, as vitest is`;
      },
    ],
    ['publint', async () => void (await run(root, bin('publint'), ['run', tarball, '--strict']))],
    ['every link of a document leads to something in the tarball', () => linksWithin(tarball)],
    ['bare Node', async () => void (await node(consumer, 'program.mjs', []))],
    ['imported and required in one process', async () => (await node(consumer, 'both-forms.mjs', [])).trim()],
    ...Object.keys(versions.redis).map((client) => redisClientStep(client, redis.url)),
    ...Object.keys(versions.nest).map((major) => nestStep(major, redis.url)),
    ['bundled for Node by esbuild, vite, webpack', bundledForNode],
    ['bundled for Node by the same, with the clients of all stores', bundledWithClients],
    ['bundled for browsers by the same, and run in Chromium', inBrowsers],
    ...Object.keys(versions.jest).flatMap((jest) =>
      Object.keys(forms).map((form) => jestStep(consumer, jest, form, env)),
    ),
    ...['node', 'jsdom'].map((environment) => tsJestStep(environment, env)),
    ...Object.keys(versions.typescript).flatMap((version) =>
      ['node10', 'node16', 'nodenext', 'bundler'].map(
        (resolution) =>
          /** @type {const} */ ([
            `TypeScript ${version}, ${resolution}`,
            () => typeCheck(consumer, version, resolution),
          ]),
      ),
    ),
  ];
  await each(steps.filter(isWanted), ([what, does]) => step(what, does));

  // One after the other, since they watch the clock.
  /** @type {readonly (readonly [what: string, does: () => Promise<void>])[]} */
  const timed = [
    [
      'the examples run where they are installed',
      async () => {
        for (const name of ['first-run', 'fencing', 'holding', 'leading', 'scheduling']) {
          const example = join(suite, 'node_modules', 'conclave', 'examples', `${name}.ts`);
          await node(suite, '--import', ['tsx', example]);
        }
      },
    ],
    [
      'vitest: the conformance suite, with a backend of somebody else',
      async () => {
        cpSync(join(fixtures, 'esm-only.mts'), join(suite, 'esm-only.mts'));
        const options = { noEmit: true, skipLibCheck: true };
        for (const [version, module, moduleResolution] of /** @type {const} */ ([
          ['5.9', 'NodeNext', 'NodeNext'],
          ['7.0', 'ESNext', 'bundler'],
        ]))
          await compile(suite, version, 'esm-only', { ...options, module, moduleResolution }, ['esm-only.mts']);
        cpSync(join(root, 'examples', 'map-backend'), join(suite, 'map-backend'), { recursive: true });
        await run(suite, bin('vitest'), ['run', 'map-backend']);
      },
    ],
  ];
  for (const [what, does] of timed.filter(isWanted)) await step(what, does);

  console.log(`\nThe package works: shown in ${((performance.now() - started) / 1_000).toFixed(0)} s.`);
} finally {
  await server?.[Symbol.asyncDispose]();
  rmSync(work, { recursive: true, force: true });
}
