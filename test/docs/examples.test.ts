import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { root } from './code-blocks.js';

const typeScriptLoader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

const timeout = 30_000;

/** What an example prints, when it ends by itself and complains of nothing. */
async function printedBy(example: string): Promise<string> {
  const args = ['--import', typeScriptLoader, `examples/${example}.ts`];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 20_000 });
  expect(stderr).toBe('');
  return stdout;
}

test('the example of fencing runs to its end, and shows a holder of the past refused', { timeout }, async () => {
  const stdout = await printedBy('fencing');
  expect(stdout).toMatch(/^the next holder has written: \{"status":"paid","fencing_token":"\d+"\}$/m);
  expect(stdout).toMatch(/^the paused one has not: StaleToken: document http/m);
  expect(stdout).toMatch(/^it is still: \{"status":"paid"/m);
});

test('the example of holding shows that a writer is alone and not passed by, and how many hold at once', {
  timeout,
}, async () => {
  const story = sections(await printedBy('holding'));
  expect(story).toEqual([
    [
      'reader 1 begins',
      'reader 2 begins',
      'reader 1 ends',
      'reader 2 ends',
      'the writer begins',
      'the writer ends',
      'reader 3 begins',
      'reader 3 ends',
    ],
    ['report 1 begins', 'report 2 begins', 'report 1 ends', 'report 3 begins', 'report 2 ends', 'report 3 ends'],
    [
      'account 3 alone begins',
      'account 7 alone begins',
      'account 3 alone ends',
      'account 7 alone ends',
      'from 7 to 3 begins',
      'from 7 to 3 ends',
      'from 3 to 7 begins',
      'from 3 to 7 ends',
    ],
    [
      expect.stringMatching(/^Lock "printer" was not acquired within 100 ms: it is held by "host-1"/),
      'the next one begins',
      'the next one ends',
    ],
  ]);
});

test('the example of leading shows a preferred candidate that does not flap, and one that takes over from itself', {
  timeout,
}, async () => {
  const story = sections(await printedBy('leading'));
  expect(story.map((lines) => lines.map((line) => line.replace(/, with token \d+$/, '')))).toEqual([
    [
      '0.0 s  spare comes',
      '0.0 s  spare leads',
      '10.0 s  preferred comes',
      '15.0 s  spare leads no longer',
      '15.0 s  preferred leads',
      '30.0 s  preferred goes',
      '30.0 s  spare leads',
    ],
    ['40.0 s  preferred comes', '42.0 s  preferred goes'],
    ['50.0 s  preferred comes', '55.0 s  spare leads no longer', '55.0 s  preferred leads'],
    [
      '60.0 s  preferred leads no longer',
      '60.0 s  spare leads',
      '65.0 s  spare leads no longer',
      '65.0 s  preferred leads',
    ],
    [
      '70.0 s  pod-0 (1) comes',
      '70.0 s  pod-0 (1) leads',
      '80.0 s  pod-0 (1) is killed',
      '81.0 s  pod-0 (2) comes',
      '81.0 s  pod-0 (2) leads',
    ],
    [
      '90.0 s  pod-0 (2) is cut off for 3 s',
      '91.0 s  pod-0 (3) comes',
      '91.0 s  pod-0 (3) leads',
      '93.0 s  pod-0 (2) leads no longer',
      '93.0 s  pod-0 (2) is told CandidateReplaced',
    ],
  ]);
  const tokens = story.flat().flatMap((line) => /with token (\d+)$/.exec(line)?.slice(1).map(Number) ?? []);
  expect(tokens).toHaveLength(9);
  expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
});

/** The lines under each heading: what is indented. */
function sections(printed: string): readonly (readonly string[])[] {
  return printed
    .split(/^\S.*\n/m)
    .slice(1)
    .map((lines) => lines.split('\n').flatMap((line) => line.trim() || []));
}

test('the example of scheduling shows that each tick is done, one of them again, and what became of them', {
  timeout,
}, async () => {
  const [first, second, third] = sections(await printedBy('scheduling'));
  expect(first).toEqual(['instance-1 claimed 12:00:01', 'instance-1 done 12:00:01', 'instance-1 claimed 12:00:02']);
  expect(second?.slice(0, 3)).toEqual([
    'instance-2 claimed 12:00:02, begun for the second time',
    'instance-2 done 12:00:02, begun for the second time',
    'instance-2 claimed 12:00:03',
  ]);
  expect(third).toEqual([
    '12:00:01 done, begun once',
    '12:00:02 done, begun 2 times',
    ...[3, 4, 5, 6].map((second) => `12:00:0${second} done, begun once`),
  ]);
});

test('the example of sharing shows that each tenant has one owner, who stops before another begins', {
  timeout,
}, async () => {
  const [first, second, third, fourth] = sections(await printedBy('sharing'));
  expect(first?.map((line) => line.split(' bills ')[1]).sort()).toEqual(['ada', 'bea', 'cyd', 'dot', 'eve', 'fay']);
  expect(second).toEqual(['worker-1 stops eve', 'worker-2 stops fay', 'worker-3 bills eve', 'worker-3 bills fay']);
  expect(third).toEqual(['worker-1 bills bea', 'worker-3 bills dot']);
  const stopped = fourth?.filter((line) => line.startsWith('worker-3 stops')).map((line) => line.slice(-3));
  expect(stopped?.sort()).toEqual(['dot', 'eve', 'fay']);
  for (const tenant of ['dot', 'eve', 'fay'])
    expect(fourth?.indexOf(`worker-3 stops ${tenant}`)).toBeLessThan(fourth?.indexOf(`worker-1 bills ${tenant}`) ?? -1);
});
