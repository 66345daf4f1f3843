import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { spawnClient } from '../../src/testing/processes/client-process.js';
import { until } from '../../src/testing/processes/probes.js';
import { accepts } from '../support/accepts.js';
import type { Message, ObedientCalls } from './fixtures/obedient-client.js';

const obedient = new URL('./fixtures/obedient-client.ts', import.meta.url);

test('calls cross the process boundary, with their results and errors', async () => {
  await using client = await spawnClient<ObedientCalls, Message>(obedient, ['--quick'], { GREETING: 'hello' });
  expect(await client.request('double', 2n ** 60n)).toBe(2n ** 61n);
  await expect(client.request('fail')).rejects.toThrow(expect.objectContaining({ name: 'RangeError' }));
  expect(client.log()).toContain('started with --quick hello');
});

test('untilMessage takes messages in order, each once, and says what it saw instead', async () => {
  await using client = await spawnClient<ObedientCalls, Message>(obedient);
  for (const said of ['one', 'two', 'one']) await client.request('say', said);
  expect(await client.untilMessage(({ said }) => said === 'two', 1_000)).toEqual({ said: 'two' });
  expect(await client.untilMessage(({ said }) => said === 'one', 1_000)).toEqual({ said: 'one' });
  await client.request('say', 'three');
  await expect(client.untilMessage(({ said }) => said === 'two', 50)).rejects.toThrow(
    /said === ['"]two['"] did not come within 50 ms; seen instead: { said: 'three' }/,
  );
});

test('a killed client rejects what it was asked, and its messages complete', async () => {
  await using client = await spawnClient<ObedientCalls, Message>(obedient);
  const asked = client.request('hang');
  const completed = new Promise<void>((complete) => client.messages$.subscribe({ complete }));
  await Promise.all([
    client.kill(),
    expect(asked).rejects.toThrow(/was ended by SIGKILL before it replied/),
    completed,
  ]);
  expect(await client.ended).toEqual({ code: null, signal: 'SIGKILL' });
  await expect(client.request('double', 1n)).rejects.toThrow(/has ended and cannot be asked for 'double'/);
});

test('a client that leaks listeners ends by it', async () => {
  await using client = await spawnClient<ObedientCalls, Message>(obedient);
  await expect(client.request('leakListeners')).rejects.toThrow(/ended with code 1/);
  expect(client.log()).toContain('MaxListenersExceededWarning');
});

test('a client that exits by itself says with which code', async () => {
  await using client = await spawnClient<ObedientCalls, Message>(obedient);
  await expect(client.request('exit', 7)).rejects.toThrow(/ended with code 7/);
  expect(await client.ended).toEqual({ code: 7, signal: null });
});

test('a paused client does not answer until it is resumed', async () => {
  await using client = await spawnClient<ObedientCalls, Message>(obedient);
  await client.pause();
  let answered = false;
  const asked = client.request('double', 4n).finally(() => {
    answered = true;
  });
  await expect(client.untilMessage(() => true, 200)).rejects.toThrow(/nothing was seen instead/);
  expect(answered).toBe(false);
  client.resume();
  expect(await asked).toBe(8n);
});

test('a client that cannot be loaded fails with its log', async () => {
  const broken = new URL('./fixtures/broken-client.ts', import.meta.url);
  await expect(spawnClient(broken)).rejects.toThrow(/ended with code 3[\s\S]*this one never answers/);
});

test('a SIGKILLed process leaves neither a server nor its data behind', async () => {
  await using client = await spawnClient<ObedientCalls, Message>(obedient);
  const { port, dataDir } = await client.request('startRedis');
  expect(await accepts(port)).toBe(true);
  await client.kill();
  await until(async () => !(await accepts(port)) && !existsSync(dataDir), 10_000, `the end of redis on port ${port}`);
});

test('a stopped server does not survive the process that started it', async () => {
  await using client = await spawnClient<ObedientCalls, Message>(obedient);
  const { port, pid, dataDir } = await client.request('startRedis');
  process.kill(pid, 'SIGSTOP');
  await client.kill();
  await until(async () => !(await accepts(port)) && !existsSync(dataDir), 10_000, `the end of redis on port ${port}`);
});
